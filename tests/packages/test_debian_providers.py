"""Every package of the suite that brings plugins for Twisted: come at once, go one by one."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from typing import Any

import pytest

from debian_support import DIST, NOBODY, Debian, built_packages, providers, with_providers
from roots import SUITE

pytestmark = pytest.mark.long

OURS = ["python3-dropin-cache", "dropin-cache"]

# What an import of every module tells, in the words of stock Twisted; what does not import is none.
_TRUTH = """
import importlib, json, pkgutil
import twisted.plugins
from twisted import plugin
found = {}
for module in pkgutil.iter_modules(twisted.plugins.__path__):
    try:
        loaded = importlib.import_module(f"twisted.plugins.{module.name}")
    except BaseException:
        continue
    made = plugin._generateCacheEntry(loaded)
    found[module.name] = sorted(
        [each.name, sorted(f"{one.__module__}.{one.__name__}" for one in each.provided)]
        for each in made.plugins
    )
print(json.dumps(found))
"""
_CACHED = """
import json
import twisted.plugins
from twisted import plugin
found = plugin.getCache(twisted.plugins)
print(json.dumps({name: sorted(
    [each.name, sorted(f"{one.__module__}.{one.__name__}" for one in each.provided)]
    for each in found[name].plugins
) for name in found}))
"""


@pytest.fixture
def debian(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Debian]:
    """A system with nothing of Twisted's, and all packages at hand."""
    packages = built_packages(tmp_path_factory)
    debian = Debian(with_providers())
    try:
        debian.add(packages)
        yield debian
    finally:
        debian.close()


def told(debian: Debian, program: str) -> Any:
    """Run a program as a user who can write nothing but a home, and return what it prints."""
    debian.root.run("install", "-d", "-o", str(NOBODY), "/srv/home")
    done = debian.root.run("python3", "-c", program, user=NOBODY, env={"HOME": "/srv/home"})
    return json.loads(done.out.splitlines()[-1])


def assert_right(debian: Debian) -> None:
    """Check that a user of stock Twisted has nothing to import, and finds what is there."""
    truth = told(debian, _TRUTH)
    assert truth == told(debian, _CACHED)
    seen = debian.look()
    assert ([], []) == (seen.imported, seen.messages)
    assert seen.dropins <= debian.modules()


@pytest.mark.parametrize("ours", ["first", "together", "last"])
def test_come_and_go(debian: Debian, ours: str) -> None:
    """Whenever ours comes, and in whatever order the others go, users have fresh caches."""
    names = providers()
    files = [str(debian.file(name)) for name in OURS]
    transactions = {
        "first": [[*files, "python3-twisted"], names],
        "together": [[*files, *names]],
        "last": [names, files],
    }
    for transaction in transactions[ours]:
        debian.apt("install", *transaction, timeout=1800)  # hundreds of packages
    assert_right(debian)
    random.Random(f"{SUITE} {ours}").shuffle(names)  # noqa: S311 - any order will do
    for name in names:
        debian.apt("purge", name)
        assert not debian.root.exists(f"/var/lib/dpkg/info/{name}.list")
        assert_right(debian)
    debian.apt("purge", "python3-twisted")
    assert not debian.root.exists(f"{DIST}/twisted")


def test_one_run_for_hundreds(debian: Debian) -> None:
    """However many packages one transaction brings, ours runs once, at its end."""
    debian.apt("install", *(str(debian.file(name)) for name in OURS), "python3-twisted")
    # This one activates Twisted's own trigger, and so asks for one more run of ours behind that.
    names = [name for name in providers() if name != "graphite-carbon"]
    said = debian.apt("install", *names, timeout=1800).out
    assert said.count("Setting up ") > 200
    assert said.count("Processing triggers for dropin-cache ") == 1
    assert said.rindex("Processing triggers for dropin-cache ") > said.rindex("Setting up ")
    assert_right(debian)
