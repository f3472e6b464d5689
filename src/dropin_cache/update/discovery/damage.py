"""What is wrong with a cache that nobody can read."""

from __future__ import annotations

from dropin_cache._decode import SEAL_SIZE, is_sealed
from dropin_cache._unpickle import Machine

_STOP = b"."  # of pickles


def damage_in(data: bytes) -> str:
    """Say what is wrong with a cache.

    Args:
        data: Its content, which no reader takes.
    """
    if not data.endswith(_STOP):
        return f"the cache is damaged: its end is missing, after {len(data)} bytes"
    sealed = is_sealed(data)
    machine = Machine(data[:-SEAL_SIZE] + _STOP if sealed else data)
    try:
        machine.run()
    except Exception:  # noqa: BLE001 - as for readers: whatever is wrong with the bytes
        return f"the cache is damaged at about byte {machine.position}"
    if sealed:
        return "the cache is damaged: it does not fit its checksum"
    return "the cache is damaged: it holds something else"
