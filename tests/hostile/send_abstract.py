"""Talks to a service that listens on an abstract address, which no file system hides."""

import socket

from app import victims

with socket.socket(socket.AF_UNIX) as connection:
    connection.connect(victims.ABSTRACT)
    connection.sendall(b"send_abstract")
