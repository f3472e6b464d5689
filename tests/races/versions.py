"""A drop-in, and a module it imports, that are replaced again and again; what is whole of them."""

from __future__ import annotations

import hashlib
import os
import random
import time
from pathlib import Path
from typing import NamedTuple

from dropin_cache._cachefile import read_cache_file

_LONG_AGO = 1_500_000_000 * 10**9  # the time of every version
_DROPIN = """\
"Version {0}."
from zope.interface import implementer
from dropin_cache import IPlugin
from app import depends

class Plugin:
    __doc__ = f"{0}, depends on {{depends.FIRST}}{{depends.LAST}}"

first_{0} = implementer(IPlugin)(Plugin)()
last_{0} = implementer(IPlugin)(type("Last", (), {{"__doc__": Plugin.__doc__}}))()
"""
_DEPENDS = "FIRST = '{0}'\n" + "# what makes it longer\n" * 9 + "LAST = '{0}'\n"


class Seen(NamedTuple):
    """Which version of a drop-in a cache describes, and with which one of what it imports.

    Attributes:
        version: Its own version; empty where the file was.
        depends: That of the other module.
    """

    version: str
    depends: str


class Versions:
    """The two files, and every content that they ever have.

    Both versions of a file have the same size and the same time. One that is written in place is
    also empty for a moment.

    Attributes:
        plugins: The plugin directory.
    """

    def __init__(self, root: Path) -> None:
        """Make the application `app` in an import root."""
        self.plugins = root / "app" / "plugins"
        self._files = {self.plugins / "changing.py": _DROPIN, root / "app" / "depends.py": _DEPENDS}
        self.plugins.mkdir(parents=True)
        (root / "app" / "__init__.py").touch()
        (self.plugins / "__init__.py").touch()
        for path, text in self._files.items():
            self._replace(path, text.format("A"))

    def burst(self, longest: float) -> None:
        """Change the files, a few times in quick succession, and wait for up to some seconds."""
        for _ in range(random.choice([1, 1, 2, 3, 10])):  # noqa: S311 - no secret
            path = random.choice(list(self._files))  # noqa: S311
            text = self._files[path].format(random.choice("AB"))  # noqa: S311
            random.choice([self._replace, self._overwrite])(path, text)  # noqa: S311
        time.sleep(random.choice([0, random.uniform(0, longest)]))  # noqa: S311

    @staticmethod
    def _replace(path: Path, text: str) -> None:
        new = path.with_suffix(".new")
        new.write_text(text)
        os.utime(new, ns=(_LONG_AGO, _LONG_AGO))
        new.rename(path)

    @staticmethod
    def _overwrite(path: Path, text: str) -> None:
        path.write_text(text)
        os.utime(path, ns=(_LONG_AGO, _LONG_AGO))

    def there(self) -> Seen | None:
        """Return the versions that are there now; None if they cannot be imported."""
        dropin, depends = (path.read_text() for path in self._files)
        if not dropin:
            return Seen("", "")
        return None if not depends else Seen(dropin[len('"Version ')], depends[len("FIRST = '")])

    def cached(self) -> Seen | str | None:
        """Return what the cache describes; None if nothing, in words if it is a mixture."""
        file = read_cache_file(str(self.plugins))
        if file is None:
            return None
        entries = file.dropins()
        if entries is None:
            return f"damaged: {file.data!r}"
        if "changing" not in entries:
            return None
        entry = entries["changing"]
        words = entry.description, [(each.name, each.description) for each in entry.plugins]
        taken = entry.fingerprint and (entry.fingerprint.size, entry.fingerprint.digest)
        for version in "AB":
            content = _DROPIN.format(version).encode()
            for depends in "AB":
                text = f"{version}, depends on {depends}{depends}"
                whole = (
                    f"Version {version}.",
                    [(f"first_{version}", text), (f"last_{version}", text)],
                )
                if (words, taken) == (whole, _taken(content)):
                    return Seen(version, depends)
        if (words, taken) == ((None, []), _taken(b"")):
            return Seen("", "")
        return f"a mixture: {words}, {taken}"


def _taken(content: bytes) -> tuple[int, str]:
    return len(content), hashlib.sha256(content).hexdigest()
