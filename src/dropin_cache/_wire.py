"""Decode caches: bytes to model, without importing or calling anything the bytes name.

A cache is a pickle of `{key: twisted.plugin.CachedDropin}`. Loading it with `pickle` would import
and call whatever it names, so `_machine` does it instead. What it does not know, or finds where it
does not belong, makes the whole cache void: the reader then imports the drop-ins, which costs time
and nothing else.
"""

from __future__ import annotations

from binascii import crc32
from itertools import chain
from typing import Any

from dropin_cache._machine import Machine, MalformedError, require
from dropin_cache._model import CachedDropin, CachedPlugin

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
    # A few kilobytes can name one text, or one plugin, in a million places, and whoever writes or
    # prints the entries repeats it there. What is larger than a cache could not be read again.
    left = MAX_SIZE
    for key, dropin in top.items():
        require(type(dropin) is CachedDropin)
        require(dropin.moduleName.rpartition(".")[2] == key)
        digest = dropin.fingerprint.digest if dropin.fingerprint is not None else ""
        left -= len(dropin.description or "") + len(digest)
        for plugin in dropin.plugins:
            require(plugin.dropin is dropin and plugin.name is not None)
            left -= _size(plugin)
            require(left >= 0)
    require(left >= 0)
    return top  # type: ignore[no-any-return]  # checked just above


def _size(plugin: CachedPlugin) -> int:
    """Return how much there is to say of a plugin: its texts, and a little for each."""
    names = (plugin.name, *chain(*plugin.references), *(plugin.interfaces or ()))
    return len(plugin.description or "") + sum(map(len, names)) + len(names)
