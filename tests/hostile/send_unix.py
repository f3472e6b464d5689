"""Talks to a service that listens on a path."""

import socket

from app import victims

with socket.socket(socket.AF_UNIX) as connection:
    connection.connect(victims.STREAM)
    connection.sendall(b"send_unix")
