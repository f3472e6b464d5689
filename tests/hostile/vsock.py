"""Makes a socket to the host of a virtual machine, which network namespaces do not keep away."""

import socket

with socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM) as made:
    __doc__ = f"done: {made}"
