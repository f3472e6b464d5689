"""Caches to begin with, and what has to hold of whatever the decoder makes of one."""

from __future__ import annotations

import importlib
import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dropin_cache._unpickle  # noqa: F401 - imported late by what is watched here
from dropin_cache import IPlugin, _cachefile
from dropin_cache._decode import SEAL_SIZE, decode
from dropin_cache._encode import encode
from dropin_cache._model import CachedDropin, Fingerprint, InterfaceName
from reader_support import LONG_AGO, SAMPLE, entry, facts
from test_hostile_caches import TestHostilePickles, check
from watch import READING, watched

Decoder = Callable[[bytes], Any]


class Accepted:
    """Counts the inputs that were caches, since a fuzzer that finds none has tested little."""

    count = 0


def check_decoder(data: bytes, decoder: Decoder = decode) -> None:
    """Decode, and check everything that is promised for any bytes at all."""
    with watched():
        found = decoder(data)
    if found is None:
        return
    Accepted.count += 1
    check(found)  # every detail of it, and that it can be written and read again
    again = encode(found.values())
    assert again == encode(decode(again).values())


def check_cache_file(data: bytes, directory: str) -> None:
    """Read it from a file: the same comes out as from the bytes."""
    with open(os.path.join(directory, "dropin.cache"), "wb") as file:
        file.write(data)
    with watched(READING):
        file = _cachefile.read_cache_file(directory)
    assert data == file.data
    assert facts(decode(data)) == facts(file.dropins())


def seeds() -> list[bytes]:
    """Make small caches of every origin: ours, Twisted's, and such as were made to do harm."""
    return [SAMPLE, SAMPLE[:-SEAL_SIZE] + b".", *_ours(), *_twisteds(), *_wrong(), *_hostile()]


def _ours() -> list[bytes]:
    marker = InterfaceName("dropin_cache", "IPlugin")
    plugin = ("p", "Text.", (marker,), ("dropin_cache.IPlugin",))
    odd = entry(
        "a.\udc80",
        ("\N{SNOWMAN}", "\ud800", (InterfaceName("", ""),), ()),
        fingerprint=Fingerprint(2**40, -LONG_AGO, ""),
    )
    return [
        encode([]),
        encode([entry("a.b", plugin, description="Text.")]),
        encode([entry(f"a.b{number}", plugin, plugin) for number in range(3)]),
        encode([odd]),
    ]


def twisted_cache(cache: list[CachedDropin]) -> dict[str, Any]:
    """Make what Twisted would keep for these entries, with an interface that it can find."""
    original = importlib.import_module("twisted.plugin")
    made = {}
    for ours in cache:
        key = ours.moduleName.rpartition(".")[2]
        made[key] = original.CachedDropin(ours.moduleName, ours.description)
        for plugin in ours.plugins:
            provided = [IPlugin] * len(plugin.references)
            original.CachedPlugin(made[key], plugin.name, plugin.description, provided)
    return made


def _twisteds() -> list[bytes]:
    marker = (InterfaceName("dropin_cache", "IPlugin"),)
    one = entry("a.b", ("p", "Text.", marker, ()), ("q", None, (), ()), description="Text.")
    cache = twisted_cache([one, entry("a.c")])
    return [
        *(pickle.dumps(cache, protocol) for protocol in range(6)),
        *(pickle._dumps(cache, protocol) for protocol in range(6)),
    ]


def _wrong() -> list[bytes]:
    """Make caches each of which has one thing that does not belong there."""
    marker = (InterfaceName("dropin_cache", "IPlugin"),)
    both = [entry("a.b", ("p", None, marker, ())), entry("a.c", ("q", None, marker, ()))]

    def made(change: Callable[[Any, Any], object]) -> bytes:
        cache = twisted_cache(both)
        for dropin in cache.values():
            dropin.fingerprint = (1, 2, "digest")
            dropin.plugins[0].interfaces = ["dropin_cache.IPlugin"]
        change(cache["b"], cache["c"])
        return pickle.dumps(cache, 4)

    return [
        made(lambda one, other: None),
        made(lambda one, other: one.plugins.append(other.plugins[0])),
        made(lambda one, other: one.plugins.append(one)),
        made(lambda one, other: setattr(one, "moduleName", "a.c")),
        made(lambda one, other: setattr(one, "description", 1)),
        made(lambda one, other: setattr(one, "plugins", other.plugins)),
        made(lambda one, other: setattr(one, "fingerprint", ("1", 2, "digest"))),
        made(lambda one, other: setattr(one.plugins[0], "dropin", None)),
        made(lambda one, other: setattr(one.plugins[0], "name", None)),
        made(lambda one, other: setattr(one.plugins[0], "provided", ["dropin_cache.IPlugin"])),
        made(lambda one, other: setattr(one.plugins[0], "interfaces", [IPlugin])),
        made(lambda one, other: vars(one).pop("plugins")),
        made(lambda one, other: vars(one.plugins[0]).pop("dropin")),
    ]


def _hostile() -> list[bytes]:
    return [
        *TestHostilePickles().pickles(Path("/nonexistent/flag")),
        b"\x80\x04}r\xff\xff\xff\xff.",
        b"\x80\x04\x8d\xff\xff\xff\xff\xff\xff\xff\xff}.",
        b"\x8a\xff" + b"\x7f" * 255 + b".",
        b"N" + b"NN\x87" * 100 + b".",
        b"]" + b"]\x94ah\x00" * 100 + b".",
        b"]q\x00" + b"h\x00h\x00\x86q\x00" * 30 + b".",
        b"(" * 200 + b".",
    ]
