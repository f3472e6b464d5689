"""What root's update leaves for the checks of everybody: they start and import nothing."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Callable

import filelock
import pytest
import zope.interface

import dropin_cache
from command_line import Outcome, run
from conftest import NOBODY, Tree
from dropin_cache import _quick
from environments import Environment
from updates import SETTLED

pytestmark = [
    pytest.mark.skipif(os.geteuid() != 0, reason="this is about what root leaves to others"),
    pytest.mark.processes,
]

# Ends where a process would be started; then says what of ours was loaded.
_ALONE = """
import os, sys
starts = ("subprocess.Popen", "os.fork", "os.forkpty", "os.exec", "os.posix_spawn", "os.system")
sys.addaudithook(lambda event, _: event in starts and os._exit(77))
from dropin_cache.cli import main
status = main(sys.argv[1:])
print(*sorted(n for n in sys.modules if n.startswith(("dropin_cache", "app"))), file=sys.stderr)
sys.exit(status)
"""
_SITE = "import sysconfig; print(sysconfig.get_path('purelib'))"
_USER: dict[str, Any] = {"user": NOBODY, "group": NOBODY, "extra_groups": []}


def environment(path: Path) -> Environment:
    """Make an environment that everybody can use, with copies of what this project needs."""
    for base in (getattr(sys, "_base_executable", sys.executable), "/usr/bin/python3"):
        made = [base, "-m", "venv", "--without-pip", "--clear", str(path)]
        python = str(path / "bin" / "python")
        try:
            subprocess.run(made, check=True, capture_output=True)
            asked = [python, "-I", "-c", _SITE]
            done = subprocess.run(asked, check=False, capture_output=True, text=True, **_USER)
        except OSError:
            continue
        if done.returncode == 0:
            site = Path(done.stdout.strip())
            for package in (dropin_cache, filelock, zope.interface):
                source = Path(package.__file__).parent
                ignored = shutil.ignore_patterns("tests", "*.so", "__pycache__", "dropin.cache")
                target = site.joinpath(*package.__name__.split("."))
                shutil.copytree(source, target, ignore=ignored)
            return Environment(python, site, path)
    pytest.skip("no interpreter that other users can run")


@pytest.fixture
def site(public_path: Path) -> Environment:
    """An environment with a declared plugin package and two plugin modules, updated once."""
    made = environment(public_path / "environment")
    tree = Tree(made.site)
    tree.application()
    tree.dropin("one")
    tree.dropin("two")
    tree.declare("app.plugins")
    update(made)
    return made


def update(site: Environment) -> None:
    """Run one update as root, when all files have settled."""
    time.sleep(SETTLED)
    assert "" == run("update", "--quiet", python=site.python).err


def list_of(site: Environment) -> Path:
    """Return where the list of the environment's interpreter is."""
    return Path(_quick.STATE_DIRECTORY, _quick.name_of(site.python, "stamps"))


def others(site: Environment, **further: str) -> dict[str, str]:
    """Return the variables of another user, of whom nothing has a say in what Python imports."""
    telling = [name for name in os.environ if name.startswith(("PYTHON", "COVERAGE"))]
    own = {"HOME": str(site.path / "nobody"), "VIRTUAL_ENV": "", "XDG_DATA_HOME": ""}
    return {**dict.fromkeys(telling, ""), **own, **further}


def check(site: Environment, *arguments: str, **variables: str) -> Outcome:
    """Run a check as nobody."""
    env = others(site, **variables)
    return run("check", *arguments, python=site.python, env=env, cwd="/", **_USER)


def loaded(site: Environment, *arguments: str, **variables: str) -> tuple[int, list[str]]:
    """Run a command as nobody that must not start anything; return what of ours it has loaded."""
    done = subprocess.run(
        [site.python, "-I", "-B", "-c", _ALONE, *arguments],
        env={**os.environ, **others(site, **variables)},
        capture_output=True,
        check=False,
        text=True,
        cwd="/",
        **_USER,
    )
    return done.returncode, done.stderr.splitlines()[-1].split() if done.stderr else []


