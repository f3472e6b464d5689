"""Execute the pickles that caches are.

This is a pickle machine for the few opcodes that occur in them; the standard library's
`pickletools` documents each. It imports nothing and calls nothing that the pickle names: a global
becomes an inert `InterfaceName`.

Time and memory are bounded by the size of the input and by the number of opcodes: none of them
allocates by a number that the input states, and values can be nested only as deep as the model is.
"""

from __future__ import annotations

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
    from typing import Any, Callable

_NEWEST_PROTOCOL = 5
_MAX_INT_BYTES = 16
_RECALL, _SHORT_TEXT, _MEMOIZE = b"h\x8c\x94"
# Ten thousand drop-ins with two plugins each take about a million. Each makes a value at most.
_MAX_OPCODES = 1 << 22


class MalformedError(Exception):
    """The bytes are no cache."""


def require(condition: bool) -> None:  # noqa: FBT001 - reads as an assertion, and is one
    if not condition:
        raise MalformedError


def decode(data: bytes) -> dict[str, CachedDropin]:
    """Decode a cache.

    Raises:
        Exception: It is none.
    """
    return _valid(Machine(data).run())


def _valid(top: Any) -> dict[str, CachedDropin]:
    """Check that the value is a whole cache: every object complete and where it belongs."""
    require(type(top) is dict)
    for key, dropin in top.items():
        require(type(dropin) is CachedDropin)
        require(dropin.moduleName.rpartition(".")[2] == key)
        for plugin in dropin.plugins:
            require(plugin.dropin is dropin and plugin.name is not None)
    return top  # type: ignore[no-any-return]  # checked just above


class Machine:
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
        data, stack, memo = self.data, self.stack, self.memo
        end = len(data) - 1
        require(data[end:] == b".")
        position = 0
        for _ in range(_MAX_OPCODES):
            if position >= end:
                break
            opcode = data[position]
            # Here, because nine of ten are one of these, and in a cache there are many.
            if opcode == _RECALL:
                stack.append(memo[data[position + 1]])
                position += 2
            elif opcode == _SHORT_TEXT:
                start = position + 2
                position = start + data[position + 1]
                stack.append(str(data[start:position], "utf-8", "surrogatepass"))
            elif opcode == _MEMOIZE:
                memo[len(memo)] = stack[-1]
                position += 1
            else:
                self.position = position + 1
                _OPCODES[opcode](self)
                position = self.position
        # Text that ends behind the end of the data is found here, too.
        require(position == end and len(stack) == 1 and not self.marks)
        return stack[0]

    def take(self, size: int) -> bytes:
        start = self.position
        self.position = start + size
        taken = self.data[start : self.position]
        require(len(taken) == size)
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
        require(size <= _MAX_INT_BYTES)
        self.stack.append(int.from_bytes(self.take(size), "little", signed=True))

    def pop_marked(self) -> list[Any]:
        mark = self.marks.pop()
        items = self.stack[mark:]
        del self.stack[mark:]
        return items

    def protocol(self) -> None:
        require(self.number(1) <= _NEWEST_PROTOCOL)

    def frame(self) -> None:
        require(self.number(8) <= len(self.data) - self.position)

    def mark(self) -> None:
        self.marks.append(len(self.stack))

    def put(self, index: int) -> None:
        self.memo[index] = self.stack[-1]

    def get(self, index: int) -> None:
        self.stack.append(self.memo[index])

    def name(self, module: Any, name: Any) -> None:
        require(type(module) is str and type(name) is str)
        self.stack.append(InterfaceName(module, name))

    def stack_global(self) -> None:
        name = self.stack.pop()
        self.name(self.stack.pop(), name)

    def new_object(self) -> None:
        arguments = self.stack.pop()
        require(arguments == ())
        self.stack.append(_CLASSES[self.stack.pop()]())

    def tuple_of(self, size: int) -> None:
        items = tuple(self.stack[-size:])
        del self.stack[-size:]
        require(len(items) == size and _SCALARS.issuperset(map(type, items)))
        self.stack.append(items)

    def append(self, items: list[Any]) -> None:
        target = self.stack[-1]
        require(type(target) is list and _LIST_ITEMS.issuperset(map(type, items)))
        target.extend(items)

    def set_items(self, items: list[Any]) -> None:
        target = self.stack[-1]
        keys, values = items[::2], items[1::2]
        require(type(target) is dict and len(keys) == len(values))
        require(_KEYS.issuperset(map(type, keys)) and _DICT_VALUES.issuperset(map(type, values)))
        target.update(zip(keys, values))

    def build(self) -> None:
        state = self.stack.pop()
        require(type(state) is dict)
        target = self.stack[-1]
        _BUILDERS[type(target)](self, target, state)

    def list_of(self, item_type: type, value: Any) -> list[Any]:
        """Check that a value is a list of one type, in time bounded by the size of the input."""
        require(type(value) is list)
        self.list_items_left -= len(value)
        require(self.list_items_left >= 0)
        require(all(type(item) is item_type for item in value))
        return value  # type: ignore[no-any-return]  # checked just above


