"""Talks to a service of this machine by TCP."""

import socket

from app import victims

with socket.create_connection(("127.0.0.1", victims.TCP), 5) as connection:
    connection.sendall(b"send_tcp")
