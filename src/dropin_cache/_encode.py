"""Encode caches: model to bytes, the same bytes for the same input.

The result is a pickle that stock Twisted loads as its own. It is written opcode by opcode (they
are documented in the standard library's `pickletools`) because `pickle` would need Twisted's
classes and the interface objects in this process, and because its output depends on which equal
strings happen to be one object.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from dropin_cache._decode import SEAL_END, SEAL_START, checksum
from dropin_cache._model import (
    DROPIN_CLASS,
    PLUGIN_CLASS,
    CachedDropin,
    CachedPlugin,
    InterfaceName,
)

# Protocol 4 is what every Python from 3.4 reads.
_PROTOCOL = b"\x80\x04"
_MARK, _SETITEMS, _APPENDS = b"(", b"u", b"e"
_EMPTY_DICT, _EMPTY_LIST, _EMPTY_TUPLE, _NONE = b"}", b"]", b")", b"N"
_STACK_GLOBAL, _NEWOBJ, _BUILD, _TUPLE3, _MEMOIZE = b"\x93", b"\x81", b"b", b"\x87", b"\x94"
_BYTE = 1 << 8
_INT32_MAX = (1 << 31) - 1


def encode(dropins: Iterable[CachedDropin]) -> bytes:
    """Encode a cache.

    Drop-ins are sorted by name, plugins keep their order.

    Args:
        dropins: The drop-ins of one directory, each under its own name.

    Returns:
        The content of a `dropin.cache` file.
    """
    writer = _Writer()
    writer.emit(_PROTOCOL + _EMPTY_DICT + _MARK)
    for dropin in sorted(dropins, key=lambda each: each.moduleName):
        writer.text(dropin.moduleName.rpartition(".")[2])
        writer.dropin(dropin)
    writer.emit(_SETITEMS)
    body = b"".join(writer.chunks)
    return body + SEAL_START + checksum(body) + SEAL_END


class _Writer:
    """Collects opcodes, and remembers what the machine that reads them will remember."""

    def __init__(self) -> None:
        self.chunks: list[bytes] = []
        self.memo: dict[Any, bytes] = {}  # what pushes each value
        self.repeated: dict[Any, bytes] = {}  # what says of a plugin what it provides

    def emit(self, opcodes: bytes) -> None:
        self.chunks.append(opcodes)

    def memoize(self, value: Any) -> None:
        index = len(self.memo)
        near = index < _BYTE
        self.memo[value] = b"h" + bytes([index]) if near else b"j" + index.to_bytes(4, "little")
        self.emit(_MEMOIZE)

    def recall(self, value: Any) -> bool:
        """Push `value` from the reader's memory if it is there."""
        opcodes = self.memo.get(value)
        if opcodes is None:
            return False
        self.emit(opcodes)
        return True

    def text(self, value: str) -> None:
        """Push a string that may well come again."""
        if not self.recall(value):
            self.long_text(value)
            self.memoize(value)

    def long_text(self, value: str | None) -> None:
        """Push a string, or None, that hardly comes again."""
        if value is None:
            self.emit(_NONE)
            return
        encoded = value.encode("utf-8", "surrogatepass")
        size = len(encoded)
        head = b"\x8c" + bytes([size]) if size < _BYTE else b"X" + size.to_bytes(4, "little")
        self.emit(head + encoded)

    def integer(self, value: int) -> None:
        if 0 <= value < _BYTE:
            self.emit(b"K" + bytes([value]))
        elif -_INT32_MAX <= value <= _INT32_MAX:
            self.emit(b"J" + value.to_bytes(4, "little", signed=True))
        else:
            # As few as hold it, so that whatever the decoder takes can be written again.
            size = (value + (value < 0)).bit_length() // 8 + 1
            self.emit(b"\x8a" + bytes([size]) + value.to_bytes(size, "little", signed=True))

    def reference(self, name: InterfaceName) -> None:
        """Push a global: an interface, or one of the two classes."""
        if not self.recall(name):
            self.text(name.module)
            self.text(name.name)
            self.emit(_STACK_GLOBAL)
            self.memoize(name)

    def dropin(self, dropin: CachedDropin) -> None:
        self.reference(DROPIN_CLASS)
        self.emit(_EMPTY_TUPLE + _NEWOBJ)
        self.memoize(id(dropin))
        self.emit(_EMPTY_DICT + _MARK)
        self.text("moduleName")
        self.text(dropin.moduleName)
        self.text("description")
        self.long_text(dropin.description)
        self.text("plugins")
        self.emit(_EMPTY_LIST + _MARK)
        for plugin in dropin.plugins:
            self.plugin(plugin)
        self.emit(_APPENDS)
        if dropin.fingerprint is not None:
            self.text("fingerprint")
            self.integer(dropin.fingerprint.size)
            self.integer(dropin.fingerprint.mtime_ns)
            self.long_text(dropin.fingerprint.digest)
            self.emit(_TUPLE3)
        self.emit(_SETITEMS + _BUILD)

    def plugin(self, plugin: CachedPlugin) -> None:
        self.reference(PLUGIN_CLASS)
        self.emit(_EMPTY_TUPLE + _NEWOBJ + _EMPTY_DICT + _MARK)
        self.text("dropin")
        self.recall(id(plugin.dropin))
        self.text("name")
        self.long_text(plugin.name)
        self.text("description")
        self.long_text(plugin.description)
        self.provided(plugin)
        self.emit(_SETITEMS + _BUILD)

    def provided(self, plugin: CachedPlugin) -> None:
        """Push what a plugin provides, which is often the same as with many others."""
        same = plugin.references, plugin.interfaces
        if same in self.repeated:
            self.emit(self.repeated[same])
            return
        start, remembered = len(self.chunks), len(self.memo)
        self.text("provided")
        self.emit(_EMPTY_LIST + _MARK)
        for reference in plugin.references:
            self.reference(reference)
        self.emit(_APPENDS)
        if plugin.interfaces is not None:
            self.text("interfaces")
            self.emit(_EMPTY_LIST + _MARK)
            for name in plugin.interfaces:
                self.text(name)
            self.emit(_APPENDS)
        if remembered == len(self.memo):  # from now on, the same opcodes recall the same
            self.repeated[same] = b"".join(self.chunks[start:])