def _new_dropin() -> CachedDropin:
    return CachedDropin.__new__(CachedDropin)


def _new_plugin() -> CachedPlugin:
    return CachedPlugin.__new__(CachedPlugin)


def _build_dropin(machine: Machine, dropin: CachedDropin, state: dict[str, Any]) -> None:
    name, description = state["moduleName"], state["description"]
    require(type(name) is str and _is_text_or_none(description))
    dropin.moduleName, dropin.description = name, description
    dropin.plugins = machine.list_of(CachedPlugin, state["plugins"])
    dropin.fingerprint = _fingerprint(state.get("fingerprint"))


def _build_plugin(machine: Machine, plugin: CachedPlugin, state: dict[str, Any]) -> None:
    name, description = state["name"], state["description"]
    require(type(name) is str and _is_text_or_none(description))
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
    require(type(size) is int and type(mtime_ns) is int and type(digest) is str)
    return Fingerprint(size, mtime_ns, digest)


_CLASSES: dict[Any, Callable[[], Any]] = {DROPIN_CLASS: _new_dropin, PLUGIN_CLASS: _new_plugin}
_BUILDERS: dict[type, Callable[[Machine, Any, dict[str, Any]], None]] = {
    CachedDropin: _build_dropin,
    CachedPlugin: _build_plugin,
}
# Nothing here may contain lists or dictionaries without end, hence no nesting of the same kind.
_KEYS = frozenset({str})
_SCALARS = frozenset({str, int, type(None)})
_LIST_ITEMS = frozenset({str, InterfaceName, CachedPlugin})
_DICT_VALUES = frozenset({str, int, type(None), tuple, list, CachedDropin})

_HANDLERS: tuple[tuple[bytes, Callable[[Machine], None]], ...] = (
    (b"\x80", Machine.protocol),
    (b"\x95", Machine.frame),
    (b"(", Machine.mark),
    (b"N", lambda machine: machine.stack.append(None)),
    (b")", lambda machine: machine.stack.append(())),
    (b"]", lambda machine: machine.stack.append([])),
    (b"}", lambda machine: machine.stack.append({})),
    (b"K", lambda machine: machine.stack.append(machine.number(1))),
    (b"M", lambda machine: machine.stack.append(machine.number(2))),
    (b"J", lambda machine: machine.push_signed(4)),
    (b"\x8a", lambda machine: machine.push_signed(machine.number(1))),
    (b"X", lambda machine: machine.push_text(machine.number(4))),
    (b"\x8d", lambda machine: machine.push_text(machine.number(8))),
    (b"q", lambda machine: machine.put(machine.number(1))),
    (b"r", lambda machine: machine.put(machine.number(4))),
    (b"j", lambda machine: machine.get(machine.number(4))),
    (b"c", lambda machine: machine.name(machine.line(), machine.line())),
    (b"\x93", Machine.stack_global),
    (b"\x81", Machine.new_object),
    (b"\x87", lambda machine: machine.tuple_of(3)),
    (b"a", lambda machine: machine.append([machine.stack.pop()])),
    (b"e", lambda machine: machine.append(machine.pop_marked())),
    (b"s", lambda machine: machine.set_items([machine.stack.pop(-2), machine.stack.pop()])),
    (b"u", lambda machine: machine.set_items(machine.pop_marked())),
    (b"b", Machine.build),
)
_OPCODES: dict[int, Callable[[Machine], None]] = {code[0]: handler for code, handler in _HANDLERS}
