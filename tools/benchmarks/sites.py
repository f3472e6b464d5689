"""What is measured on: virtual environments, and trees of generated drop-ins.

tools/bench has made two environments: `stock` with Twisted and this project, `real` with five
packages more that bring drop-ins. What has to be changed is done to copies of these.
"""

from __future__ import annotations

import functools
import json
import os
import shutil
import time
from pathlib import Path
from typing import NamedTuple

from benchmarks.dropins import close, compile_all, dropin, reopen, timed_dropin, write
from benchmarks.processes import Runner, Spent

TREE = Path(__file__).resolve().parents[2]
ONE_LINER = "from twisted.plugin import IPlugin, getPlugins; list(getPlugins(IPlugin))"
"""How to write the cache: https://docs.twisted.org/en/stable/core/howto/plugin.html"""

TRIGGER = ("update", "--trigger")
"""What hooks/trigger has our command do."""

SETTLED = 0.1
"""Seconds; what has changed later than that before an update, it will look at once more."""

_DEPENDENCIES = 280  # Twisted's own drop-ins import some 320 files besides
_GENERATED = "twisted/plugins/generated_{:05}.py"


class Environment(NamedTuple):
    """A virtual environment.

    Attributes:
        path: Its directory.
    """

    path: Path

    @property
    def python(self) -> str:
        """Its interpreter."""
        return str(self.path / "bin" / "python")

    @property
    def site(self) -> Path:
        """Where its packages are."""
        (site,) = self.path.glob("lib/python3*/site-packages")
        return site

    @property
    def plugins(self) -> Path:
        """Where its drop-ins for Twisted are."""
        return self.site / "twisted" / "plugins"

    @property
    def script(self) -> str:
        """The command as a distribution's package installs it, for this interpreter."""
        text = (TREE / "hooks" / "bin" / "dropin-cache").read_text(encoding="utf-8")
        own = text.replace("/usr/bin/python3", self.python, 1).replace("@SITE@", str(self.site))
        file = self.path / "bin" / "installed-dropin-cache"
        if not file.exists() or file.read_text(encoding="utf-8") != own:
            file.write_text(own, encoding="utf-8")
            file.chmod(0o755)
        return str(file)

    def forget(self) -> None:
        """Remove the cache of Twisted's plugins."""
        (self.plugins / "dropin.cache").unlink(missing_ok=True)


