"""Decode caches: bytes to model, without importing or calling anything the bytes name.

A cache is a pickle of `{key: twisted.plugin.CachedDropin}`. Loading it with `pickle` would import
and call whatever it names, so this is a small machine of its own for the few opcodes that occur
in such a pickle (documented in the standard library's `pickletools`); a global becomes an inert
`InterfaceName`. What the machine does not know, or finds where it does not belong, makes the
whole cache void: the reader then imports the drop-ins, which costs time and nothing else.

Memory is bounded by the size of the input: no opcode allocates by a number that the input states,
and values can be nested only as deep as the model is.
"""

from __future__ import annotations

from binascii import crc32
from typing import Any, Callable

from dropin_cache._model import CachedDropin, CachedPlugin, Fingerprint, InterfaceName

MAX_SIZE = 64 << 20
"""Bytes; larger files are no caches. Ten thousand drop-ins make some ten million bytes."""

DROPIN_CLASS = InterfaceName("twisted.plugin", "CachedDropin")
PLUGIN_CLASS = InterfaceName("twisted.plugin", "CachedPlugin")

# A cache ends by pushing its checksum and popping it again, which readers of pickles pass over.
SEAL_START = b"\x8c\x08"
SEAL_END = b"0."
SEAL_SIZE = len(SEAL_START) + 8 + len(SEAL_END)

_NEWEST_PROTOCOL = 5
_MAX_INT_BYTES = 16
# Values on the stack, and values in the memory. Twisted remembers some thirty for each drop-in.
_MAX_VALUES = 1 << 20


class _MalformedError(Exception):
    """The bytes are no cache."""


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
        return _valid(_Machine(_unsealed(data)).run())
    except Exception:  # noqa: BLE001 - whatever is wrong with the bytes, they are no cache
        return None


def _unsealed(data: bytes) -> bytes:
    """Check and remove the checksum; Twisted's caches have none."""
    seal = data[-SEAL_SIZE:]
    if not (seal.startswith(SEAL_START) and seal.endswith(SEAL_END)):
        return data
    body = data[:-SEAL_SIZE]
    if seal[len(SEAL_START) : -len(SEAL_END)] != checksum(body):
        raise _MalformedError
    return body + b"."


def _valid(top: Any) -> dict[str, CachedDropin]:
    """Check that the value is a whole cache: every object complete and where it belongs."""
    _require(type(top) is dict)
    for key, dropin in top.items():
        _require(type(dropin) is CachedDropin)
        _require(dropin.moduleName.rpartition(".")[2] == key)
        for plugin in dropin.plugins:
            _require(plugin.dropin is dropin and plugin.name is not None)
    return top  # type: ignore[no-any-return]  # checked just above


def _require(condition: bool) -> None:  # noqa: FBT001 - reads as an assertion, and is one
    if not condition:
        raise _MalformedError


class _Machine:
    """A pickle machine that knows text, integers, lists, dictionaries and the two classes."""

    __slots__ = ("data", "list_items_left", "marks", "memo", "position", "stack")

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.position = 0
        self.stack: list[Any] = []
        self.marks: list[int] = []
        self.memo: dict[int, Any] = {}
        # Each item of a list takes at least a byte of input, unless many objects name one list.
        self.list_items_left = len(data)

    def run(self) -> Any:
        """Execute everything up to the end of the data and return the one value that is left."""
        data = self.data
        end = len(data) - 1
        _require(data[end:] == b".")
        while self.position < end:
            opcode = data[self.position]
            self.position += 1
            _OPCODES[opcode](self)
        _require(self.position == end and len(self.stack) == 1 and not self.marks)
        return self.stack[0]

    def take(self, size: int) -> bytes:
        start = self.position
        self.position = start + size
        taken = self.data[start : self.position]
        _require(len(taken) == size)
        return taken

    def number(self, size: int) -> int:
        return int.from_bytes(self.take(size), "little")

    def line(self) -> str:
        end = self.data.index(b"\n", self.position)
        line = self.data[self.position : end]
        self.position = end + 1
        return line.decode("utf-8")

    def push_text(self, size: int) -> None:
        # As pickle does: names of undecodable files hold lone surrogates.
        self.stack.append(self.take(size).decode("utf-8", "surrogatepass"))

    def push_signed(self, size: int) -> None:
        _require(size <= _MAX_INT_BYTES)
        self.stack.append(int.from_bytes(self.take(size), "little", signed=True))

    def pop_marked(self) -> list[Any]:
        mark = self.marks.pop()
        items = self.stack[mark:]
        del self.stack[mark:]
        return items

    def protocol(self) -> None:
        _require(self.number(1) <= _NEWEST_PROTOCOL)

    def frame(self) -> None:
        _require(self.number(8) <= len(self.data) - self.position)

    def mark(self) -> None:
        self.marks.append(len(self.stack))

    def push(self, value: Any) -> None:
        """Push a value that takes more room than the opcode that asks for it."""
        _require(len(self.stack) < _MAX_VALUES)
        self.stack.append(value)

    def put(self, index: int) -> None:
        _require(len(self.memo) < _MAX_VALUES)
        self.memo[index] = self.stack[-1]

    def get(self, index: int) -> None:
        self.stack.append(self.memo[index])

    def name(self, module: Any, name: Any) -> None:
        _require(type(module) is str and type(name) is str)
        self.stack.append(InterfaceName(module, name))

    def stack_global(self) -> None:
        name = self.stack.pop()
        self.name(self.stack.pop(), name)

    def new_object(self) -> None:
        arguments = self.stack.pop()
        _require(arguments == ())
        self.stack.append(_CLASSES[self.stack.pop()]())

    def tuple_of(self, size: int) -> None:
        items = tuple(self.stack[-size:])
        del self.stack[-size:]
        _require(len(items) == size and all(type(item) in _SCALARS for item in items))
        self.stack.append(items)

    def append(self, items: list[Any]) -> None:
        target = self.stack[-1]
        _require(type(target) is list and all(type(item) in _LIST_ITEMS for item in items))
        target.extend(items)

    def set_items(self, items: list[Any]) -> None:
        target = self.stack[-1]
        keys, values = items[::2], items[1::2]
        _require(type(target) is dict and len(keys) == len(values))
        _require(all(type(key) is str for key in keys))
        _require(all(type(value) in _DICT_VALUES for value in values))
        target.update(zip(keys, values))

    def build(self) -> None:
        state = self.stack.pop()
        _require(type(state) is dict)
        target = self.stack[-1]
        _BUILDERS[type(target)](self, target, state)

    def list_of(self, item_type: type, value: Any) -> list[Any]:
        """Check that a value is a list of one type, in time bounded by the size of the input."""
        _require(type(value) is list)
        self.list_items_left -= len(value)
        _require(self.list_items_left >= 0)
        _require(all(type(item) is item_type for item in value))
        return value  # type: ignore[no-any-return]  # checked just above


