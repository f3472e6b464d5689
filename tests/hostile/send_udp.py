"""Sends a datagram to a service of this machine."""

import contextlib
import socket

from app import victims

with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
    sender.connect(("127.0.0.1", victims.UDP))
    sender.send(b"send_udp")
    sender.setblocking(False)
    with contextlib.suppress(BlockingIOError):
        sender.recv(1)  # fails in another way if nobody is there