def without_what_root_knows(site: Environment, *arguments: str, **variables: str) -> Outcome:
    """Run a check as nobody where there is neither a list nor a ledger."""
    state = Path(_quick.STATE_DIRECTORY)
    aside = state.with_name("aside")
    state.rename(aside)
    try:
        return check(site, *arguments, **variables)
    finally:
        aside.rename(state)


def caches(outcome: Outcome) -> tuple[int, list[str]]:
    """Return what is said of caches; the sandbox only the ledger knows."""
    lines = [line for line in outcome.out.splitlines() if "sandbox" not in line]
    return outcome.status, lines


class TestFresh:
    """Nothing has changed since."""

    def test_loads_nothing(self, site: Environment) -> None:
        """After one update a check loads three modules, starts nothing, and says the same."""
        few = ["dropin_cache", "dropin_cache._caller", "dropin_cache._quick", "dropin_cache.cli"]
        for arguments in (["check"], ["check", "-q"], ["check", "--quiet"]):
            assert (0, few) == loaded(site, *arguments)
        quick = check(site)
        assert f"fresh: {site.site}/app/plugins (app.plugins: 2 modules, 2 plugins)" in quick.out
        assert (0, "", "") == check(site, "-q")
        list_of(site).unlink()
        assert quick == check(site)
        assert caches(quick) == caches(without_what_root_knows(site))

    def test_starts_nothing(self, site: Environment) -> None:
        """Without the list, too, the ledger tells how the interpreter starts."""
        list_of(site).unlink()
        module = "app.plugins.one"
        for arguments in (["check"], ["check", "-v"], ["list"], ["explain", module]):
            status, modules = loaded(site, *arguments)
            assert (arguments, 0) == (arguments, status)
            assert not [name for name in modules if name.startswith("app")]

    def test_nothing_known(self, site: Environment) -> None:
        """Where root knows nothing, the interpreter is asked, as it would be for applications."""
        shutil.rmtree(_quick.STATE_DIRECTORY)
        assert 77 == loaded(site, "check")[0]

    def test_not_roots(self, site: Environment) -> None:
        """What others could have written is not believed."""
        os.chown(_quick.STATE_DIRECTORY, NOBODY, NOBODY)
        assert 77 == loaded(site, "check")[0]

    def test_broken(self, site: Environment) -> None:
        """What is broken is told each time."""
        Tree(site.site).write("app/plugins/bad.py", "import nothing_of_the_kind\n")
        time.sleep(SETTLED)
        run("update", "-q", python=site.python)
        few = ["dropin_cache", "dropin_cache._caller", "dropin_cache._quick", "dropin_cache.cli"]
        for arguments in (["check"], ["check", "-q"]):
            assert (3, few) == loaded(site, *arguments)
        quick = check(site)
        assert (3, True) == (quick.status, "bad is left out" in quick.err)
        assert (3, "", "") == check(site, "-q")
        list_of(site).unlink()
        assert quick == check(site)

    def test_closed_output(self, site: Environment) -> None:
        """Where the answer cannot be printed, that is said as for every command."""
        with Path("/dev/full").open("w") as full:
            command = [site.python, "-m", "dropin_cache", "check"]
            env = {**os.environ, **others(site)}
            streams: dict[str, Any] = {"stdout": full, "stderr": subprocess.PIPE}
            done = subprocess.run(command, check=False, env=env, **streams, **_USER)
        assert (5, b"cannot go on") == (done.returncode, done.stderr[21:33])


def _touch(plugins: Path) -> None:
    os.utime(plugins / "one.py", (1, 1))


def _edit(plugins: Path) -> None:
    with (plugins / "one.py").open("a") as file:
        file.write("other = plugin\n")


def _replace(plugins: Path) -> None:
    """Bring another content of the same size and date."""
    file = plugins / "one.py"
    status = file.stat()
    text = file.read_text().replace("The drop-in one", "The drop-in 1st")
    file.unlink()
    file.write_text(text)
    os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns))


