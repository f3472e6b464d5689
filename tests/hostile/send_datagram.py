"""Sends a datagram to a path, as /dev/log is one."""

import socket

from app import victims

with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
    sender.sendto(b"send_datagram", victims.DATAGRAM)
