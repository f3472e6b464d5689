"""Opens the memory of another process of the same user."""

from app import victims

with open(f"/proc/{victims.PEER}/mem", "rb") as file:
    __doc__ = f"done: {file}"