def _damage(plugins: Path) -> None:
    cache = plugins / "dropin.cache"
    cache.write_bytes(cache.read_bytes()[:-7] + b"\0" * 7)


def _sitecustomize(plugins: Path) -> None:
    (plugins.parents[1] / "sitecustomize.py").write_text("import sys; sys.path.append('/opt')\n")


def _pth(plugins: Path) -> None:
    more = plugins.parents[2] / "more"
    Tree(more).dropin("three")
    (plugins.parents[1] / "more.pth").write_text(f"{more}\n")


_CHANGES: dict[str, tuple[int, Callable[[Path], object]]] = {
    "touched": (0, _touch),
    "edited": (1, _edit),
    "same size and date": (1, _replace),
    "removed": (1, lambda plugins: (plugins / "two.py").unlink()),
    "added": (1, lambda plugins: shutil.copy(plugins / "one.py", plugins / "three.py")),
    ".pth file": (1, _pth),
    "sitecustomize": (0, _sitecustomize),
    "no cache": (1, lambda plugins: (plugins / "dropin.cache").unlink()),
    "damaged cache": (1, _damage),
    "closed cache": (1, lambda plugins: (plugins / "dropin.cache").chmod(0o600)),
    "empty cache": (1, lambda plugins: (plugins / "dropin.cache").write_bytes(b"")),
    "package gone": (0, lambda plugins: shutil.rmtree(plugins.parent)),
}


class TestChanges:
    """Something has changed since."""

    @pytest.mark.parametrize("change", _CHANGES)
    def test_noticed(self, site: Environment, change: str) -> None:
        """It is noticed, and the answer is the one of somebody who knows of no update."""
        assert 0 == check(site, "-q").status
        expected, make = _CHANGES[change]
        make(site.site / "app/plugins")
        found = check(site)
        assert expected == found.status
        assert caches(without_what_root_knows(site)) == caches(found)


class TestOtherStarts:
    """The interpreter starts otherwise for a user than for root."""

    @pytest.fixture
    def more(self, public_path: Path) -> Path:
        """Make an import root that has a plugin module more."""
        tree = Tree(public_path / "more")
        tree.dropin("three")
        return tree.path

    def test_variable(self, site: Environment, more: Path) -> None:
        """PYTHONPATH counts."""
        assert 1 == check(site, PYTHONPATH=str(more)).status
        assert 77 == loaded(site, "check", PYTHONPATH=str(more))[0]

    def test_user_site(self, site: Environment, more: Path) -> None:
        """So does what the user has installed, if it is on the path, for the list as without."""
        configuration = site.path / "pyvenv.cfg"
        text = configuration.read_text()
        configuration.write_text(text.replace("packages = false", "packages = true"))
        update(site)
        assert 0 == check(site).status
        version = site.site.parent.name
        (site.path / f"nobody/.local/lib/{version}").mkdir(parents=True)
        more.rename(site.path / f"nobody/.local/lib/{version}/site-packages")
        assert 1 == check(site).status

    def test_own_directory(self, site: Environment) -> None:
        """Who can write in an import root is asked about that alone."""
        site.site.chmod(0o775)
        os.chown(site.site, 0, NOBODY)
        found = check(site)
        assert (0, "none of the caches here") == (found.status, found.out[:23])

    def test_closed_directory(self, site: Environment) -> None:
        """Who cannot list a plugin directory finds nothing in it."""
        (site.site / "app/plugins").chmod(0o711)
        time.sleep(SETTLED)
        update(site)
        found = check(site)
        assert caches(without_what_root_knows(site)) == caches(found)
        assert "there are no plugin modules, so there are no caches\n" == found.out


@pytest.fixture(autouse=True)
def _nothing_kept() -> Iterator[None]:
    """Forget what root knows."""
    yield
    shutil.rmtree(_quick.STATE_DIRECTORY, ignore_errors=True)
