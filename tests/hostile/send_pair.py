"""Sends a datagram to a path from a socket that was made as one of a pair."""

import socket

from app import victims

for sender in socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM):
    sender.sendto(b"send_pair", victims.DATAGRAM)
    sender.close()