class Sites:
    """Makes environments and trees when they are first asked for.

    Attributes:
        runner: Runs what is needed for that.
    """

    def __init__(self, work: Path, runner: Runner) -> None:
        """Make it.

        Args:
            work: The directory for all of them.
            runner: As in the class.
        """
        self._work = work
        self.runner = runner

    @property
    def stock(self) -> Environment:
        """The environment with Twisted."""
        return Environment(self._work / "stock")

    @property
    def real(self) -> Environment:
        """The environment with Twisted and five more packages, as they are installed."""
        return Environment(self._work / "real")

    @functools.cached_property
    def fresh(self) -> Environment:
        """The same with its caches up to date."""
        return self.updated(self.real)

    @functools.cached_property
    def our_real(self) -> Environment:
        """A copy of `real`, our caches up to date."""
        return self.updated(self._copy(self.real, "real-ours"))

    @functools.cached_property
    def their_real(self) -> Environment:
        """Another with the cache that Twisted writes."""
        environment = self._copy(self.real, "real-theirs")
        environment.forget()
        self.one_liner(environment)
        return environment

    @functools.cached_property
    def uncached(self) -> Environment:
        """Another without a cache, and nobody but root can write one."""
        environment = self._copy(self.real, "uncached")
        environment.forget()
        close(environment.path)
        return environment

    @functools.cached_property
    def twisted(self) -> Environment:
        """The one with Twisted, with its caches up to date."""
        return self.updated(self.stock)

    @functools.cached_property
    def flattened(self) -> Environment:
        """Like `fresh`, then all times of drop-ins and caches set to one, and all read-only."""
        environment = self._copy(self.fresh, "flattened")
        files = [each for each in environment.plugins.iterdir() if each.is_file()]
        for file in files:
            os.utime(file, (1_700_000_000, 1_700_000_000))
        compile_all(environment.plugins)  # compiled files hold the time of their source
        close(environment.path)
        return environment

    @functools.cached_property
    def our_thousand(self) -> Environment:
        """Twisted's drop-ins and 1,000 trivial ones, our caches up to date."""
        return self.updated(self._thousand("ours"))

    @functools.cached_property
    def their_thousand(self) -> Environment:
        """The same with the cache that Twisted writes."""
        environment = self._thousand("theirs")
        self.one_liner(environment)
        return environment

    def one_liner(self, environment: Environment) -> Spent:
        """Have Twisted write its cache."""
        return self.runner.run([environment.python, "-c", ONE_LINER], silent=True)

    def _thousand(self, side: str) -> Environment:
        environment = self._copy(self.stock, f"thousand-{side}")
        for number in range(1000):
            write(environment.site / _GENERATED.format(number), dropin(number))
        # All of them are one package's.
        record = "".join(f"{_GENERATED.format(number)},,\n" for number in range(1000))
        write(environment.site / "generated-1.dist-info/RECORD", record)
        write(environment.site / "generated-1.dist-info/METADATA", "Name: generated\nVersion: 1\n")
        compile_all(environment.plugins)
        environment.forget()
        return environment

    @functools.cached_property
    def depending(self) -> Environment:
        """1,000 drop-ins, Twisted's among them, with 600 dependency files; all up to date."""
        environment = self._copy(self.stock, "depending")
        own = len(list(environment.plugins.glob("*.py"))) - 1  # without __init__.py
        for number in range(_DEPENDENCIES):
            write(environment.site / f"dependency/module_{number:03}.py", f"NUMBER = {number}\n")
        write(environment.site / "dependency/__init__.py", "")
        for number in range(1000 - own):
            more = f"import dependency.module_{number % _DEPENDENCIES:03}\n"
            write(environment.site / _GENERATED.format(number), dropin(number, more=more))
        compile_all(environment.plugins)
        compile_all(environment.site / "dependency")
        return self.updated(environment)

    @functools.cache  # noqa: B019 - there is one of these
    def many(self, count: int) -> Path:
        """Make a tree with a plugin package `many` of that many drop-ins, two plugins in each."""
        tree = self._emptied(f"many-{count}")
        write(tree / "many/__init__.py", "")
        for number in range(count):
            write(tree / f"many/generated_{number:05}.py", dropin(number))
        compile_all(tree)
        program = (
            "import sys; sys.path.append(sys.argv[1]); import many, dropin_cache; "
            "dropin_cache.getCache(many)"
        )
        time.sleep(SETTLED)
        self.runner.run([self.stock.python, "-I", "-c", program, str(tree)], silent=True)
        return tree

    @functools.cache  # noqa: B019 - there is one of these
    def application(self, library: str) -> Path:
        """Make a tree with a plugin package `application.plugins` of 18 drop-ins.

        Args:
            library: The module that they get `IPlugin` from, and their package the function that
                extends its path.
        """
        tree = self._emptied(f"application-{library}")
        write(tree / "application/__init__.py", "")
        write(
            tree / "application/plugins/__init__.py",
            f"from {library} import pluginPackagePaths\n"
            "__path__.extend(pluginPackagePaths(__name__))\n",
        )
        for number in range(18):
            file = tree / f"application/plugins/generated_{number:02}.py"
            write(file, timed_dropin(number, library))
        compile_all(tree)
        program = (
            "import sys; sys.path.append(sys.argv[1]); import application.plugins, dropin_cache; "
            f"import {library}; dropin_cache.getCache(application.plugins)"
        )
        time.sleep(SETTLED)
        self.runner.run([self.stock.python, "-I", "-c", program, str(tree)], silent=True)
        return tree

    def command(self, environment: Environment, *arguments: str, silent: bool = False) -> Spent:
        """Run our command, as a distribution's package installs it."""
        self.runner.remember(environment.path.name)
        return self.runner.run([environment.script, *arguments], silent=silent)

    def sandbox(self) -> str:
        """Return the sandbox that updates have used here."""
        done = self.command(self.twisted, "update", "--json")
        return str(json.loads(done.out)["sandbox"])

    def updated(self, environment: Environment) -> Environment:
        """Bring the caches up to date, by the program that is measured, and see that they are."""
        environment.forget()
        for _ in range(2):
            time.sleep(SETTLED)
            self.command(environment, "update", "-q")
        self.command(environment, *TRIGGER, silent=True)
        return environment

    def _copy(self, environment: Environment, name: str) -> Environment:
        target = self._emptied(name)
        target.rmdir()
        shutil.copytree(environment.path, target, symlinks=True)
        return Environment(target)

    def _emptied(self, name: str) -> Path:
        path = self._work / name
        if path.exists():
            reopen(path)
            shutil.rmtree(path)
        path.mkdir()
        return path
