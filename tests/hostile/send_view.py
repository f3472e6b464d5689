"""Talks to a service whose socket lies in what can be imported from."""

import socket

from app import victims

with socket.socket(socket.AF_UNIX) as connection:
    connection.connect(f"{victims.VIEW}/stream")
    connection.sendall(b"send_view")
