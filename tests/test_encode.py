"""Tests of encoding caches."""

from __future__ import annotations

import hashlib
import io
import itertools
import pickletools

import pytest

from conftest import LONG, run_python
from dropin_cache import CachedDropin, CachedPlugin, IPlugin
from dropin_cache._decode import decode
from dropin_cache._encode import encode
from dropin_cache._model import Fingerprint, InterfaceName
from reader_support import LIBRARY, LONG_AGO, SAMPLE, entry, facts, sample

MARKER = InterfaceName("dropin_cache", "IPlugin")

# Something with sets and dictionaries in it whose order depends on the hash seed.
_PROGRAM = """
import sys
from dropin_cache._encode import encode
from dropin_cache._model import CachedDropin, CachedPlugin, Fingerprint, InterfaceName

dropins = []
for name in {"alpha", "beta", "gamma", "delta", "epsilon"}:
    dropin = CachedDropin("app.plugins." + name, "Text of " + name)
    dropin.fingerprint = Fingerprint(len(name), 10**18 + len(name), "0" * 64)
    for number in range(3):
        references = (InterfaceName("app.interfaces", "I" + name), InterfaceName("a", "IPlugin"))
        CachedPlugin.from_references(
            dropin, f"plugin{number}", None, references, ("a.IPlugin", "app.interfaces.I" + name)
        )
    dropins.append(dropin)
print(encode(dropins).hex())
"""


def only(value: int) -> int:
    """Send a number through a cache, in the place of a size."""
    dropin = entry("app.plugins.x", fingerprint=Fingerprint(value, 0, ""))
    decoded = decode(encode([dropin]))
    return decoded["x"].fingerprint.size


class TestBytes:
    """What the bytes are."""

    def test_are_a_pickle(self) -> None:
        """The standard library's disassembler finds a well-formed pickle of protocol 4 at most."""
        opcodes = list(pickletools.genops(SAMPLE))
        assert opcodes[0][1] == 4
        assert max(opcode.proto for opcode, _, _ in opcodes) <= 4
        pickletools.dis(SAMPLE, io.StringIO())

    def test_name_only_two_classes(self) -> None:
        """The globals are Twisted's two classes and the interfaces; none is called."""
        opcodes = {opcode.name for opcode, _, _ in pickletools.genops(SAMPLE)}
        assert not opcodes & {"REDUCE", "INST", "OBJ", "NEWOBJ_EX", "GLOBAL", "EXT1", "PERSID"}

    def test_end_with_a_checksum(self) -> None:
        """The last thing is a text that is pushed and thrown away again."""
        assert ["SHORT_BINUNICODE", "POP", "STOP"] == [
            opcode.name for opcode, _, _ in list(pickletools.genops(SAMPLE))[-3:]
        ]

    def test_say_a_name_once(self) -> None:
        """What comes again is not written again."""
        assert SAMPLE.count(b"CachedPlugin") == 1
        assert SAMPLE.count(b"app.interfaces.IGreeter") == 1


class TestOrder:
    """Same input, same bytes."""

    def test_of_dropins(self) -> None:
        """The order in which drop-ins come makes no difference."""
        dropins = [*sample(), entry("app.plugins.another")]
        encoded = {encode(permuted) for permuted in itertools.permutations(dropins)}
        assert len(encoded) == 1
        assert ["another", "empty", "full"] == list(decode(encoded.pop()))

    def test_of_plugins(self) -> None:
        """Plugins keep the order of their definition."""
        dropin = entry("app.plugins.x", *((name, None, (), ()) for name in "zay"))
        decoded = decode(encode([dropin]))
        assert ["z", "a", "y"] == [plugin.name for plugin in decoded["x"].plugins]

    def test_of_interfaces(self) -> None:
        """Interfaces keep theirs, since it decides which adapter is used."""
        references = tuple(InterfaceName("app", name) for name in ("IZ", "IA", "IY"))
        dropin = entry("app.plugins.x", ("plugin", None, references, ()))
        decoded = decode(encode([dropin]))
        assert references == decoded["x"].plugins[0].references

    def test_identity_of_strings(self) -> None:
        """Whether equal strings are one object makes no difference."""
        name = "app.plugins.x"
        copies = ["".join(name) for _ in range(2)]
        copies[1] = (name + " ")[:-1]
        encoded = {
            encode([entry(copy, ("p", None, (InterfaceName(other, "I"),), ()))])
            for copy, other in itertools.product(copies, repeat=2)
        }
        assert len(encoded) == 1

    def test_decoded_again(self) -> None:
        """What was decoded encodes to the same bytes."""
        decoded = decode(SAMPLE)
        assert encode(decoded.values()) == SAMPLE

    def test_any_iterable(self) -> None:
        """A generator will do."""
        assert encode(dropin for dropin in sample()) == SAMPLE

    @pytest.mark.processes
    def test_hash_seeds(self) -> None:
        """Hash seeds make no difference."""
        printed = {
            run_python(_PROGRAM, path=[LIBRARY], env={"PYTHONHASHSEED": str(seed)}).stdout
            for seed in range(20 if LONG else 5)
        }
        assert len(printed) == 1
        assert decode(bytes.fromhex(printed.pop())) is not None

    def test_pythons_and_releases(self) -> None:
        """Each Python that runs this test writes these very bytes, as every release has done."""
        expected = "69995cf6092ebd93eb0bd0ba32894499cef48e90232b938daccd9943947d276e"
        assert expected == hashlib.sha256(SAMPLE).hexdigest()


