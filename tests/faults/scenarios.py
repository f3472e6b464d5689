"""What an update can have to do: each time something else is written or removed."""

from __future__ import annotations

import shutil
from typing import Callable, NamedTuple, Optional

from fault_points import NEXT, Problem
from fault_support import STATE, Site

Contents = tuple[Optional[bytes], Optional[bytes]]


class Scenario(NamedTuple):
    """Something that an update has to do.

    Attributes:
        name: In words.
        prepare: Brings a site into a state in which it has to be done, and returns what the cache
            is before and afterwards.
        finished: Says what has not been done.
    """

    name: str
    prepare: Callable[[Site], Contents]
    finished: Callable[[Site], list[Problem]] = lambda _: []


def _first(site: Site) -> Contents:
    shutil.rmtree(STATE, ignore_errors=True)
    site.install()
    site.cache.unlink(missing_ok=True)
    return None, site.contents["IGreeter"]


def _overwrite(site: Site) -> Contents:
    site.install()
    if site.content() is None:
        site.put_cache()
    old = site.content()
    interface, new = next(each for each in site.contents.items() if each[1] != old)
    site.change(interface)
    return old, new


def _remove(site: Site) -> Contents:
    site.install()
    site.remove_dropins()
    site.put_cache()
    return site.contents["IGreeter"], None


def _prune(site: Site) -> Contents:
    """Have the cache be all that is left of the application, as when a package is removed."""
    shutil.rmtree(site.app, ignore_errors=True)
    site.put_cache()
    site.put_ledger()
    return site.contents["IGreeter"], None


def _pruned(site: Site) -> list[Problem]:
    return [Problem(NEXT, f"{site.app} is still there")] if site.app.exists() else []


FIRST = Scenario("first cache", _first)
OVERWRITE = Scenario("another cache", _overwrite)
REMOVE = Scenario("no cache any more", _remove)
PRUNE = Scenario("no package any more", _prune, _pruned)
SCENARIOS = (FIRST, OVERWRITE, REMOVE, PRUNE)


def long_step(scenario: Scenario) -> int:
    """Return which of the calls that change nothing the long form has: each, or each tenth.

    An update reads much more than it changes, and nearly the same in all scenarios.
    """
    return 1 if scenario is OVERWRITE else 10
