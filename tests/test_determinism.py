"""The same drop-ins make the same cache, whoever writes it, where, when and how often."""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
import sys
from pathlib import Path

import pytest
import zope.interface

import command_line
import dropin_cache
import updates
from conftest import LONG, Tree, run_python
from dropin_cache._cachefile import read_cache_file

pytestmark = pytest.mark.processes

SEEDS = range(20 if LONG else 5)
DROPINS = ("alpha", "beta", "gamma", "delta")
_OLDEST = (3, 9)
_A_TIME_NS = 1_600_000_000 * 10**9

INTERFACES = """
    from zope.interface import Interface

    class IBase(Interface): "Extended by others."

    class ILeft(IBase): "Extends one."

    class IRight(IBase): "Extends one."

    class IBoth(ILeft, IRight): "Extends two."
"""

# With what could depend on something: inheritance, non-ASCII text, the layout of docstrings.
DROPIN = '''
    """The drop-in {name}: für alle.

        Its second paragraph is indented.
    """
    from zope.interface import implementer
    from dropin_cache import IPlugin
    from app.interfaces import IBoth, ILeft, IRight

    @implementer(IPlugin, IRight, ILeft)
    class Base:
        pass

    @implementer(IBoth)
    class Plugin(Base):
        """The plugin of {name}.

        Its docstring has several lines,
            some of them indented more than others.
        """

    zulu = Plugin()
    alfa = Plugin()
    mike = zulu
'''

LIBRARY = """
    import app.plugins
    from dropin_cache import IPlugin, getPlugins
    list(getPlugins(IPlugin, app.plugins))
"""


def populate(tree, names=DROPINS):
    """Write an application and drop-ins, always with the same times."""
    tree.application()
    tree.write("app/interfaces.py", INTERFACES)
    for name in names:
        add(tree, name)


def add(tree, name):
    """Write one drop-in, the same at any time."""
    age = len(name) * 1_234_567_891
    return tree.write(f"app/plugins/{name}.py", DROPIN.format(name=name), _A_TIME_NS - age)


def update(tree, *arguments, env=None):
    """Have the command write the cache of a tree and return what there is to know of the file."""
    options = ("--quiet", "--path", tree.path, *arguments)
    assert (0, "", "") == command_line.run("update", *options, "app.plugins", env=env or {})
    return cache_of(tree)


def ask_library(tree, env=None):
    """Have the library write the cache of a tree and return what there is to know of the file."""
    done = run_python(LIBRARY, path=[tree.path], env=env)
    assert ("", "", 0) == (done.stdout, done.stderr, done.returncode)
    return cache_of(tree)


def file_of(tree):
    """Return the path of the cache."""
    return tree.path / "app" / "plugins" / "dropin.cache"


def cache_of(tree):
    """Return content, time and mode of the cache."""
    file = file_of(tree)
    status = file.stat()
    return file.read_bytes(), status.st_mtime_ns, stat.S_IMODE(status.st_mode)


@pytest.fixture(scope="module")
def expected(tmp_path_factory):
    """Return the cache of a tree that was written once and updated once."""
    place = tmp_path_factory.mktemp("reference")
    tree = Tree(place / "tree")
    populate(tree)
    return update(tree, env={"XDG_CACHE_HOME": f"{place}/cache", "XDG_RUNTIME_DIR": ""})


class TestHashSeed:
    """The order in which sets and dictionaries of text are walked."""

    def test_command(self, tree, expected):
        """The command writes the same cache under many hash seeds."""
        populate(tree)
        for seed in SEEDS:
            assert expected == update(tree, "--force", env={"PYTHONHASHSEED": str(seed)})

    def test_library(self, tree, expected):
        """The library writes the cache that the command writes, under many hash seeds."""
        populate(tree)
        for seed in SEEDS:
            assert expected == ask_library(tree, env={"PYTHONHASHSEED": str(seed)})
            file_of(tree).unlink()


class TestHistory:
    """What happened to the directory before."""

    @pytest.mark.parametrize("shift", range(1, len(DROPINS)))
    def test_creation_order(self, tree, expected, shift):
        """The order in which files were created leaves no trace."""
        populate(tree, reversed(DROPINS[shift:] + DROPINS[:shift]))

        assert expected == update(tree)

    @pytest.mark.parametrize("write", [update, ask_library])
    @pytest.mark.parametrize("name", DROPINS)
    def test_removed_and_added_again(self, tree, expected, write, name):
        """A drop-in that goes and comes back is where it was."""
        populate(tree)
        write(tree)
        (tree.path / "app" / "plugins" / f"{name}.py").unlink()
        without = write(tree)
        add(tree, name)

        again = write(tree)

        assert expected == again
        assert expected[0] != without[0]

    def test_one_after_the_other(self, tree, expected):
        """A cache that grew with each drop-in is the one that was made at once."""
        populate(tree, [])
        for name in DROPINS:
            add(tree, name)
            ask_library(tree)

        assert expected == cache_of(tree)


