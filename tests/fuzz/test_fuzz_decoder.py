"""Caches made from models: what goes in comes out, and Twisted sees the same."""

from __future__ import annotations

import importlib
import os
import pickle
import pickletools
import sys
import tracemalloc
from pathlib import Path
from random import Random
from types import ModuleType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import dropin_cache
from caches import SAMPLE, check_decoder, seeds, twisted_cache
from conftest import Tree
from dropin_cache._decode import decode
from dropin_cache._encode import encode
from dropin_cache._model import CachedDropin, Fingerprint, InterfaceName
from opcodes import changed, respelled
from reader_support import LONG_AGO, entry, facts
from runs import chosen, count
from tally import LONG
from test_decode import caches, expected_facts, texts

_SHARDS = range(2 if LONG else 1)
_SEEDS = seeds()
_MUTANTS = 25  # of each input that Hypothesis chooses
# More than any input needs that is taken for a cache; see TestBounds in test_decode.
_MOST, _LEAST = 200, 1 << 16

# Every number that the format holds.
_NUMBERS = st.integers(-(1 << 127), (1 << 127) - 1)
_FINGERPRINTS = st.builds(Fingerprint, _NUMBERS, _NUMBERS, texts)
_KEYS = ["a1", "b2", "c3", "d4"]
# Interfaces that are there; what Twisted's cache names, Twisted imports.
_INTERFACES = [
    "dropin_cache.IPlugin",
    "twisted.plugin.IPlugin",
    "zope.interface.interfaces.IInterface",
]
_PLUGINS = st.tuples(
    texts, st.none() | texts, st.lists(st.sampled_from(_INTERFACES), unique=True, max_size=3)
)
_DIRECTORIES = st.dictionaries(
    st.sampled_from(_KEYS), st.tuples(st.none() | texts, st.lists(_PLUGINS, max_size=3))
)


class TestRoundTrip:
    """What can be in the model."""

    @pytest.mark.parametrize("shard", _SHARDS)
    def test_model(self, shard: int) -> None:
        """Whatever it is, it is the same after it was written and read."""
        tried = 0

        @chosen(150, 2500)
        @given(caches, st.none() | _FINGERPRINTS)
        def check(cache: list[CachedDropin], fingerprint: Fingerprint | None) -> None:
            nonlocal tried
            tried += 1
            for dropin in cache:
                dropin.fingerprint = fingerprint
            data = encode(cache)
            expected = facts({dropin.moduleName.rpartition(".")[2]: dropin for dropin in cache})
            assert expected == facts(decode(data))
            check_decoder(data)

        check()
        count("models", executions=tried)


class TestMutants:
    """Caches in which some opcodes were changed."""

    @pytest.mark.parametrize("shard", _SHARDS)
    def test_opcodes(self, shard: int) -> None:
        """Whatever was changed, it is no cache, or a whole one, and memory stays bounded."""
        tried = 0

        @chosen(60, 4000)
        @given(st.sampled_from(_SEEDS) | caches.map(encode), st.randoms(use_true_random=False))
        def check(data: bytes, random: Random) -> None:
            nonlocal tried
            number = Random(random.getrandbits(64))  # noqa: S311 - no secret
            for _ in range(_MUTANTS):
                tried += 1
                data = changed(data, number)[:10_000] or SAMPLE
                check_decoder(data)
            tracemalloc.start()
            try:
                decode(data)
                assert tracemalloc.get_traced_memory()[1] <= _MOST * len(data) + _LEAST
            finally:
                tracemalloc.stop()

        check()
        count("mutants", executions=tried)


class TestAsTwistedSees:
    """Caches that Twisted writes, and how it reads them and ours."""

    @pytest.mark.parametrize("shard", _SHARDS)
    def test_pickles(self, shard: int) -> None:
        """Whatever the pickler, and whatever words it chooses, ours makes of it what it meant."""
        tried = 0

        @chosen(60, 2500)
        @given(caches, st.integers(2, 5), st.booleans(), st.randoms(use_true_random=False))
        def check(cache: list[CachedDropin], protocol: int, slow: bool, random: Random) -> None:
            nonlocal tried
            stock = twisted_cache(cache)
            data = (pickle._dumps if slow else pickle.dumps)(stock, protocol)
            expected = expected_facts(stock)
            for spelled in (data, pickletools.optimize(data), respelled(data, random)):
                tried += 1
                assert expected == expected_facts(pickle.loads(spelled)) == facts(decode(spelled))

        check()
        count("pickles of Twisted", executions=tried, disagreements=0)

    @pytest.fixture
    def package(self, tree: Tree, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
        """A plugin package with drop-ins that nobody may import."""
        tree.write("app/__init__.py")
        tree.write("app/plugins/__init__.py")
        # One in which Twisted has found nothing is believed if it can have nothing for us.
        text = "raise SystemExit  # twisted IPlugin"
        for key in _KEYS:
            tree.write(f"app/plugins/{key}.py", text, LONG_AGO)
        monkeypatch.setattr(sys, "dont_write_bytecode", True)
        monkeypatch.syspath_prepend(str(tree.path))
        return importlib.import_module("app.plugins")

    @pytest.mark.parametrize("shard", _SHARDS)
    def test_get_cache(self, package: ModuleType, tree: Tree, shard: int) -> None:
        """Twisted's getCache and ours give the same, whichever of the two wrote the cache."""
        original = importlib.import_module("twisted.plugin")
        file = tree.path / "app/plugins/dropin.cache"
        tried = 0

        @chosen(25, 700)
        @given(_DIRECTORIES, st.integers(2, 4))
        def check(directory: dict[str, Any], protocol: int) -> None:
            nonlocal tried
            ours = [_entry(tree.path, key, *directory.get(key, (None, []))) for key in _KEYS]
            stock = {each.moduleName.rpartition(".")[2]: _stock(original, each) for each in ours}
            for data in (encode(ours), pickle.dumps(stock, protocol)):
                tried += 1
                file.write_bytes(data)
                before = {name for name in sys.modules if name.startswith("app")}
                theirs, found = original.getCache(package), dropin_cache.getCache(package)
                assert _seen(stock) == _seen(theirs) == _seen(found)
                assert before == {name for name in sys.modules if name.startswith("app")}
                assert data == file.read_bytes()

        check()
        count("getCache of Twisted", executions=tried, disagreements=0)


def _entry(path: Path, key: str, description: str | None, plugins: list[Any]) -> CachedDropin:
    names = [
        (name, text, tuple(InterfaceName(*each.rsplit(".", 1)) for each in interfaces), ())
        for name, text, interfaces in plugins
    ]
    size = os.stat(path / f"app/plugins/{key}.py").st_size
    fingerprint = Fingerprint(size, LONG_AGO, "0" * 64)
    return entry(f"app.plugins.{key}", *names, description=description, fingerprint=fingerprint)


def _stock(original: ModuleType, ours: CachedDropin) -> Any:
    dropin = original.CachedDropin(ours.moduleName, ours.description)
    for plugin in ours.plugins:
        original.CachedPlugin(dropin, plugin.name, plugin.description, plugin.provided)
    return dropin


def _seen(cache: Any) -> Any:
    """Return what an application sees of a cache, interfaces as objects."""
    return {
        key: (
            dropin.moduleName,
            dropin.description,
            [(each.name, each.description, each.provided) for each in dropin.plugins],
        )
        for key, dropin in cache.items()
    }
