"""Tests of decoding caches."""

from __future__ import annotations

import importlib
import io
import pickle
import pickletools
import sys
import tracemalloc
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from zope.interface import Interface

from dropin_cache import IPlugin, _decode, _unpickle
from dropin_cache._decode import SEAL_END, SEAL_SIZE, SEAL_START, checksum, decode
from dropin_cache._encode import encode
from dropin_cache._model import CachedDropin, CachedPlugin, Fingerprint, InterfaceName
from reader_support import LONG_AGO, SAMPLE, entry, facts, sample

if TYPE_CHECKING:
    from types import ModuleType


BODY = SAMPLE[:-SEAL_SIZE]

# Bytes that mean something where they stand.
TELLING = frozenset(b"hjNXKJ\x8a\x8c\x93\x94()]}eub")


class IWired(Interface):
    """An interface that can be found again."""


IWIRED = InterfaceName(__name__, "IWired")
MARKER = InterfaceName("dropin_cache", "IPlugin")


def text(value: str) -> bytes:
    """Push a text."""
    encoded = value.encode("utf-8", "surrogatepass")
    return b"\x8c" + bytes([len(encoded)]) + encoded


DROPIN_CLASS = b"\x8c\x0etwisted.plugin\x8c\x0cCachedDropin\x93"
PLUGIN_CLASS = b"\x8c\x0etwisted.plugin\x8c\x0cCachedPlugin\x93"
REFERENCE = b"\x8c\x0cdropin_cache\x8c\x07IPlugin\x93"


def crafted(  # noqa: PLR0913, PLR0917 - one for each place, always named
    key: bytes = text("x"),
    module: bytes = text("app.plugins.x"),
    description: bytes = b"N",
    plugins: bytes | None = None,
    fingerprint: bytes = b"N",
    name: bytes = text("plugin"),
    text_of_plugin: bytes = b"N",
    provided: bytes = b"](" + REFERENCE + b"e",
    interfaces: bytes = b"](" + text("dropin_cache.IPlugin") + b"e",
    new: bytes = DROPIN_CLASS + b")\x81",
    state: bytes | None = None,
    dropin: bytes = b"h\x00",
    more: bytes = b"",
    end: bytes = b"",
) -> bytes:
    """Make a cache of one drop-in with one plugin from opcodes, some of them replaced."""
    if plugins is None:
        plugin = PLUGIN_CLASS + b")\x81}(" + text("dropin") + dropin + text("name") + name
        plugin += text("description") + text_of_plugin + text("provided") + provided
        plugin += text("interfaces") + interfaces + b"ub"
        plugins = b"](" + plugin + b"e"
    if state is None:
        state = b"}(" + text("moduleName") + module + text("description") + description
        state += text("plugins") + plugins + text("fingerprint") + fingerprint + b"u"
    return b"\x80\x04}(" + key + new + b"q\x00" + state + b"b" + more + b"u" + end + b"."


class _Names(pickle.Unpickler):
    """Reads a pickle with Python's own machine; globals become names, as in ours."""

    def find_class(self, module: str, name: str) -> Any:
        if module == "twisted.plugin":
            return type(name, (), {})
        return InterfaceName(module, name)


def stock_facts(data: bytes) -> Any:
    """Read a cache with the standard library and return it as plain values."""
    loaded = _Names(io.BytesIO(data)).load()
    return {key: _stock_dropin(dropin) for key, dropin in loaded.items()}


def _stock_dropin(dropin: Any) -> Any:
    plugins = []
    for plugin in dropin.plugins:
        assert plugin.dropin is dropin
        interfaces = getattr(plugin, "interfaces", None)
        names = None if interfaces is None else tuple(interfaces)
        plugins.append((plugin.name, plugin.description, tuple(plugin.provided), names))
    fingerprint = getattr(dropin, "fingerprint", None)
    return dropin.moduleName, dropin.description, fingerprint, plugins


def twisted_plugin() -> ModuleType:
    """Return the original."""
    return importlib.import_module("twisted.plugin")


