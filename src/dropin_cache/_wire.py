"""Decode caches: bytes to model, without importing or calling anything the bytes name.

A cache is a pickle of `{key: twisted.plugin.CachedDropin}`. Loading it with `pickle` would import
and call whatever it names, so `_machine` does it instead. What it does not know, or finds where it
does not belong, makes the whole cache void: the reader then imports the drop-ins, which costs time
and nothing else.
"""

from __future__ import annotations

from binascii import crc32
from typing import Any

from dropin_cache._machine import Machine, MalformedError, require
from dropin_cache._model import CachedDropin

MAX_SIZE = 64 << 20
"""Bytes; larger files are no caches. Ten thousand drop-ins make some ten million bytes."""

# A cache ends by pushing its checksum and popping it again, which readers of pickles pass over.
SEAL_START = b"\x8c\x08"
SEAL_END = b"0."
SEAL_SIZE = len(SEAL_START) + 8 + len(SEAL_END)


def checksum(body: bytes) -> bytes:
    """Return the CRC-32 of `body` as eight hexadecimal digits.

    It finds damage, not malice: who can write the cache can compute it.
    """
    return b"%08x" % crc32(body)


def decode(data: bytes) -> dict[str, CachedDropin] | None:
    """Decode a cache.

    Args:
        data: The content of a `dropin.cache` file; anything is allowed.

    Returns:
        Drop-ins by key, in the order of the file; None if `data` is not a valid cache.
    """
    if len(data) > MAX_SIZE:
        return None
    try:
        return _valid(Machine(_unsealed(data)).run())
    except Exception:  # noqa: BLE001 - whatever is wrong with the bytes, they are no cache
        return None


def is_sealed(data: bytes) -> bool:
    """Tell whether this project has written a cache: Twisted's have no checksum."""
    seal = data[-SEAL_SIZE:]
    return seal.startswith(SEAL_START) and seal.endswith(SEAL_END)


def _unsealed(data: bytes) -> bytes:
    """Check and remove the checksum; Twisted's caches have none."""
    if not is_sealed(data):
        return data
    body, seal = data[:-SEAL_SIZE], data[-SEAL_SIZE:]
    if seal[len(SEAL_START) : -len(SEAL_END)] != checksum(body):
        raise MalformedError
    return body + b"."


def _valid(top: Any) -> dict[str, CachedDropin]:
    """Check that the value is a whole cache: every object complete and where it belongs."""
    require(type(top) is dict)
    for key, dropin in top.items():
        require(type(dropin) is CachedDropin)
        require(dropin.moduleName.rpartition(".")[2] == key)
        for plugin in dropin.plugins:
            require(plugin.dropin is dropin and plugin.name is not None)
    return top  # type: ignore[no-any-return]  # checked just above