# Of one owner: the first is looked at by the second, which has as many plugins as that says, and
# leaves something behind for the third.
_NEIGHBOURS = {
    "aaa": "import app.shared\napp.shared.SEEN.append('aaa')\nNAMES = ['x', 'y']",
    "bbb": "import app.plugins.aaa\nfor name in app.plugins.aaa.NAMES: globals()[name] = Plugin()",
    "ccc": "import app.shared\nfor name in app.shared.SEEN: globals()['p_' + name] = Plugin()",
}
_OTHER = {
    "zzz": "import app.shared\nfor name in app.shared.SEEN: globals()['p_' + name] = Plugin()"
}
_HEAD = """from zope.interface import implementer
from dropin_cache import IPlugin
@implementer(IPlugin)
class Plugin: pass
plugin = Plugin()
"""


class TestNeighbours:
    """Bytes do not depend on history, also where modules of one owner need each other."""

    @pytest.fixture
    def tree(self, public_path):
        """An application with three plugin modules of one owner, and one of another."""
        tree = Tree(public_path / "tree")
        tree.application()
        tree.write("app/shared.py", "SEEN = []\n")
        for name in (*_NEIGHBOURS, *_OTHER):
            self.add(tree, name)
        lines = "".join(f"app/plugins/{name}.py,,\n" for name in _NEIGHBOURS)
        tree.write("three-1.dist-info/RECORD", lines)
        tree.write("other-1.dist-info/RECORD", "app/plugins/zzz.py,,\n")
        return tree

    def add(self, tree, name):
        """Write one plugin module, always the same."""
        code = {**_NEIGHBOURS, **_OTHER}[name]
        tree.write(f"app/plugins/{name}.py", f"{_HEAD}{code}\n", _A_TIME_NS)

    @pytest.mark.parametrize("tier", updates.TIERS)
    def test_same_bytes(self, tree, public_path, monkeypatch, tier):
        """They are the same after each change that is undone, and as if made at once."""
        with updates.tier_for(tier, public_path, monkeypatch) as update:
            update(tree)
            expected = cache_of(tree)
            assert b"p_aaa" in expected[0]
            for name in _NEIGHBOURS:
                file = tree.path / f"app/plugins/{name}.py"
                file.touch()
                update(tree)
                self.add(tree, name)
                update(tree)
                assert (name, expected) == (name, cache_of(tree))
                file.unlink()
                update(tree)
                without = cache_of(tree)
                update(tree, force=True)
                assert (name, without) == (name, cache_of(tree))
                self.add(tree, name)
                update(tree)
                assert (name, expected) == (name, cache_of(tree))
            assert ["unchanged"] == list(update(tree).states.values())
            update(tree, force=True)
            assert expected == cache_of(tree)

    @pytest.mark.skipif(os.geteuid() != 0, reason="users' plugin modules share a process")
    def test_other_owner(self, tree, public_path, monkeypatch):
        """What one owner leaves behind is nothing to another, in both sandboxes the same."""
        caches = set()
        for tier in ("namespace", "landlock"):
            with updates.tier_for(tier, public_path / tier, monkeypatch) as update:
                update(tree, force=True)
                caches.add(cache_of(tree))
                entry = read_cache_file(str(file_of(tree).parent)).dropins()["zzz"]
                assert ["plugin"] == [plugin.name for plugin in entry.plugins]
        assert 1 == len(caches)


class TestInterpreter:
    """Which Python imports the drop-ins."""

    def test_oldest_and_newest(self, tree, tmp_path, expected):
        """The oldest and the newest Python on the machine make the same cache."""
        pythons = interpreters()
        if len(pythons) < 2:
            pytest.skip("there is only one Python on this machine")
        populate(tree)
        libraries = pure_libraries(tmp_path / "libraries")

        for python in (min(pythons), max(pythons)):
            found = update(tree, "--python", pythons[python], "--path", str(libraries), "--force")

            assert expected == found