def twisted_cache(count: int = 1, plugins: int = 2) -> dict[str, Any]:
    """Make what Twisted keeps in a cache."""
    original = twisted_plugin()
    cache = {}
    for number in range(count):
        key = f"dropin{number}"
        cache[key] = original.CachedDropin(f"app.plugins.{key}", None if number % 2 else "Text.")
        for index in range(plugins):
            provided = [IWired, IPlugin][: index + 1]
            original.CachedPlugin(cache[key], f"plugin{index}", "Long. " * 200, provided)
    return cache


def expected_facts(cache: dict[str, Any]) -> Any:
    """Return what our decoder should make of a cache of Twisted's."""
    return {
        key: (
            dropin.moduleName,
            dropin.description,
            None,
            [
                (
                    plugin.name,
                    plugin.description,
                    tuple(InterfaceName(i.__module__, i.__name__) for i in plugin.provided),
                    None,
                )
                for plugin in dropin.plugins
            ],
        )
        for key, dropin in cache.items()
    }


texts = st.text(st.characters(), max_size=300)
names = st.text(st.characters(blacklist_characters="."), min_size=1, max_size=20)
references = st.builds(InterfaceName, texts, texts)
plugins = st.tuples(
    texts,
    st.none() | texts,
    st.lists(references, max_size=3).map(tuple),
    st.lists(texts, max_size=3).map(tuple),
)
fingerprints = st.builds(
    Fingerprint,
    st.integers(0, 2**63),
    st.integers(-(2**63), 2**80),
    st.text("0123456789abcdef", min_size=64, max_size=64),
)
entries = st.builds(
    lambda key, found, description, seen: entry(
        f"app.plugins.{key}", *found, description=description, fingerprint=seen
    ),
    names,
    st.lists(plugins, max_size=3),
    st.none() | texts,
    st.none() | fingerprints,
)
caches = st.lists(entries, max_size=4, unique_by=lambda dropin: dropin.moduleName)


class TestDecodeOurs:
    """Caches of ours."""

    def test_sample(self) -> None:
        """Every fact that went in comes out."""
        expected = {dropin.moduleName.rpartition(".")[2]: dropin for dropin in sample()}
        assert facts(expected) == facts(decode(SAMPLE))

    def test_plugins_know_their_dropin(self) -> None:
        """Each plugin refers to the entry it is in."""
        decoded = decode(SAMPLE)
        assert all(
            plugin.dropin is dropin for dropin in decoded.values() for plugin in dropin.plugins
        )

    def test_empty(self) -> None:
        """A cache without drop-ins is a cache, and not the same as none."""
        assert decode(encode([])) == {}

    def test_imports_nothing(self) -> None:
        """Decoding imports neither interfaces nor drop-ins nor Twisted."""
        before = set(sys.modules)
        assert decode(SAMPLE)
        assert before == set(sys.modules)

    @settings(max_examples=60, deadline=None, derandomize=True, database=None)
    @given(caches)
    def test_any(self, cache: list[CachedDropin]) -> None:
        """Whatever the model can hold survives, for us and for the standard library's machine."""
        data = encode(cache)
        expected = facts({dropin.moduleName.rpartition(".")[2]: dropin for dropin in cache})
        assert expected == facts(decode(data))
        assert expected == stock_facts(data)


def sealed(body: bytes) -> bytes:
    """Put a checksum at the end of a cache."""
    return body + SEAL_START + checksum(body) + SEAL_END


def many() -> list[CachedDropin]:
    """Make so many drop-ins of two plugins each that their places in memory take four bytes."""
    names = (IWIRED.dotted, "zope.interface.Interface")
    return [
        entry(
            f"app.plugins.dropin{number:03}",
            (f"first{number:03}", None, (IWIRED,), names),
            (f"second{number:03}", "Text.", (IWIRED,), names),
        )
        for number in range(300)
    ]


