"""The harness finds what it looks for, in decoders that have it."""

from __future__ import annotations

import importlib
import sys
from pickletools import genops

import pytest

import caches
import flawed
from caches import SAMPLE, check_decoder, seeds
from conftest import Tree
from dropin_cache import _unpickle
from dropin_cache._decode import decode
from opcodes import split
from runs import count, guided
from watch import WatchError, watched


class TestGuided:
    """What atheris reports, when it may try a few thousand inputs."""

    @pytest.mark.parametrize(
        ("name", "expected"),
        [
            ("plain", "'pickle.find_class'"),
            ("leaky", "IndexError"),
            ("greedy", "it made the process grow by"),
        ],
    )
    def test_flawed(self, name: str, expected: str) -> None:
        """It ends with the flaw, and with the input that shows it."""
        outcome = guided(f"flawed: {name}", 200_000, seed=1)  # it ends with the first
        assert (77, 1) == (outcome.status, len(outcome.findings))
        assert expected in outcome.report()
        assert "Base64: " in outcome.report()
        count("flawed decoders", reported=1)


class TestCheck:
    """What the check says of single inputs."""

    def test_code_that_runs(self, tree: Tree, monkeypatch: pytest.MonkeyPatch) -> None:
        """Unpickling with a look at the types afterwards has run the file's code by then."""
        tree.write("fuzz_trap.py", "RUN = True")
        monkeypatch.syspath_prepend(str(tree.path))
        hostile = b"cfuzz_trap\nRUN\n."
        with pytest.raises(WatchError, match="import of fuzz_trap"):
            check_decoder(hostile, flawed.plain)
        assert sys.modules["fuzz_trap"].RUN
        check_decoder(hostile)

    def test_module_that_appears(self) -> None:
        """A module that comes from elsewhere than an import is seen as well."""

        def forge(data: bytes) -> None:
            sys.modules["fuzz_forged"] = importlib

        with pytest.raises(WatchError, match="which modules are loaded"):
            check_decoder(b"", forge)
        del sys.modules["fuzz_forged"]

    def test_half_a_cache(self) -> None:
        """A decoder that returns what is not whole is found out."""

        def unchecked(data: bytes) -> object:
            return _unpickle.Machine(data).run()

        with pytest.raises(AssertionError):
            check_decoder(b"}(\x8c\x01xNu.", unchecked)

    def test_the_watch_ends(self) -> None:
        """What is done when nobody watches is nobody's business."""
        with watched():
            pass
        with pytest.raises(ModuleNotFoundError):
            importlib.import_module("fuzz_this_is_not_there")

    def test_wrong_seeds(self) -> None:
        """Of the caches that are wrong in one thing each, none is accepted; the first is right."""
        found = [decode(data) is not None for data in caches._wrong()]
        assert [True] + [False] * 12 == found

    def test_seeds(self) -> None:
        """The inputs to begin with are of every protocol, and are split where an opcode ends."""
        found = seeds()
        assert SAMPLE in found
        assert {2, 3, 4, 5} == {data[1] for data in found if data[:1] == b"\x80"}
        assert [op.code for op, _, _ in genops(SAMPLE)] == [chr(each[0]) for each in split(SAMPLE)]
        assert all(data == b"".join(split(data)) for data in found)
