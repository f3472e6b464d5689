"""Decoders that are wrong as decoders are: what the harness must find, if it finds anything."""

from __future__ import annotations

import pickle
from typing import Any

import twisted.plugin  # noqa: F401 - loaded already, so that it is the unpickling that shows

from dropin_cache import _decode
from dropin_cache._model import CachedDropin


def plain(data: bytes) -> Any:
    """Unpickle, and look at what came out only then: by that time its code has run."""
    try:
        found = pickle.loads(data)
    except Exception:  # noqa: BLE001 - so it looks robust
        return None
    if type(found) is dict and all(type(each) is CachedDropin for each in found.values()):
        return found
    return None


def leaky(data: bytes) -> Any:
    """Catch what was thought of: an index out of range was not."""
    try:
        return _decode._Decoder(data[: -_decode.SEAL_SIZE]).cache()
    except (KeyError, ValueError, TypeError, AttributeError):
        return None


def greedy(data: bytes) -> Any:
    """Believe the size that a text claims to have, and make room for it."""
    position = data.find(b"X")
    if 0 <= position < len(data) - 4:
        room = bytearray(int.from_bytes(data[position + 1 : position + 5], "little") & 0x7FFFFFF)
        room[::4096] = b"x" * len(room[::4096])
    return _decode.decode(data)


DECODERS = {"plain": plain, "leaky": leaky, "greedy": greedy}