class TestMirror:
    """What is read in the way it was written, as against by the machine."""

    def test_as_the_machine(self) -> None:
        """Both ways lead to the same."""
        assert facts(_unpickle.decode(BODY + b".")) == facts(_decode._Decoder(BODY).cache())

    @given(caches)
    def test_encodes_back(self, dropins: list[CachedDropin]) -> None:
        """Whatever is encoded is read without the machine, and without a loss."""
        data = encode(dropins)
        found = _decode._Decoder(data[:-SEAL_SIZE]).cache()
        assert data == encode(found.values())

    def test_many(self) -> None:
        """They do so beyond what a byte can count, too."""
        data = encode(many())
        assert facts(_unpickle.decode(data[:-SEAL_SIZE] + b".")) == facts(decode(data))

    @pytest.mark.parametrize("number", [1, 2, 50, 299])
    def test_of_another_dropin(self, number: int) -> None:
        """A plugin that says it belongs to another drop-in makes the whole cache void."""
        body = encode(many())[:-SEAL_SIZE]
        first = b"h\x04"  # the first drop-in, from memory
        position = body.index(b"first%03d" % number)
        position = body.rindex(b")\x81}(", 0, position) + len(b")\x81}(h\x0b")
        size = 2 if body[position : position + 1] == b"h" else 5
        wrong = body[:position] + first + body[position + size :]
        assert decode(sealed(body))
        assert decode(sealed(wrong)) is None

    @pytest.mark.parametrize("part", range(4))
    def test_one_wrong_byte(self, part: int) -> None:
        """With any byte another, the result is none or the machine's: nothing else gets through."""
        for position in range(part, len(BODY), 4):
            for byte in TELLING | {BODY[position] ^ 1 << bit for bit in range(8)}:
                body = BODY[:position] + bytes([byte]) + BODY[position + 1 :]
                try:
                    expected = facts(_unpickle.decode(body + b"."))
                except Exception:  # noqa: BLE001 - it has several kinds of them
                    expected = None
                assert expected == facts(decode(sealed(body)))

    def test_cut_off(self) -> None:
        """Of a cache that is cut off, even with the right checksum, nothing is left."""
        for size in set(range(len(BODY))) - {3}:  # the first three bytes are the empty cache
            assert decode(sealed(BODY[:size])) is None

    def test_another_version(self) -> None:
        """What another version may write in other opcodes is read by the machine."""
        framed = BODY[:2] + b"\x95" + bytes(8) + BODY[2:]
        assert facts(decode(SAMPLE)) == facts(decode(sealed(framed)))


class TestDecodeTwisteds:
    """Caches that Twisted wrote."""

    @pytest.mark.parametrize("protocol", [2, 3, 4, 5])
    @pytest.mark.parametrize("dumps", [pickle.dumps, pickle._dumps])
    @pytest.mark.parametrize(("count", "plugins"), [(0, 0), (1, 0), (1, 1), (3, 2), (1200, 1)])
    def test_any_protocol(self, protocol: int, dumps: Any, count: int, plugins: int) -> None:
        """It does not matter which Python wrote it, nor how many drop-ins it holds."""
        cache = twisted_cache(count, plugins)
        assert expected_facts(cache) == facts(decode(dumps(cache, protocol)))

    def test_many_plugins_in_one_dropin(self) -> None:
        """Lists that the pickler writes in batches are whole."""
        cache = twisted_cache(1, 2500)
        assert expected_facts(cache) == facts(decode(pickle.dumps(cache, 4)))

    def test_long_texts(self) -> None:
        """Texts that the pickler writes outside its frames are whole."""
        cache = twisted_cache()
        cache["dropin0"].description = "\N{SNOWMAN}" * 100_000
        assert expected_facts(cache) == facts(decode(pickle.dumps(cache, 4)))

    def test_optimized(self) -> None:
        """A pickle from which unneeded opcodes were removed is as good."""
        cache = twisted_cache(20, 3)
        assert expected_facts(cache) == facts(decode(pickletools.optimize(pickle.dumps(cache, 4))))

    def test_entries_of_ours_kept_by_twisted(self) -> None:
        """Fingerprints and names survive in a cache of ours that Twisted wrote again."""
        original = twisted_plugin()
        dropin = original.CachedDropin("app.plugins.x", None)
        dropin.fingerprint = (300, LONG_AGO, "0" * 64)
        original.CachedPlugin(dropin, "plugin", None, [IPlugin]).interfaces = ["a.IA", "b.IB"]
        decoded = decode(pickle.dumps({"x": dropin}, 4))
        plugin = ("plugin", None, (MARKER,), ("a.IA", "b.IB"))
        fingerprint = Fingerprint(300, LONG_AGO, "0" * 64)
        assert {"x": ("app.plugins.x", None, fingerprint, [plugin])} == facts(decoded)

    @settings(max_examples=40, deadline=None, derandomize=True, database=None)
    @given(cache=caches, protocol=st.integers(2, 5))
    def test_any(self, cache: list[CachedDropin], protocol: int) -> None:
        """Whatever texts there are in it, they come out as Twisted would see them."""
        original = twisted_plugin()
        stock = {}
        for ours in cache:
            key = ours.moduleName.rpartition(".")[2]
            stock[key] = original.CachedDropin(ours.moduleName, ours.description)
            for plugin in ours.plugins:
                provided = [IWired, IPlugin][: len(plugin.references)]
                original.CachedPlugin(stock[key], plugin.name, plugin.description, provided)
        assert expected_facts(stock) == facts(decode(pickle.dumps(stock, protocol)))