def _new_dropin() -> CachedDropin:
    return CachedDropin.__new__(CachedDropin)


def _new_plugin() -> CachedPlugin:
    return CachedPlugin.__new__(CachedPlugin)


def _build_dropin(machine: _Machine, dropin: CachedDropin, state: dict[str, Any]) -> None:
    name, description = state["moduleName"], state["description"]
    _require(type(name) is str and _is_text_or_none(description))
    dropin.moduleName, dropin.description = name, description
    dropin.plugins = machine.list_of(CachedPlugin, state["plugins"])
    dropin.fingerprint = _fingerprint(state.get("fingerprint"))


def _build_plugin(machine: _Machine, plugin: CachedPlugin, state: dict[str, Any]) -> None:
    name, description = state["name"], state["description"]
    _require(type(name) is str and _is_text_or_none(description))
    plugin.dropin, plugin.name, plugin.description = state["dropin"], name, description
    plugin.references = tuple(machine.list_of(InterfaceName, state["provided"]))
    interfaces = state.get("interfaces")
    if interfaces is not None:
        plugin.interfaces = tuple(machine.list_of(str, interfaces))


def _is_text_or_none(value: Any) -> bool:
    return value is None or type(value) is str


def _fingerprint(value: Any) -> Fingerprint | None:
    if value is None:
        return None
    size, mtime_ns, digest = value
    _require(type(size) is int and type(mtime_ns) is int and type(digest) is str)
    return Fingerprint(size, mtime_ns, digest)


_CLASSES: dict[Any, Callable[[], Any]] = {DROPIN_CLASS: _new_dropin, PLUGIN_CLASS: _new_plugin}
_BUILDERS: dict[type, Callable[[_Machine, Any, dict[str, Any]], None]] = {
    CachedDropin: _build_dropin,
    CachedPlugin: _build_plugin,
}
# Nothing here may contain lists or dictionaries without end, hence no nesting of the same kind.
_SCALARS = frozenset({str, int, type(None)})
_LIST_ITEMS = frozenset({str, InterfaceName, CachedPlugin})
_DICT_VALUES = frozenset({str, int, type(None), tuple, list, CachedDropin})

_Handler = Callable[[_Machine], None]
_HANDLERS: tuple[tuple[bytes, _Handler], ...] = (
    (b"\x80", _Machine.protocol),
    (b"\x95", _Machine.frame),
    (b"(", _Machine.mark),
    (b"N", lambda machine: machine.push(None)),
    (b")", lambda machine: machine.push(())),
    (b"]", lambda machine: machine.push([])),
    (b"}", lambda machine: machine.push({})),
    (b"K", lambda machine: machine.stack.append(machine.number(1))),
    (b"M", lambda machine: machine.stack.append(machine.number(2))),
    (b"J", lambda machine: machine.push_signed(4)),
    (b"\x8a", lambda machine: machine.push_signed(machine.number(1))),
    (b"\x8c", lambda machine: machine.push_text(machine.number(1))),
    (b"X", lambda machine: machine.push_text(machine.number(4))),
    (b"\x8d", lambda machine: machine.push_text(machine.number(8))),
    (b"\x94", lambda machine: machine.put(len(machine.memo))),
    (b"q", lambda machine: machine.put(machine.number(1))),
    (b"r", lambda machine: machine.put(machine.number(4))),
    (b"h", lambda machine: machine.get(machine.number(1))),
    (b"j", lambda machine: machine.get(machine.number(4))),
    (b"c", lambda machine: machine.name(machine.line(), machine.line())),
    (b"\x93", _Machine.stack_global),
    (b"\x81", _Machine.new_object),
    (b"\x87", lambda machine: machine.tuple_of(3)),
    (b"a", lambda machine: machine.append([machine.stack.pop()])),
    (b"e", lambda machine: machine.append(machine.pop_marked())),
    (b"s", lambda machine: machine.set_items([machine.stack.pop(-2), machine.stack.pop()])),
    (b"u", lambda machine: machine.set_items(machine.pop_marked())),
    (b"b", _Machine.build),
)
_OPCODES: dict[int, _Handler] = {code[0]: handler for code, handler in _HANDLERS}
