"""What the update reads: the answers of its child, its ledger, and the files of the system."""

from __future__ import annotations

import csv
import io
import json
import os
import tracemalloc
from collections.abc import Callable
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

import state
import systems
from dropin_cache.update.discovery import distributions
from dropin_cache.update.files.trusted import Files
from dropin_cache.update.settings import configuration
from dropin_cache.update.settings.configuration import PackageLine
from dropin_cache.update.state.ledger import DirectoryRecord, Ledger
from runs import chosen, count, fast_directory
from tally import LONG
from targets import target

_SHARDS = range(2 if LONG else 1)
_MUTANTS = 5  # of each input that Hypothesis chooses
_TARGETS = ["answers", "ledger", "configuration", "records", "prefix"]

_VISIBLE = st.characters(whitelist_categories=("L", "N", "P", "S"))
_DOTTED = st.lists(st.from_regex(r"[^\W\d]\w{0,5}", fullmatch=True), min_size=1, max_size=3)
_ROOTS = st.lists(st.text(_VISIBLE, max_size=8).map("/".__add__), unique=True, max_size=3)
_PACKAGES = st.dictionaries(
    _DOTTED.map(".".join).filter(lambda name: all(map(str.isidentifier, name.split(".")))),
    _ROOTS,
    max_size=4,
)
_FILES = st.text(
    st.characters(blacklist_characters="\n\r\0/", blacklist_categories=["Cs"])
    | st.sampled_from(['"', ",", " ", "\udc80", "'", "\\"]),
    min_size=1,
    max_size=12,
).filter(lambda name: name not in {".", ".."})
_TEXTS = st.text(max_size=8)
_NUMBERS = st.integers(-(2**64), 2**64)
_DROPINS = st.tuples(
    st.none() | st.lists(_NUMBERS, min_size=4, max_size=4),
    st.tuples(_NUMBERS, _NUMBERS, _TEXTS).map(list),
    *(_TEXTS, st.lists(_TEXTS, max_size=2), st.none() | _TEXTS, _TEXTS, _TEXTS),
    st.lists(_TEXTS, max_size=2),
).map(list)
_DIRECTORIES = st.dictionaries(
    _TEXTS,
    st.builds(
        DirectoryRecord,
        *(_TEXTS, _TEXTS, st.lists(_TEXTS, max_size=2), st.none() | _TEXTS, _NUMBERS, _NUMBERS),
        st.dictionaries(_TEXTS, _DROPINS, max_size=2),
    ),
    max_size=3,
)


class TestMutants:
    """Good inputs, changed as what they are: values of JSON, lines of text."""

    @pytest.mark.parametrize("shard", _SHARDS)
    @pytest.mark.parametrize("name", _TARGETS)
    def test_changed(self, name: str, shard: int) -> None:
        """Whatever was changed, nothing escapes but the errors that are documented."""
        tried = 0
        with fast_directory() as directory:
            aim = target(name, directory)

            @chosen(12, 500 if name == "prefix" else 2500)
            @given(st.sampled_from(aim.seeds), st.randoms(use_true_random=False))
            def check(data: bytes, random: Random) -> None:
                nonlocal tried
                number = Random(random.getrandbits(64))  # noqa: S311 - no secret
                for _ in range(_MUTANTS):
                    tried += 1
                    data = aim.change(data, number)[:10_000]
                    aim.check(data)

            check()
        count(name, executions=tried)