class TestSeal:
    """The checksum at the end."""

    def test_is_crc32(self) -> None:
        """It is the common CRC-32, in eight hexadecimal digits."""
        assert checksum(b"123456789") == b"cbf43926"
        assert checksum(b"") == b"00000000"

    def test_damage_is_found(self) -> None:
        """A text that was changed without it makes the cache void."""
        assert decode(SAMPLE.replace(b"The first.", b"The worst.")) is None

    def test_none_needed(self) -> None:
        """A cache without a checksum is read, since Twisted writes none."""
        assert facts(decode(SAMPLE)) == facts(decode(SAMPLE[: -_decode.SEAL_SIZE] + b"."))


class TestDecodeCrafted:
    """Caches put together by hand, each with one thing in it that is unusual."""

    def test_the_pieces(self) -> None:
        """Unchanged, they make a valid cache."""
        plugin = ("plugin", None, (MARKER,), ("dropin_cache.IPlugin",))
        assert {"x": ("app.plugins.x", None, None, [plugin])} == facts(decode(crafted()))

    @pytest.mark.parametrize(
        "pieces",
        [
            {"description": text("Text.")},
            {"description": b"X\x05\0\0\0Text."},
            {"description": b"\x8d\x05\0\0\0\0\0\0\0Text."},
            {"description": b"\x95\0\0\0\0\0\0\0\0N"},
            {"fingerprint": b"K\x01M\x01\x01" + text("digest") + b"\x87"},
            {"fingerprint": b"J\xff\xff\xff\xff\x8a\x05\0\0\0\0\x01" + text("digest") + b"\x87"},
            {"interfaces": b"N"},
            {"interfaces": b"]"},
            {"provided": b"]"},
            {"provided": b"]" + REFERENCE + b"a"},
            {"provided": b"](cdropin_cache\nIPlugin\ne"},
            {"provided": b"](" + REFERENCE + b"r\x00\x01\x00\x00j\x00\x01\x00\x00e"},
            {"plugins": b"]"},
        ],
    )
    def test_accepted(self, pieces: dict[str, bytes]) -> None:
        """It is a cache, for the standard library's machine as well."""
        data = crafted(**pieces)
        assert stock_facts(data) == facts(decode(data))
        assert decode(data) is not None

    @pytest.mark.parametrize(
        "pieces",
        [
            {"key": b"N"},
            {"key": b"K\x01"},
            {"key": text("y")},
            {"key": text("app.plugins.x")},
            {"module": b"N"},
            {"module": b"K\x01"},
            {"module": b"]"},
            {"module": b"\x8c\x01\xff"},
            {"description": b"K\x01"},
            {"description": b"]"},
            {"description": b"\x8c\xff"},
            {"description": b"X\xff\xff\xff\xff"},
            {"description": b"\x8d\xff\xff\xff\xff\xff\xff\xff\x7f"},
            {"description": b"\x95\xff\xff\xff\xff\xff\xff\xff\xffN"},
            {"description": b"h\x07"},
            {"description": b"j\xff\xff\xff\x7f"},
            {"description": b"\x80\x06N"},
            {"description": b"0"},
            {"description": b"."},
            {"plugins": b"N"},
            {"plugins": b"](" + text("plugin") + b"e"},
            {"plugins": b"](" + REFERENCE + b"e"},
            {"plugins": b"](" + PLUGIN_CLASS + b")\x81e"},
            {"plugins": b"](h\x00e"},
            {"plugins": b")"},
            {"fingerprint": b"K\x01"},
            {"fingerprint": b"]"},
            {"fingerprint": b")"},
            {"fingerprint": b"K\x01K\x01K\x01\x87"},
            {"fingerprint": b"N" + b"K\x01" + text("digest") + b"\x87"},
            {"fingerprint": b"K\x01N" + text("digest") + b"\x87"},
            {"fingerprint": b"K\x01K\x01]\x87"},
            {"fingerprint": b"K\x01\x8a\x11" + b"\x01" * 17 + text("digest") + b"\x87"},
            {"fingerprint": b"NK\x01N"},
            {"fingerprint": b"N" + text("extra") + REFERENCE},
            {"fingerprint": b"N" + text("extra") + b"}"},
            {"name": b"N"},
            {"name": b"K\x01"},
            {"text_of_plugin": b"]"},
            {"provided": b"N"},
            {"provided": b"](" + text("dropin_cache.IPlugin") + b"e"},
            {"provided": b"](]e"},
            {"provided": b"}"},
            {"provided": b"](N" + text("IPlugin") + b"\x93e"},
            {"provided": b"](" + text("dropin_cache") + b"K\x01\x93e"},
            {"provided": b"](cdropin_cache\nIPlugin"},
            {"provided": b"](" + REFERENCE + b")Re"},
            {"interfaces": b"](" + REFERENCE + b"e"},
            {"interfaces": b")"},
            {"interfaces": text("dropin_cache.IPlugin")},
            {"dropin": b"N"},
            {"dropin": DROPIN_CLASS + b")\x81"},
            {"dropin": b"]"},
            {"new": b"\x8c\x02os\x8c\x06system\x93)\x81"},
            {"new": b"cbuiltins\ndict\n)\x81"},
            {"new": b"N)\x81"},
            {"new": b"])\x81"},
            {"new": DROPIN_CLASS + b"N\x81"},
            {"new": DROPIN_CLASS + b"K\x01K\x02K\x03\x87\x81"},
            {"new": DROPIN_CLASS + b")\x81", "state": b"}"},
            {"new": DROPIN_CLASS + b")\x81", "state": b"]"},
            {"new": DROPIN_CLASS + b")\x81", "state": b"N"},
            {"new": DROPIN_CLASS + b")\x81", "state": b"}(K\x01Nu"},
            {"new": DROPIN_CLASS + b")\x81", "state": b"}(" + text("moduleName") + b"u"},
            {"new": DROPIN_CLASS + b")\x81", "state": b"}(" + text("moduleName") + b"}u"},
            {"new": PLUGIN_CLASS + b")\x81"},
            {"new": b"]"},
            {"more": text("y")},
            {"more": text("y") + b"N"},
            {"more": text("y") + b"K\x01"},
            {"more": text("y") + b"]"},
            {"more": text("y") + DROPIN_CLASS + b")\x81"},
            {"more": text("y") + b"h\x00"},
            {"end": b"N"},
            {"end": b"("},
            {"end": b"."},
            {"end": b"N."},
            {"end": b"\xff"},
        ],
    )
    def test_refused(self, pieces: dict[str, bytes]) -> None:
        """It is no cache, because something is of the wrong type, missing, or left over."""
        assert decode(crafted(**pieces)) is None

    @pytest.mark.parametrize("data", [b"", b".", b"N.", b"].", b").", b"}", b"\x80.", b"\x80\x04."])
    def test_not_even_a_dictionary(self, data: bytes) -> None:
        """What is no dictionary is no cache."""
        assert decode(data) is None

    @pytest.mark.parametrize("value", [None, [], "text", 1, b"bytes", {"x": None}, {1: 2}, (1,)])
    def test_other_pickles(self, value: Any) -> None:
        """Pickles of other things are no caches."""
        assert decode(pickle.dumps(value)) is None

    def test_list_that_grows_later(self) -> None:
        """Nothing gets into an entry by way of a list that is filled when it is in its place."""
        data = crafted(plugins=b"]q\x05")
        assert decode(data) is not None
        for smuggled in (text("late"), REFERENCE, PLUGIN_CLASS + b")\x81"):
            # The last two values before the end are the key and the finished drop-in.
            late = text("y") + b"h\x05" + smuggled + b"a"
            assert decode(crafted(plugins=b"]q\x05", more=late)) is None
            assert decode(data[:-2] + b"h\x05" + smuggled + b"au.") is None


