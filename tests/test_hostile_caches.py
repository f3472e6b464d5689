"""Whatever lies in the place of a cache costs time only: right results, no error, no code run."""

from __future__ import annotations

import importlib
import io
import itertools
import os
import pickle
import sys
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conftest import run_python
from dropin_cache import CachedDropin, CachedPlugin, IPlugin, _plugins, getPlugins
from dropin_cache._decode import SEAL_SIZE, decode
from dropin_cache._encode import encode
from dropin_cache._model import Fingerprint, InterfaceName
from reader_support import (
    LIBRARY,
    LONG_AGO,
    SAMPLE,
    cache_of,
    entry,
    facts,
    fingerprint_of,
    forget,
    plugin_names,
    refresh,
    run_ordinary,
    use,
)

if TYPE_CHECKING:
    from pathlib import Path
    from types import ModuleType

    from conftest import Tree

UNSEALED = SAMPLE[:-SEAL_SIZE] + b"."


@pytest.fixture
def package(tree: Tree, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The plugin package of a small application, with the drop-in `good` in it."""
    tree.dropin("good", mtime_ns=LONG_AGO)
    return use(tree, monkeypatch)


def greeters(package: ModuleType) -> list[str]:
    """Return the names of the plugins that provide IGreeter, as a new process would find them."""
    _plugins._unwritable.clear()
    greeter = importlib.import_module("app.interfaces").IGreeter
    return plugin_names(getPlugins(greeter, package))


def stock_cache() -> bytes:
    """Make a cache as Twisted writes it."""
    original = importlib.import_module("twisted.plugin")
    dropin = original.CachedDropin("app.plugins.good", "Text.")
    original.CachedPlugin(dropin, "plugin", "Text.", [IPlugin])
    return pickle.dumps({"good": dropin}, 4)


class _Call:
    """Unpickles by calling something."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.call = function, arguments

    def __reduce__(self) -> Any:
        return self.call


def check(decoded: Any) -> None:
    """Check that what came out of the decoder is no cache, or one in every detail."""
    if decoded is None:
        return
    for key, dropin in decoded.items():
        assert type(key) is str
        assert type(dropin) is CachedDropin
        assert {"moduleName", "description", "plugins", "fingerprint"} == set(vars(dropin))
        assert dropin.moduleName.rpartition(".")[2] == key
        assert type(dropin.description) in {str, type(None)}
        assert type(dropin.fingerprint) in {Fingerprint, type(None)}
        for plugin in dropin.plugins:
            assert type(plugin) is CachedPlugin
            assert plugin.dropin is dropin
            assert type(plugin.name) is str
            assert type(plugin.description) in {str, type(None)}
            assert all(type(reference) is InterfaceName for reference in plugin.references)
            assert all(type(part) is str for reference in plugin.references for part in reference)
            assert all(type(name) is str for name in plugin.interfaces or ())
    # It can be written again, so everything that is in it is of a kind the encoder knows.
    assert facts(decoded) == facts(decode(encode(decoded.values())))


class TestDamage:
    """Caches that were whole once."""

    def test_truncated(self, tree: Tree, package: ModuleType) -> None:
        """A cache that ends anywhere too early is none, and is replaced."""
        assert greeters(package) == ["good"]
        whole = cache_of(tree).read_bytes()
        for end in range(len(whole)):
            cache_of(tree).write_bytes(whole[:end])
            assert greeters(package) == ["good"]
            assert whole == cache_of(tree).read_bytes()

    def test_flipped(self, tree: Tree, package: ModuleType) -> None:
        """A cache with any one of its bytes flipped is none, and is replaced."""
        assert greeters(package) == ["good"]
        whole = cache_of(tree).read_bytes()
        for position in range(len(whole)):
            flipped = bytes([whole[position] ^ 0xFF])
            cache_of(tree).write_bytes(whole[:position] + flipped + whole[position + 1 :])
            assert greeters(package) == ["good"]
            assert whole == cache_of(tree).read_bytes()

    def test_every_bit(self) -> None:
        """One flipped bit, wherever it is, makes the whole void."""
        for position, bit in itertools.product(range(len(SAMPLE)), range(8)):
            damaged = bytearray(SAMPLE)
            damaged[position] ^= 1 << bit
            assert decode(bytes(damaged)) is None

    def test_more_at_the_end(self) -> None:
        """Anything behind the end makes it void as well."""
        for more in (b".", b"0.", b"\0", b"N.", SAMPLE):
            assert decode(SAMPLE + more) is None

    def test_zeros(self) -> None:
        """So do blocks of zeros, which crashes of the system leave."""
        for start in range(0, len(SAMPLE), 64):
            assert decode(SAMPLE[:start].ljust(len(SAMPLE), b"\0")) is None

    def test_twisteds_cache_truncated(self, tree: Tree, package: ModuleType) -> None:
        """A cache of Twisted's that ends too early is none either, though it has no checksum."""
        whole = stock_cache()
        assert decode(whole) is not None
        for end in range(len(whole)):
            assert decode(whole[:end]) is None

    def test_twisteds_cache_flipped(self, tree: Tree, package: ModuleType) -> None:
        """One with any bit flipped may be believed, but nothing escapes, and nothing is run."""
        whole = stock_cache()
        for position, bit in itertools.product(range(len(whole)), range(8)):
            damaged = bytearray(whole)
            damaged[position] ^= 1 << bit
            check(decode(bytes(damaged)))


class TestHostilePickles:
    """Pickles that run code."""

    def pickles(self, flag: Path) -> list[bytes]:
        """Make pickles that would create a file, each in another way."""
        touch = f"open({str(flag)!r}, 'w').close()"
        call = _Call(exec, touch)
        module = f"cos\nsystem\n(Vtouch {flag}\ntR.".encode()
        instance = f"(Vtouch {flag}\nios\nsystem\n.".encode()
        newobj = f"cos\nsystem\n(Vtouch {flag}\nt\x81.".encode("latin-1")
        obj = f"(cos\nsystem\nVtouch {flag}\no.".encode()
        dropin = entry("app.plugins.good")
        dropin.description = call  # type: ignore[assignment]
        stock = importlib.import_module("twisted.plugin")
        within = stock.CachedDropin("app.plugins.good", call)
        return [
            *(pickle.dumps({"good": call}, protocol) for protocol in range(6)),
            *(pickle.dumps(call, protocol) for protocol in range(6)),
            *(pickle.dumps({"good": within}, protocol) for protocol in range(6)),
            pickle.dumps({call: within}, 4),
            pickle.dumps([call, {"good": within}], 4),
            pickle.dumps({"good": _Call(importlib.import_module, "app.trap")}, 4),
            UNSEALED[:-1] + b"0" + module,
            UNSEALED[:-1] + module,
            module,
            instance,
            newobj,
            obj,
            b"capp.trap\nX\n.",
            b"\x80\x04\x8c\x08app.trap\x8c\x01X\x93.",
        ]

    def test_inert(self, tree: Tree, package: ModuleType) -> None:
        """None of them does anything, and the results are right."""
        flag = tree.path / "flag"
        tree.write("app/trap.py", f"open({str(flag)!r}, 'w').close()")
        for data in self.pickles(flag):
            cache_of(tree).write_bytes(data)
            assert greeters(package) == ["good"]
            assert not flag.exists(), data

    def test_they_work_elsewhere(self, tree: Tree) -> None:
        """The standard library's machine runs the first of them: the test has teeth."""
        flag = tree.path / "flag"
        tree.path.mkdir()
        pickle.loads(self.pickles(flag)[0])
        assert flag.exists()

    @pytest.mark.processes
    def test_nothing_is_touched(self, tree: Tree) -> None:
        """While it decodes, the interpreter neither imports nor opens nor executes anything."""
        tree.path.mkdir()
        samples = [data.hex() for data in (SAMPLE, *self.pickles(tree.path / "flag"))]
        program = """
        import sys
        import dropin_cache._unpickle
        from dropin_cache._decode import decode
        samples = [bytes.fromhex(line) for line in sys.stdin.read().split()]
        events = []
        sys.addaudithook(lambda event, arguments: events.append(event))
        decoded = [decode(data) for data in samples]
        found = list(events)
        print(found, decoded[0] is not None, set(decoded[1:]))
        """
        done = run_python(program, path=[LIBRARY], input="\n".join(samples))
        assert (done.stdout, done.stderr) == ("[] True {None}\n", "")

    def test_interfaces_that_are_traps(self, tree: Tree, package: ModuleType) -> None:
        """A module that a cache of ours names as an interface's is not imported by a search."""
        path = tree.path / "app/plugins/good.py"
        flag = tree.path / "flag"
        tree.write("app/trap.py", f"open({str(flag)!r}, 'w').close()")
        trap = InterfaceName("app.trap", "ITrap")
        names = ("app.interfaces.IGreeter", "app.trap.ITrap")
        trapped = entry(
            "app.plugins.good",
            ("plugin", None, (trap,), names),
            fingerprint=fingerprint_of(path),
        )
        cache_of(tree).write_bytes(encode([trapped]))
        assert greeters(package) == ["good"]
        assert list(getPlugins(IPlugin, package)) == []
        assert not flag.exists()

    def test_modules_that_are_traps(self, tree: Tree, package: ModuleType) -> None:
        """A module that a cache names as a drop-in's is not imported unless it is that drop-in."""
        path = tree.path / "app/plugins/good.py"
        flag = tree.path / "flag"
        tree.write("trap/good.py", f"open({str(flag)!r}, 'w').close()")
        plugin = ("plugin", None, (), ("app.interfaces.IGreeter",))
        trapped = entry("trap.good", plugin, fingerprint=fingerprint_of(path))
        cache_of(tree).write_bytes(encode([trapped]))
        assert greeters(package) == ["good"]
        assert not flag.exists()


@pytest.mark.processes
class TestBombs:
    """Small files that grow."""

    @pytest.mark.parametrize(
        "data",
        [
            b"\x80\x04}r\xff\xff\xff\xff.",
            b"\x80\x04}" + b"r\xff\xff\xff\xff" * 1000 + b".",
            b"\x80\x05\x96\xff\xff\xff\xff\xff\xff\xff\x7f.",
            b"\x80\x05\x8e\xff\xff\xff\xff\xff\xff\xff\x7f.",
            b"\x80\x04\x95\xff\xff\xff\xff\xff\xff\xff\xff}.",
            b"\x80\x04\x8d\xff\xff\xff\xff\xff\xff\xff\xff}.",
            b"X\xff\xff\xff\x7f.",
            b"\x8a\xff" + b"\x7f" * 255 + b".",
            b"\x8b\xff\xff\xff\x7f.",
            b"I" + b"9" * 100_000 + b"\n.",
            b")" + b"\x85" * 100_000 + b".",
            b"N" + b"NN\x87" * 100_000 + b".",
            b"]" + b"]\x94ah\x00" * 100_000 + b".",
            b"(" * 1_000_000 + b".",
            b"\x80\x04" * 500_000 + b"}.",
            b"]q\x00" + b"h\x00h\x00\x86q\x00" * 1000 + b".",
            b"]q\x00" + b"(" + b"h\x00" * 100_000 + b"e.",
            b"}q\x00" + b"\x8c\x01ah\x00s" * 10_000 + b".",
        ],
        ids=range(18),
    )
    def test_in_a_child_with_little_memory(self, tree: Tree, data: bytes) -> None:
        """A process that may not grow by a hundred megabytes reads them and goes on."""
        tree.path.mkdir()
        (tree.path / "dropin.cache").write_bytes(data)
        program = """
        import resource, sys
        from dropin_cache._cachefile import read_cache_file
        with open("/proc/self/statm", encoding="ascii") as file:
            now = int(file.read().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (now + 100 * 2**20, resource.RLIM_INFINITY))
        print(read_cache_file(sys.argv[1]).dropins() or None)
        """
        done = run_python(program, str(tree.path), path=[LIBRARY])
        assert (done.stdout, done.stderr) == ("None\n", "")


class TestSpecialFiles:
    """Things that are no file, or no file for us."""

    def make(self, kind: str, path: Path) -> None:
        """Put something in the place of a cache."""
        if kind == "empty":
            path.touch()
        elif kind == "sparse":
            path.touch()
            os.truncate(path, 1 << 30)
        elif kind == "directory":
            path.mkdir()
        elif kind == "full directory":
            (path / "within").mkdir(parents=True)
        elif kind == "fifo":
            os.mkfifo(path)
        else:
            path.symlink_to({"loop": path.name}.get(kind, kind))

    KINDS = ("empty", "sparse", "directory", "full directory", "fifo", "loop", "/dangling/link")
    DEVICES = ("/dev/zero", "/dev/null", "/dev/full", "/proc/self/mem", "/proc/self/environ", ".")

    @pytest.mark.parametrize("kind", KINDS + DEVICES)
    def test_reader(self, tree: Tree, package: ModuleType, kind: str) -> None:
        """The results are right, and what can be replaced is replaced."""
        self.make(kind, cache_of(tree))
        assert greeters(package) == ["good"]
        assert greeters(package) == ["good"]
        if "directory" not in kind:
            assert list(decode(cache_of(tree).read_bytes())) == ["good"]
            assert not cache_of(tree).is_symlink()

    @pytest.mark.processes
    @pytest.mark.parametrize("kind", KINDS + DEVICES)
    def test_writer(self, tree: Tree, package: ModuleType, kind: str) -> None:
        """An update replaces it, or says that it cannot."""
        self.make(kind, cache_of(tree))
        (report,) = refresh(tree).directories
        assert report.state == ("failed" if "directory" in kind else "written")

    def test_target_of_a_link_is_left_alone(self, tree: Tree, package: ModuleType) -> None:
        """What a link leads to is not written."""
        target = tree.write("precious", "untouched")
        cache_of(tree).symlink_to(target)
        assert greeters(package) == ["good"]
        assert target.read_text(encoding="ascii") == "untouched"

    @pytest.mark.processes
    @pytest.mark.parametrize("kind", ["mode", *KINDS])
    def test_ordinary_user(self, public_path: Path, tree: Tree, kind: str) -> None:
        """Who can neither read nor replace it gets the right results all the same."""
        shared = type(tree)(public_path)
        shared.application()
        shared.dropin("good", mtime_ns=LONG_AGO)
        if kind == "mode":
            refresh(shared)
            cache_of(shared).chmod(0)
        else:
            self.make(kind, cache_of(shared))
        places = [public_path / "app/plugins", public_path / "app"]
        for place in places:
            place.chmod(0o555)
        result = run_ordinary(
            """
            import app.plugins
            from app.interfaces import IGreeter
            names = [[plugin.name for plugin in dropin_cache.getPlugins(IGreeter, app.plugins)]
                     for _ in range(2)]
            result = [names, [text for text in messages if place in text]]
            """,
            public_path,
            [public_path],
        )
        for place in places:
            place.chmod(0o755)
        message = f"Unable to write to plugin cache {cache_of(shared)}: error number 13"
        assert [[["good"]] * 2, [message]] == result


# Opcodes with arguments that make sense now and then.
_MEMORY = st.integers(0, 5)
_TEXTS = st.sampled_from(
    [
        *("x", "app.plugins.x", "moduleName", "description", "plugins", "fingerprint", "dropin"),
        *("name", "provided", "interfaces", "twisted.plugin", "CachedDropin", "CachedPlugin"),
    ]
)
_PIECES = st.one_of(
    st.sampled_from([bytes([code]) for code in range(256)]),
    st.sampled_from([b"}", b"]", b")", b"(", b"u", b"e", b"s", b"a", b"b", b"\x81", b"\x93"]),
    st.sampled_from(
        [
            b"\x8c\x0etwisted.plugin\x8c\x0cCachedDropin\x93)\x81",
            b"\x8c\x0etwisted.plugin\x8c\x0cCachedPlugin\x93)\x81",
            b"ctwisted.plugin\nCachedDropin\n)\x81",
            b"K\x01K\x02\x8c\x01x\x87",
            b"}(\x8c\nmoduleName\x8c\x01x\x8c\x0bdescriptionN\x8c\x07plugins]u",
        ]
    ),
    _TEXTS.map(lambda text: b"\x8c" + bytes([len(text)]) + text.encode()),
    _MEMORY.map(lambda index: b"q" + bytes([index])),
    _MEMORY.map(lambda index: b"h" + bytes([index])),
    st.integers(0, 255).map(lambda value: b"K" + bytes([value])),
    st.binary(max_size=4),
)
_EDITS = st.lists(
    st.tuples(st.sampled_from(["put", "insert", "remove", "copy"]), st.integers(0), st.binary()),
    min_size=1,
    max_size=6,
)


def edited(data: bytes, edits: list[tuple[str, int, bytes]]) -> bytes:
    """Apply random edits to a cache."""
    result = bytearray(data)
    for kind, place, content in edits:
        position = place % (len(result) + 1)
        if kind == "put":
            result[position : position + len(content)] = content
        elif kind == "insert":
            result[position:position] = content
        elif kind == "remove":
            del result[position : position + len(content) + 1]
        else:
            result[position:position] = result[position : position + 40]
    return bytes(result)


class TestFuzz:
    """Random input for the decoder."""

    options = settings(max_examples=400, deadline=None, derandomize=True, database=None)

    @options
    @given(st.binary(max_size=300))
    def test_bytes(self, data: bytes) -> None:
        """Whatever the bytes, they are no cache or a valid one."""
        check(decode(data))
        check(decode(b"\x80\x04}" + data + b"."))

    @options
    @given(_EDITS)
    def test_edited(self, edits: list[tuple[str, int, bytes]]) -> None:
        """Whatever was edited in a valid cache, of ours or of Twisted's, nothing odd comes out."""
        before = set(sys.modules)
        check(decode(edited(SAMPLE, edits)))
        check(decode(edited(UNSEALED, edits)))
        check(decode(edited(stock_cache(), edits)))
        assert not [name for name in set(sys.modules) - before if name.startswith("app")]

    @options
    @given(st.lists(_PIECES, max_size=40))
    def test_opcodes(self, pieces: list[bytes]) -> None:
        """Whatever the opcodes, nothing odd comes out."""
        check(decode(b"".join(pieces) + b"."))
        check(decode(b"\x80\x04}(" + b"".join(pieces) + b"u."))

    @options
    @given(st.lists(_PIECES, max_size=20))
    def test_same_as_python(self, pieces: list[bytes]) -> None:
        """Where the standard library's machine comes to an end as well, both see the same."""
        data = b"\x80\x04}(" + b"".join(pieces) + b"u."
        decoded = decode(data)
        if decoded is None:
            return
        unpickler = pickle._Unpickler(io.BytesIO(data))
        unpickler.find_class = lambda module, name: type(name, (), {"__module__": module})
        try:
            expected = unpickler.load()
        except Exception:  # noqa: BLE001 - it may refuse what harms nobody
            return
        assert list(expected) == list(decoded)


def test_sample_is_valid() -> None:
    """The samples that are damaged above are valid themselves."""
    for data in (SAMPLE, UNSEALED, stock_cache()):
        decoded = decode(data)
        check(decoded)
        assert decoded is not None
    forget("app.plugins.good")
