"""Decode caches: bytes to model, without importing or calling anything the bytes name.

A cache is a pickle of `{key: twisted.plugin.CachedDropin}`. Loading it with `pickle` would import
and call whatever it names, so that is not done. What Twisted has written `_unpickle` executes in a
way of its own. What this project has written is not executed at all, but read by the mirror image
of `_encode`, function by function, in a third of the time: where that emits a text, a text is
expected, and anything else is an error. Either way nothing is made but what the model consists of,
time and memory are bounded by the size of the input, and what does not belong makes the whole cache
void: the reader then imports the drop-ins, which costs time and nothing else.
"""

from __future__ import annotations

from binascii import crc32

from dropin_cache._model import (
    DROPIN_CLASS,
    PLUGIN_CLASS,
    CachedDropin,
    CachedPlugin,
    Fingerprint,
    InterfaceName,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any, Callable

MAX_SIZE = 64 << 20
"""Bytes; larger files are no caches. Ten thousand drop-ins make some ten million bytes."""

MAX_GROWTH = 100
"""Characters that may be told of drop-ins for each byte of their cache.

A byte can stand for as much as half a name, since names are recalled by two bytes. Those of
interfaces and modules have 30 characters, hardly ever 100."""

ALWAYS_TOLD = 1 << 20
"""Characters that may be told whatever the size; nobody has to wait for those."""

# A cache ends by pushing its checksum and popping it again, which readers of pickles pass over.
SEAL_START = b"\x8c\x08"
SEAL_END = b"0."
SEAL_SIZE = len(SEAL_START) + 8 + len(SEAL_END)

_NONE, _SHORT_TEXT, _LONG_TEXT, _END_OF_LIST, _END_OF_STATE = b"N\x8cXeu"
_MEMOIZE, _RECALL, _FAR_RECALL = b"\x94hj"
_RECALLS = b"hj"
_BYTE, _INT32, _LONG = b"KJ\x8a"
_MAX_INT_BYTES = 16
_BYTES = 1 << 8
# What begins an object or an attribute: references, opcodes and texts.
_CONSTANTS: dict[str, tuple[object, ...]] = {
    "dropin": (DROPIN_CLASS, b")\x81\x94}("),
    "moduleName": ("moduleName",),
    "description": ("description",),
    "plugins": ("plugins", b"]("),
    "fingerprint": ("fingerprint",),
    "plugin": (PLUGIN_CLASS, b")\x81}(", "dropin"),
    "name": ("name",),
    "provided": ("provided", b"]("),
    "interfaces": ("interfaces", b"]("),
}


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
    if is_sealed(data):
        body, seal = data[:-SEAL_SIZE], data[-SEAL_SIZE:]
        if seal[len(SEAL_START) : -len(SEAL_END)] != checksum(body):
            return None
        try:
            decoder = _Decoder(body)
            found = decoder.cache()
            # What is repeated are the texts in memory, by two bytes at least each time.
            longest = max((len(each) for each in decoder.memo if type(each) is str), default=0)
            short = is_bounded(longest * len(body), len(data))
            return found if short or _are_bounded(found, len(data)) else None
        except Exception:  # noqa: BLE001 - another version wrote it, or it is no cache
            data = body + b"."
    try:
        from dropin_cache import _unpickle  # noqa: PLC0415 - seldom needed where this project writes

        found = _unpickle.decode(data)
        return found if _are_bounded(found, len(data)) else None
    except Exception:  # noqa: BLE001 - whatever is wrong with the bytes, they are no cache
        return None


def is_sealed(data: bytes) -> bool:
    """Tell whether this project has written a cache: Twisted's have no checksum."""
    seal = data[-SEAL_SIZE:]
    return seal.startswith(SEAL_START) and seal.endswith(SEAL_END)


def is_bounded(told: int, size: int) -> bool:
    """Tell whether readers take a cache.

    A few kilobytes can name one text, or one plugin, in a million places, and whoever writes or
    prints the entries repeats it there. What is larger than a cache could not be read again.

    Args:
        told: Characters that it takes to tell all of its drop-ins, as `extent` has them.
        size: Bytes of the cache.
    """
    return told <= min(MAX_SIZE, ALWAYS_TOLD + MAX_GROWTH * size)


def extent(dropin: CachedDropin) -> tuple[int, int]:
    """Return how many characters it takes to tell all of a drop-in, and in how many bytes at least.

    Both are sums over plugins; where names are recalled, the bytes are far fewer.
    """
    told, least = zip(*_extents(dropin))
    return sum(told), sum(least)


def _extents(dropin: CachedDropin) -> Iterator[tuple[int, int]]:
    """Yield the same for the drop-in itself and for each of its plugins."""
    digest = dropin.fingerprint.digest if dropin.fingerprint is not None else ""
    own = len(dropin.description or "") + len(digest)
    yield own, own
    for plugin in dropin.plugins:
        names = [name for reference in plugin.references for name in reference]
        names += plugin.interfaces or ()
        once = len(plugin.name) + len(plugin.description or "")
        told = once + len(dropin.moduleName) + sum(map(len, names)) + len(names)
        yield told, once + len(plugin.references) + len(plugin.interfaces or ())


def _are_bounded(dropins: dict[str, CachedDropin], size: int) -> bool:
    told = 0
    for dropin in dropins.values():
        # What has been told is a measure of the work, too. So this ends at the bound, or a plugin
        # with many interfaces that is named many times would take minutes.
        for more, _ in _extents(dropin):
            told += more
            if not is_bounded(told, size):
                return False
    return True


class _Decoder:
    """Reads opcodes from the front to the back, and remembers what they say to remember."""

    __slots__ = ("constants", "data", "last_bytes", "last_provided", "memo", "position")

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.memo: list[Any] = []
        self.position = 0
        self.constants: dict[str, bytes] = {}
        self.last_bytes = b"."  # what is nowhere expected
        self.last_provided: Any = None

    def cache(self) -> dict[str, CachedDropin]:
        """Decode everything; whatever is raised, the encoder has not written that."""
        found = {}
        self.expect(b"\x80\x04}(")
        while self.data[self.position] != _END_OF_STATE:
            key = self.text()
            dropin = found[key] = self.dropin()
            if dropin.moduleName.rpartition(".")[2] != key:
                raise ValueError(key)
        if self.position != len(self.data) - 1:
            raise ValueError(self.position)
        return found

    def expect(self, opcodes: bytes) -> None:
        if not self.data.startswith(opcodes, self.position):
            raise ValueError(self.position)
        self.position += len(opcodes)

    def recalled(self) -> Any:
        """Return what is pushed from memory, or None where something else is done."""
        data, start = self.data, self.position + 1
        opcode = data[start - 1]
        if opcode == _RECALL:
            self.position = start + 1
            return self.memo[data[start]]
        if opcode == _FAR_RECALL:
            self.position = start + 4
            return self.memo[int.from_bytes(data[start : start + 4], "little")]
        return None

    def text(self) -> str:
        if self.data[self.position] in _RECALLS:
            value = self.recalled()
        else:
            value = self.long_text()
            if self.data[self.position] != _MEMOIZE:
                raise ValueError(self.position)
            self.position += 1
            self.memo.append(value)
        if type(value) is not str:
            raise TypeError(value)
        return value

    def long_text(self) -> str | None:
        data, start = self.data, self.position + 2
        opcode = data[start - 2]
        if opcode == _SHORT_TEXT:
            self.position = start + data[start - 1]
        elif opcode == _LONG_TEXT:
            start += 3
            self.position = start + int.from_bytes(data[start - 4 : start], "little")
        elif opcode == _NONE:
            self.position += 1
            return None
        else:
            raise ValueError(opcode)
        # As pickle does: names of undecodable files hold lone surrogates. Text that is cut off
        # leaves nothing for what has to follow.
        return data[start : self.position].decode("utf-8", "surrogatepass")

    def integer(self) -> int:
        data, start = self.data, self.position + 1
        opcode = data[start - 1]
        if opcode == _BYTE:
            self.position = start + 1
            return data[start]
        if opcode == _LONG:
            size, start = data[start], start + 1
        elif opcode == _INT32:
            size = 4
        else:
            raise ValueError(opcode)
        if size > _MAX_INT_BYTES:
            raise ValueError(size)
        self.position = start + size
        return int.from_bytes(data[start : start + size], "little", signed=True)

    def reference(self) -> InterfaceName:
        start = self.position
        value = self.recalled()
        if type(value) is not InterfaceName:
            self.position = start  # it may be the module's name
            value = InterfaceName._make((self.text(), self.text()))
            self.expect(b"\x93\x94")
            self.memo.append(value)
        return value

    def constant(self, name: str) -> None:
        """Pass over what begins an object or an attribute, and is the same each time."""
        known = self.constants.get(name)
        if known is not None and self.data.startswith(known, self.position):
            self.position += len(known)
            return
        start, remembered = self.position, len(self.memo)
        for item in _CONSTANTS[name]:
            if type(item) is bytes:
                self.expect(item)
            elif item != (self.text() if type(item) is str else self.reference()):
                raise ValueError(item)
        if remembered == len(self.memo):  # the same bytes will recall the same again
            self.constants[name] = self.data[start : self.position]

    def text_after(self, name: str) -> str | None:
        """Pass over a constant and read the text behind it; most of a cache is such pairs."""
        data, known = self.data, self.constants.get(name)
        if known is None or not data.startswith(known, self.position):
            self.constant(name)
            return self.long_text()
        start = self.position = self.position + len(known)
        if data[start] != _SHORT_TEXT:
            return self.long_text()
        end = self.position = start + 2 + data[start + 1]
        return data[start + 2 : end].decode("utf-8", "surrogatepass")

    def list_of(self, kind: type, item: Callable[[], Any]) -> list[Any]:
        data, memo, items = self.data, self.memo, []
        while data[self.position] != _END_OF_LIST:
            # Nearly all are recalled, and most of what a cache consists of are such items.
            if data[self.position] == _RECALL:
                value = memo[data[self.position + 1]]
                if type(value) is kind:
                    items.append(value)
                    self.position += 2
                    continue
            items.append(item())
        self.position += 1
        return items

    def dropin(self) -> CachedDropin:
        self.constant("dropin")
        dropin = CachedDropin.__new__(CachedDropin)
        start = self.plugin_start(len(self.memo))
        self.memo.append(dropin)
        self.constant("moduleName")
        dropin.moduleName = self.text()
        dropin.description = self.text_after("description")
        self.constant("plugins")
        dropin.plugins = []
        while self.data[self.position] != _END_OF_LIST:
            dropin.plugins.append(self.plugin(dropin, start))
        self.position += 1
        dropin.fingerprint = None
        if self.data[self.position] != _END_OF_STATE:
            self.constant("fingerprint")
            size, mtime_ns, digest = self.integer(), self.integer(), self.long_text()
            if digest is None:
                raise ValueError(self.position)
            dropin.fingerprint = Fingerprint._make((size, mtime_ns, digest))
            self.expect(b"\x87")
        self.expect(b"ub")
        return dropin

    def plugin_start(self, index: int) -> bytes | None:
        """Return how the plugins of a drop-in begin, up to the name, if that is known by now."""
        known = self.constants
        if "plugin" not in known or "name" not in known:
            return None
        recall = bytes((_RECALL, index)) if index < _BYTES else b"j" + index.to_bytes(4, "little")
        return known["plugin"] + recall + known["name"]

    def plugin(self, dropin: CachedDropin, start: bytes | None) -> CachedPlugin:
        plugin = CachedPlugin.__new__(CachedPlugin)
        plugin.dropin = dropin
        if start is not None and self.data.startswith(start, self.position):
            self.position += len(start)
            name = self.long_text()
        else:
            self.constant("plugin")
            if self.recalled() is not dropin:
                raise ValueError(self.position)
            name = self.text_after("name")
        if name is None:
            raise ValueError(self.position)
        plugin.name, plugin.description = name, self.text_after("description")
        plugin.references, plugin.interfaces = self.provided()
        return plugin

    def provided(self) -> tuple[tuple[InterfaceName, ...], tuple[str, ...] | None]:
        """Read what a plugin provides, to the end of the plugin."""
        start, remembered = self.position, len(self.memo)
        if self.data.startswith(self.last_bytes, start):  # often the same as of the one before
            self.position += len(self.last_bytes)
            return self.last_provided  # type: ignore[no-any-return]  # assigned below
        self.constant("provided")
        references = tuple(self.list_of(InterfaceName, self.reference))
        interfaces = None
        if self.data[self.position] != _END_OF_STATE:
            self.constant("interfaces")
            interfaces = tuple(self.list_of(str, self.text))
        self.expect(b"ub")
        if remembered == len(self.memo):
            self.last_bytes = self.data[start : self.position]
            self.last_provided = references, interfaces
        return references, interfaces