class TestBounds:
    """What no input can make the decoder do."""

    def test_size(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Data of more than the allowed size is no cache, though it would be one."""
        monkeypatch.setattr(_decode, "MAX_SIZE", len(SAMPLE))
        assert decode(SAMPLE) is not None
        monkeypatch.setattr(_decode, "MAX_SIZE", len(SAMPLE) - 1)
        assert decode(SAMPLE) is None

    def test_size_of_a_real_cache(self) -> None:
        """The allowed size leaves room for ten thousand drop-ins."""
        assert _decode.MAX_SIZE > 10_000 * len(SAMPLE)

    def test_one_list_named_by_many(self) -> None:
        """A list that many objects name does not multiply."""
        count = 20_000
        many = b"](" + text("a.IA") + b"q\x03" + b"h\x03" * count + b"e"
        plugin = b"h\x01)\x81}(" + text("dropin") + b"h\x00" + text("name") + text("p")
        plugin += text("description") + b"N" + text("provided") + b"]" + text("interfaces")
        first = PLUGIN_CLASS + b"q\x01)\x81" + plugin[4:] + many + b"q\x04ub"
        for others, expected in ((0, True), (count, False)):
            listed = b"](" + first + (plugin + b"h\x04ub") * others + b"e"
            assert expected is (decode(crafted(plugins=listed)) is not None)

    @pytest.mark.parametrize("place", ["name", "description", "module", "interfaces", "digest"])
    def test_one_text_named_by_many(self, place: str) -> None:
        """A text that many objects name is not so long that the entries could not be written."""
        length = 1 << 20
        big = b"X" + length.to_bytes(4, "little") + b"x" * length
        again = {place: b"h\x05"}

        def plugin(values: dict[str, bytes]) -> bytes:
            module = values.get("module", text("m"))
            state = text("dropin") + b"h\x00" + text("name") + values.get("name", text("p"))
            state += text("description") + values.get("description", b"N")
            state += text("provided") + b"](" + module + text("I") + b"\x93e"
            state += text("interfaces") + b"](" + values.get("interfaces", b"") + b"e"
            return PLUGIN_CLASS + b")\x81}(" + state + b"ub"

        def dropin(key: str, values: dict[str, bytes]) -> bytes:
            state = text("moduleName") + text(key) + text("description") + b"N"
            state += text("plugins") + b"](" + plugin(values) + b"e"
            state += text("fingerprint") + b"K\x01K\x01" + values.get("digest", text("")) + b"\x87"
            return text(key) + DROPIN_CLASS + b")\x81q\x00}(" + state + b"ub"

        for count, expected in ((62, True), (64, False)):
            entries = [dropin(f"x{number}", again) for number in range(count)]
            data = b"}(" + dropin("y", {place: big + b"q\x05"}) + b"".join(entries) + b"u."
            assert expected is (decode(data) is not None)

    @pytest.mark.parametrize("size", [100_000, 400_000, 2_700_000])
    @pytest.mark.parametrize("kind", ["module", "interface", "inherited", "both"])
    def test_growth(self, kind: str, size: int) -> None:
        """What can be told of the entries grows no faster than the file, in either form of it."""
        long, count = "I" * (size // 2), size // 80
        made = CachedDropin(f"{long}.m" if kind == "module" else "app.plugins.m", None)
        references = (InterfaceName("m", long),) if kind in {"interface", "both"} else ()
        names = (f"m.{long}",) if kind in {"inherited", "both"} else ()
        for _ in range(count):
            CachedPlugin.from_references(made, "p", None, references, names)
        data = encode([made])
        assert decode(data) is None
        assert decode(data[: -_decode.SEAL_SIZE] + b".") is None

    def test_growth_of_real_names(self) -> None:
        """Many plugins with long names are no reason to refuse a cache."""
        made = CachedDropin("a_package_with_a_name.plugins.and_a_module_with_one", None)
        names = tuple(
            f"{'package.' * 8}interfaces.IWith{'Long' * 5}{number}" for number in range(9)
        )
        for number in range(2_000):
            CachedPlugin.from_references(made, f"plugin{number}", None, (), names)
        assert 2_000 == len((decode(encode([made])) or {})[made.moduleName.split(".")[-1]].plugins)

    def test_one_plugin_named_by_many(self) -> None:
        """Nor is a plugin with many interfaces, named many times, looked at that many times."""
        count = 20_000
        many = b"](" + REFERENCE + b"q\x03" + b"h\x03" * count + b"e"
        state = text("dropin") + b"h\x00" + text("name") + text("p") + text("description") + b"N"
        plugin = PLUGIN_CLASS + b")\x81q\x04}(" + state + text("provided") + many + b"ub"
        for others, expected in ((10, True), (count, False)):
            listed = b"](" + plugin + b"h\x04" * others + b"e"
            assert expected is (decode(crafted(plugins=listed)) is not None)

    def test_index_into_nowhere(self) -> None:
        """An index of four billion takes no more memory than any other."""
        far = b"](" + REFERENCE + b"r\xff\xff\xff\xffj\xff\xff\xff\xffe"
        tracemalloc.start()
        try:
            assert decode(crafted(provided=far)) is not None
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert peak < 100_000

    @pytest.mark.parametrize(
        "unit",
        [
            *(b"}", b"(", b"]", b")", b"N", b"N\x94", b"\x8c\x00", b"\x8c\x00\x8c\x00\x93"),
            *(
                b"ca\na\n",
                b"J\x00\x01\x01\x00",
                b"K\x01q\x00",
                b"h\x00)\x81",
                b"NNN\x87",
                b"\x8a\x00",
            ),
        ],
    )
    def test_memory(self, monkeypatch: pytest.MonkeyPatch, unit: bytes) -> None:
        """The worst that a file of the allowed size can take is some gigabyte."""
        # All scaled down, because it would take minutes.
        scale = 1024
        monkeypatch.setattr(_unpickle, "_MAX_OPCODES", _unpickle._MAX_OPCODES // scale)
        data = DROPIN_CLASS + b"q\x00" + unit * (_decode.MAX_SIZE // scale // len(unit)) + b"."
        tracemalloc.start()
        try:
            assert decode(data) is None
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert peak * scale < 5 << 28

    def test_opcodes(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """More opcodes than any cache can need are refused."""
        data = crafted()
        assert decode(data) is not None
        monkeypatch.setattr(_unpickle, "_MAX_OPCODES", 10)
        assert decode(data) is None

    @pytest.mark.parametrize("opening", [b"(", b"]", b"}", b"]q\x00h\x00", b"N", b"NNN\x87"])
    def test_nesting(self, opening: bytes) -> None:
        """Things in things in things are refused, and nothing overflows."""
        for closing in (b"a", b"e", b"\x87", b"s", b"u", b"b", b"\x81", b"\x93"):
            assert decode(opening * 50_000 + closing * 50_000 + b".") is None