def interpreters():
    """Return the paths of the Pythons on this machine that are new enough, by version."""
    found = {}
    for candidate in candidates():
        if os.access(candidate, os.X_OK):
            done = run_python(
                "import sys; print(*sys.version_info[:2])", python=str(candidate), path=[]
            )
            version = tuple(map(int, done.stdout.split()))
            if done.returncode == 0 and version >= _OLDEST:
                found.setdefault(version, str(candidate))
    return found


def candidates():
    """List where Pythons may be: told by the variable, else on PATH and where pyenv has them."""
    told = os.environ.get("DROPIN_CACHE_PYTHONS")
    if told is not None:
        return [Path(sys.executable), *map(Path, told.split(os.pathsep))]
    names = [f"python3.{minor}" for minor in range(_OLDEST[1], 30)]
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    directories = [Path(each) for each in os.get_exec_path()]
    with contextlib.suppress(OSError):  # it may be another user's
        directories += sorted(pyenv.glob("versions/*/bin"), reverse=True)
    return [Path(sys.executable), *(place / name for place in directories for name in names)]


def pure_libraries(directory):
    """Copy what drop-ins need, in a form that any Python can import, and return where it is."""
    compiled = shutil.ignore_patterns("*.so", "__pycache__", "tests")
    for package, name in ((zope.interface, "zope/interface"), (dropin_cache, "dropin_cache")):
        shutil.copytree(Path(package.__file__).parent, directory / name, ignore=compiled)
    return directory


class TestSourceDateEpoch:
    """Trees that are installed at different times, for an image whose times are then clamped."""

    EPOCH = 1_500_000_000

    def installed(self, place, names, newer, epoch=EPOCH, **options):
        """Install a tree some time after the epoch and return the bytes and time of its cache."""
        tree = Tree(place / "tree")
        populate(tree, names)
        for file in (tree.path / "app/plugins").glob("*.py"):
            os.utime(file, ns=(newer, newer))
        arguments = options.pop("arguments", ())
        return update(tree, *arguments, env={"SOURCE_DATE_EPOCH": str(epoch), **options})

    def test_equal(self, tmp_path):
        """In other orders, places, locales and by other Pythons, the caches are equal."""
        pythons = interpreters()
        oldest, newest = pythons[min(pythons)], pythons[max(pythons)]
        libraries = pure_libraries(tmp_path / "libraries")
        found = set()
        for number, (python, locale, names) in enumerate(
            [
                (oldest, "C", DROPINS),
                (newest, "C.UTF-8", reversed(DROPINS)),
                (newest, "en_US.ISO-8859-1", DROPINS[2:] + DROPINS[:2]),
                (oldest, "tr_TR.UTF-8", DROPINS),
            ]
        ):
            found.add(
                self.installed(
                    tmp_path / f"a place {number}",
                    names,
                    _A_TIME_NS + number * 1_234_567_891,
                    arguments=("--python", python, "--path", str(libraries)),
                    LC_ALL=locale,
                )
            )
        ((_, mtime_ns, mode),) = found
        assert (self.EPOCH * 10**9, 0o644) == (mtime_ns, mode)

    @pytest.mark.parametrize("write", [update, ask_library])
    def test_recorded_times(self, tree, monkeypatch, write):
        """No time that is recorded is later, and those that are earlier are as they are."""
        monkeypatch.setenv("SOURCE_DATE_EPOCH", str(self.EPOCH))
        populate(tree)
        early = self.EPOCH * 10**9 - 5
        os.utime(tree.path / "app/plugins/alpha.py", ns=(early, early))
        write(tree)
        dropins = read_cache_file(str(file_of(tree).parent)).dropins()
        times = {name: each.fingerprint.mtime_ns for name, each in dropins.items()}
        assert {early, self.EPOCH * 10**9} == set(times.values())
        assert early == times["alpha"]
        assert self.EPOCH * 10**9 == file_of(tree).stat().st_mtime_ns
        outcome = command_line.run("check", "-q", "--path", tree.path, "app.plugins")
        assert (0, "") == (outcome.status, outcome.err)
        assert cache_of(tree) == update(tree)

    def test_clamped(self, tree, monkeypatch):
        """When the image has clamped the times of the files, too, they are those recorded."""
        monkeypatch.setenv("SOURCE_DATE_EPOCH", str(self.EPOCH))
        populate(tree)
        before = update(tree)
        for file in (tree.path / "app/plugins").glob("*.py"):
            os.utime(file, (self.EPOCH, self.EPOCH))
        monkeypatch.delenv("SOURCE_DATE_EPOCH")
        assert before[0] == update(tree, "--force")[0]