class TestRoundTrips:
    """What is written as the formats have it is read as it was meant."""

    def test_packages(self) -> None:
        """Every package and every import root that a file can name is found in it."""
        tried = 0
        with fast_directory() as directory:
            root = os.path.realpath(directory)
            systems.prepare(root)
            path = root + configuration.PACKAGE_DIRECTORIES[1] + "/x.conf"

            @chosen(20, 3000)
            @given(
                _PACKAGES, st.sampled_from([" ", "\t", "  \t "]), st.sampled_from(["\n", "\r\n"])
            )
            def check(packages: dict[str, list[str]], space: str, end: str) -> None:
                nonlocal tried
                tried += 1
                rows = [space.join(["", name, *roots, end]) for name, roots in packages.items()]
                with open(path, "wb") as file:
                    file.write("".join(["# first", end, *rows]).encode())
                with Files(enforced=False, root=root) as files:
                    settings = configuration.load(files)
                assert () == settings.problems
                expected = [PackageLine(name, tuple(roots)) for name, roots in packages.items()]
                assert expected == list(settings.packages)

            check()
        count("packages.d", executions=tried)

    def test_records(self) -> None:
        """Every file that a RECORD can name is found in it, however it has to be quoted."""
        tried = 0
        with fast_directory() as directory:
            os.mkdir(f"{directory}/a-1.dist-info")

            @chosen(60, 5000)
            @given(st.lists(_FILES, min_size=1, max_size=4), st.booleans())
            def check(names: list[str], everything: bool) -> None:
                nonlocal tried
                tried += 1
                text = io.StringIO(newline="")
                quoting = csv.QUOTE_ALL if everything else csv.QUOTE_MINIMAL
                csv.writer(text, quoting=quoting).writerows([name, "sha256=x", 1] for name in names)
                with open(f"{directory}/a-1.dist-info/RECORD", "wb") as file:
                    file.write(text.getvalue().encode("utf-8", "surrogateescape"))
                wanted = [f"{directory}/{name}" for name in names]
                with Files(enforced=False) as files:
                    found = distributions.distributions(wanted, [directory], files)
                claim = distributions.Distribution("a", f"{directory}/a-1.dist-info")
                assert {path: [claim] for path in wanted} == found

            check()
        count("RECORD", executions=tried)

    def test_ledger(self) -> None:
        """Whatever it says of directories, it says after it was saved and loaded."""
        tried = 0
        with fast_directory() as directory, Files(enforced=False) as files:

            @chosen(40, 3000)
            @given(_DIRECTORIES, st.none() | _TEXTS.filter(bool))
            def check(directories: dict[str, DirectoryRecord], sandbox: str | None) -> None:
                nonlocal tried
                tried += 1
                path = os.path.join(directory, "ledger")
                ledger = Ledger(path, files)
                ledger.directories, ledger.sandbox = directories, sandbox
                ledger.save()
                again = Ledger(path, files)
                assert (directories, sandbox) == (again.directories, again.sandbox)

            check()
        count("ledger", executions=tried)


_SIZE = 1 << 19 if LONG else 1 << 14
_CAP = 16 << 20  # bytes that are set aside for any file of this kind, however small
_LINES = [b"\n", b"ab\n", b"x.py,,\n", b'"\n', b","]
_JSON = [b"[]", b"{}", b'""', b"1", b"1.5", b'"a"', b"null", b'{"a":1}', b"[[]]", b'"\\ud800"']


class TestAmplification:
    """Inputs of which each few bytes take as much memory as they can."""

    def peak(self, read: Callable[[], object]) -> int:
        """Return how many bytes something takes at most."""
        tracemalloc.start()
        try:
            read()
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    @pytest.mark.parametrize("piece", _JSON, ids=range(len(_JSON)))
    def test_answers(self, piece: bytes) -> None:
        """An answer takes no more than forty times its size, of which there are 4 MiB at most."""
        head = json.dumps({"of": state.ABOUT})[:-1].encode("ascii")
        line = head + b', "path": [' + b",".join([piece] * (_SIZE // (len(piece) + 1))) + b"]}"
        assert self.peak(lambda: state.check_answer(line)) < 40 * len(line)

    @pytest.mark.parametrize("piece", _LINES, ids=range(len(_LINES)))
    def test_records(self, piece: bytes) -> None:
        """What is recorded of files takes no more than sixty times its size."""
        data = piece * (_SIZE // len(piece))
        with fast_directory() as directory:
            root = os.path.realpath(directory)
            systems.prepare(root)
            for which in (b"\0", b"\1", b"\2", b"\3"):
                taken = self.peak(lambda: systems.check_records(which + data, root))  # noqa: B023
                assert taken < 60 * len(data) + _CAP

    @pytest.mark.parametrize("piece", _LINES, ids=range(len(_LINES)))
    def test_entry_points(self, piece: bytes) -> None:
        """Entry points take no more than 250 times their size: lines that are wrong are kept."""
        data = b"\4[dropin_cache.packages]\n" + piece * ((1 << 14) // len(piece))
        assert self.peak(lambda: systems.check_records(data, "")) < 250 * len(data)
