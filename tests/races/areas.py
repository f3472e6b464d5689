"""A place for root and another user: victims, a site to look after, and what is to be seen."""

from __future__ import annotations

import contextlib
import os
import shutil
from pathlib import Path
from typing import Any

from command_line import bare_environment, mounted_image
from dropin_cache._cachefile import read_cache_file
from dropin_cache.update.orchestrator import update
from dropin_cache.update.report import Request
from looping import DATA
from swapping import differences, inventory

ATTACKER = 54321
"""Nobody else's number, in particular not that of who imports drop-ins."""

CACHE = "dropin.cache"
LEFTOVER = f".{CACHE}.{'0' * 16}.new"
PLUGINS = "app/plugins"

# Every module says, where it can, that it has been imported with privilege or has seen a secret.
_MODULE = """
import os
from zope.interface import Interface, implementer
from dropin_cache import IPlugin

with open("/proc/self/status") as status:
    privileged = any(line.startswith("CapEff") and int(line.split()[1], 16) for line in status)
try:
    open({secret!r}).close()
    privileged = True
except OSError:
    pass
if privileged or os.geteuid() == 0:
    open({mark!r}, "w").close()

@implementer(IPlugin)
class Plugin:
    __doc__ = f"{label}, privileged: {{privileged}}"

plugin = Plugin()
"""


class Area:
    """A directory of root's with victims, a site that is to be looked after, and an attacker.

    Attributes:
        path: The directory.
        victims: Files and directories of root's that the attacker would like to have changed.
        secret: One of them, which nobody else may read.
        marks: Here appears what has been imported with privilege.
        site: An import root of root's, with a plugin package.
        mounts: Undoes what was mounted.
        home: A directory of the attacker's.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.victims, self.marks, self.home = path / "victims", path / "marks", path / "home"
        self.secret = self.victims / "secret"
        self.site = path / "site"
        self.mounts = contextlib.ExitStack()
        for each in (self.victims, self.marks, self.home):
            each.mkdir()
        self.marks.chmod(0o1777)
        self.secret.write_bytes(b"what only root may read and write")
        self.secret.chmod(0o600)
        (self.victims / "program").write_bytes(b"what runs as root")
        (self.victims / "program").chmod(0o4755)
        # In the form of what is written, removed and pruned, for somebody led here by a link.
        self.plant(self.victims / "site", "of a victim")
        (self.victims / "site" / PLUGINS / CACHE).write_bytes(DATA)
        (self.victims / "site" / PLUGINS / LEFTOVER).write_bytes(b"")
        (self.victims / "bare" / PLUGINS).mkdir(parents=True)
        (self.victims / "bare" / PLUGINS / CACHE).write_bytes(DATA)
        (path / "link").symlink_to(self.victims / "site")
        self.plant(self.site, "of root", package=True)
        self.give(self.home)
        self._before = self._inventory()

    def effects(self) -> dict[str, object]:
        """Return what has changed and must not have; what the attacker had must be gone."""
        return differences(self._before, self._inventory())

    def described(self) -> list[str | None]:
        """Update the site and return what its cache says of its plugins."""
        update(Request(("app.plugins",), paths=(str(self.site),)), lambda *_: None)
        file = read_cache_file(str(self.site / PLUGINS))
        entries = (file.dropins() if file is not None else None) or {}
        return [plugin.description for entry in entries.values() for plugin in entry.plugins]

    def is_hit(self) -> bool:
        """Tell whether something has happened to a victim, links that point to it aside."""
        return any(
            None in pair or pair[0][4:] != pair[1][4:]
            for path, pair in self.effects().items()
            if path.startswith((str(self.victims), str(self.marks)))
        )

    def _inventory(self) -> dict[str, tuple[Any, ...]]:
        plugins = self.site / PLUGINS
        return inventory(self.path, [self.home, plugins / CACHE], [self.path, plugins])

    def plant(self, site: Path, label: str, *, package: bool = False) -> Path:
        """Make an import root with a directory of drop-ins."""
        values = {"secret": str(self.secret), "mark": str(self.marks / "root"), "label": label}
        (site / PLUGINS).mkdir(parents=True)
        (site / PLUGINS / "hello.py").write_text(_MODULE.format(**values))
        if package:
            extended = (
                "from dropin_cache import pluginPackagePaths as p; __path__.extend(p(__name__))"
            )
            (site / "app" / "__init__.py").touch()
            (site / PLUGINS / "__init__.py").write_text(extended)
        return site

    def image(self) -> Path:
        """Make the image of a system, with the site in /opt."""
        images = self.path / "images"
        images.mkdir()
        image = self.mounts.enter_context(mounted_image(images / "image"))
        shutil.copytree(self.site, image / "opt" / "site")
        found = bare_environment(images / "environment").site
        for name in ("zope", "dropin_cache"):
            shutil.copytree(found / name, image / "opt" / "site" / name)
        return image

    def give(self, path: Path) -> None:
        """Make something the attacker's, with all that is in it."""
        for each in (path, *path.rglob("*")):
            os.chown(each, ATTACKER, ATTACKER, follow_symlinks=False)

    def commands(self, *options: object) -> list[list[str]]:
        """Return the command lines for the site and what the options say."""
        further = ["--path", str(self.site), *map(str, options)]
        return [["update", "app.plugins", *further], ["clean", *further]]