class TestValues:
    """Texts and numbers of every length."""

    @pytest.mark.parametrize("exponent", [0, 1, 7, 8, 15, 16, 31, 32, 62, 63, 64, 100])
    @pytest.mark.parametrize("offset", [-1, 0, 1])
    @pytest.mark.parametrize("sign", [-1, 1])
    def test_integers(self, exponent: int, offset: int, sign: int) -> None:
        """A number survives, also where its length changes."""
        number = sign * ((1 << exponent) + offset)
        assert number == only(number)

    def test_lowest_integer(self) -> None:
        """The lowest number that the decoder takes can be written as well."""
        assert -(1 << 127) == only(-(1 << 127))

    @pytest.mark.parametrize("length", [0, 1, 254, 255, 256, 65_535, 65_536])
    @pytest.mark.parametrize("character", ["x", "\N{SNOWMAN}", "\0", "\n", "\udc80"])
    def test_texts(self, length: int, character: str) -> None:
        """A text survives, also where its length needs more bytes."""
        text = character * length
        decoded = decode(encode([entry("app.plugins.x", (text, text, (), (text,)))]))
        plugin = decoded["x"].plugins[0]
        assert (text, text, (text,)) == (plugin.name, plugin.description, plugin.interfaces)

    def test_many_names(self) -> None:
        """More names than fit into a byte are told apart when they come again."""
        interfaces = tuple(f"app.I{number}" for number in range(600))
        references = tuple(InterfaceName("app", f"I{number}") for number in range(600))
        plugins = [(name, None, references, interfaces) for name in ("first", "second")]
        dropin = entry("app.plugins.x", *plugins)
        assert facts({"x": dropin}) == facts(decode(encode([dropin])))

    def test_equal_names_of_different_things(self) -> None:
        """A module, a plugin and an interface of the same name stay what they are."""
        same = InterfaceName("plugins", "plugins")
        dropin = entry("plugins", ("plugins", "plugins", (same,), ("plugins",)))
        assert facts({"plugins": dropin}) == facts(decode(encode([dropin])))

    def test_module_without_a_package(self) -> None:
        """A name without dots is its own key."""
        assert list(decode(encode([entry("alone")]))) == ["alone"]

    def test_no_fingerprint(self) -> None:
        """Where there is none, none is written."""
        assert b"fingerprint" not in encode([entry("app.plugins.x")])
        assert b"interfaces" not in encode([entry("app.plugins.x")])

    def test_interface_objects_are_not_needed(self) -> None:
        """What is written of a plugin made from objects are its references."""
        dropin = CachedDropin("app.plugins.x", None)
        plugin = CachedPlugin(dropin, "plugin", None, [IPlugin])
        plugin.references = (MARKER,)
        dropin.fingerprint = Fingerprint(1, LONG_AGO, "0")
        expected = {
            "x": ("app.plugins.x", None, (1, LONG_AGO, "0"), [("plugin", None, (MARKER,), None)])
        }
        assert expected == facts(decode(encode([dropin])))
