"""Where Twisted goes wrong: one class for each of its faults, and what this library does instead.

Each fault is shown to the reader, which applications use, and to the writer where it concerns it.
"""

from __future__ import annotations

import importlib
import os
import pickle
import sys
import textwrap
import threading
import time
import zipfile
from typing import TYPE_CHECKING, Any

import pytest

from command_line import opened_by_reader
from conftest import run_python
from dropin_cache import IPlugin, _plugins, getCache, getPlugins
from dropin_cache._decode import decode
from reader_support import (
    LIBRARY,
    LONG_AGO,
    cache_of,
    facts,
    fingerprint_of,
    forget,
    plugin_names,
    refresh,
    run_ordinary,
    stamp,
    use,
)

if TYPE_CHECKING:
    from pathlib import Path
    from types import ModuleType

    from conftest import Tree

FUTURE = 4_000_000_000 * 10**9
LATER = LONG_AGO + 10**12


@pytest.fixture
def package(tree: Tree, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The plugin package of a small application, with the drop-in `good` in it."""
    tree.dropin("good", mtime_ns=LONG_AGO)
    return use(tree, monkeypatch)


@pytest.fixture
def shared(public_path: Path, tree: Tree) -> Tree:
    """A tree that every user can read, with the same application in it."""
    tree = type(tree)(public_path)
    tree.application()
    tree.dropin("good", mtime_ns=LONG_AGO)
    return tree


def greeters(package: ModuleType) -> list[str]:
    """Return the names of the plugins that provide IGreeter."""
    greeter = importlib.import_module(f"{package.__name__.partition('.')[0]}.interfaces").IGreeter
    return plugin_names(getPlugins(greeter, package))


def cached_names(tree: Tree) -> list[str]:
    """Return the names of the drop-ins in the cache."""
    return list(decode(cache_of(tree).read_bytes()))


def new_process(*dropins: str) -> None:
    """Forget what this process knows of drop-ins, as a new one would not know it."""
    _plugins._imports.clear()
    _plugins._unwritable.clear()
    _plugins._reported.clear()
    forget(*(f"app.plugins.{name}" for name in dropins))


def messages(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Return what the package has logged."""
    return [record.getMessage() for record in caplog.records if record.name == "dropin_cache"]


@pytest.mark.parametrize("statement", ["raise SystemExit(3)", "1 / 0", "import none_at_all", "def"])
class TestNewDropinFailsToImport:
    """Twisted logs it, never caches it, and writes the cache again on every call."""

    def test_reader(
        self,
        tree: Tree,
        package: ModuleType,
        caplog: pytest.LogCaptureFixture,
        statement: str,
    ) -> None:
        """It is logged once a process, and the cache is not written again."""
        greeters(package)
        before = stamp(cache_of(tree))
        tree.write("app/plugins/bad.py", statement)
        for _ in range(3):
            assert greeters(package) == ["good"]
        assert messages(caplog) == ["Unable to import drop-in app.plugins.bad"]
        assert before == stamp(cache_of(tree))

    @pytest.mark.processes
    def test_writer(self, tree: Tree, package: ModuleType, statement: str) -> None:
        """It is reported, and the cache is written once."""
        tree.write("app/plugins/bad.py", statement)
        for state in ("written", "unchanged"):
            (report,) = refresh(tree).directories
            assert state == report.state
            assert [broken.module for broken in report.broken] == ["app.plugins.bad"]
        assert cached_names(tree) == ["good"]


class TestUnpicklableInterface:
    """Twisted writes no cache for the whole directory."""

    SOURCE = """
        from zope.interface import implementer
        from dropin_cache import IPlugin
        from app.interfaces import IGreeter, IOther

        def make():
            class ILocal(IGreeter):
                pass
            return ILocal

        @implementer(IPlugin, IOther, make())
        class Plugin:
            name = "odd"

        plugin = Plugin()
        """

    def test_reader(
        self, tree: Tree, package: ModuleType, caplog: pytest.LogCaptureFixture
    ) -> None:
        """That interface is left out with a warning, and everything else is cached."""
        tree.write("app/plugins/odd.py", self.SOURCE)
        getCache(package)
        assert cached_names(tree) == ["good", "odd"]
        (message,) = messages(caplog)
        assert message.startswith("app.plugins.odd.plugin: interface ILocal left out")

    @pytest.mark.parametrize("interface", ["IGreeter", "IOther"])
    def test_results_are_the_same_from_the_cache(
        self, tree: Tree, package: ModuleType, interface: str
    ) -> None:
        """What the plugin provides besides, inherited interfaces too, is found as without it."""
        tree.write("app/plugins/odd.py", self.SOURCE)
        asked = getattr(importlib.import_module("app.interfaces"), interface)
        first = plugin_names(getPlugins(asked, package))
        new_process("good", "odd")
        assert first == plugin_names(getPlugins(asked, package))
        assert "odd" in first

    @pytest.mark.processes
    def test_writer(self, tree: Tree, package: ModuleType) -> None:
        """The writer does the same, and reports it."""
        tree.write("app/plugins/odd.py", self.SOURCE)
        (report,) = refresh(tree).directories
        assert cached_names(tree) == ["good", "odd"]
        (warning,) = report.warnings
        assert warning.startswith("app.plugins.odd: plugin: interface ILocal left out")


@pytest.mark.parametrize("method", ["__conform__", "__getattr__"])
class TestObjectThatRaises:
    """In Twisted the exception escapes from getPlugins."""

    SOURCE = """
        from zope.interface import implementer
        from dropin_cache import IPlugin
        from app.interfaces import IGreeter

        class Bad:
            def METHOD(self, name):
                raise RuntimeError("no")

        @implementer(IPlugin, IGreeter)
        class Plugin:
            name = "beside"

        bad = Bad()
        plugin = Plugin()
        """

    def test_reader(
        self,
        tree: Tree,
        package: ModuleType,
        caplog: pytest.LogCaptureFixture,
        method: str,
    ) -> None:
        """That object is skipped and logged once; the others are found."""
        tree.write("app/plugins/beside.py", self.SOURCE.replace("METHOD", method))
        for _ in range(2):
            assert greeters(package) == ["beside", "good"]
        assert messages(caplog) == ["app.plugins.beside.bad left out: RuntimeError: no"]

    @pytest.mark.processes
    def test_writer(self, tree: Tree, package: ModuleType, method: str) -> None:
        """The writer does the same, and reports it."""
        tree.write("app/plugins/beside.py", self.SOURCE.replace("METHOD", method))
        (report,) = refresh(tree).directories
        assert report.warnings == ("app.plugins.beside: bad left out: RuntimeError: no",)
        assert [2, 2] == [report.modules, report.plugins]


@pytest.mark.processes
class TestUnreadableDirectory:
    """In Twisted the PermissionError escapes."""

    def test_reader(self, shared: Tree) -> None:
        """It is skipped and logged once."""
        secret = shared.path / "secret"
        secret.mkdir(mode=0)
        refresh(shared)
        result = run_ordinary(
            """
            import app.plugins
            from app.interfaces import IGreeter
            app.plugins.__path__.insert(0, place + "/secret")
            names = [[plugin.name for plugin in dropin_cache.getPlugins(IGreeter, app.plugins)]
                     for _ in range(3)]
            result = [names, [text for text in messages if place in text]]
            """,
            shared.path,
            [shared.path],
        )
        secret.chmod(0o700)
        message = f"Unable to read plugin directory {secret}: error number 13"
        assert [[["good"]] * 3, [message]] == result


class TestCacheWithOtherValues:
    """In Twisted a TypeError or AttributeError escapes."""

    @pytest.mark.parametrize(
        "value", [None, [], [1], "text", 3, {"good": None}, {"good": []}, {"good": {}}, {1: 2}, ()]
    )
    def test_reader(
        self, tree: Tree, package: ModuleType, caplog: pytest.LogCaptureFixture, value: Any
    ) -> None:
        """It is treated as no cache, and replaced."""
        cache_of(tree).write_bytes(pickle.dumps(value))
        assert greeters(package) == ["good"]
        assert cached_names(tree) == ["good"]
        assert messages(caplog) == []

    @pytest.mark.processes
    def test_writer(self, tree: Tree, package: ModuleType) -> None:
        """The writer calls it corrupt, and replaces it."""
        cache_of(tree).write_bytes(pickle.dumps(None))
        (report,) = refresh(tree).directories
        assert ("corrupt", "written") == (report.found, report.state)
        assert cached_names(tree) == ["good"]


class _Hostile:
    """Runs a command when it is unpickled."""

    def __init__(self, command: str) -> None:
        self.command = command

    def __reduce__(self) -> Any:
        return os.system, (self.command,)


class TestHostilePickle:
    """In Twisted its code runs in the reader."""

    def test_reader(self, tree: Tree, package: ModuleType) -> None:
        """It is inert."""
        flag = tree.path / "flag"
        cache_of(tree).write_bytes(pickle.dumps({"good": _Hostile(f"touch {flag}")}))
        assert greeters(package) == ["good"]
        assert not flag.exists()

    @pytest.mark.processes
    def test_writer(self, tree: Tree, package: ModuleType) -> None:
        """For the writer it is too."""
        flag = tree.path / "flag"
        cache_of(tree).write_bytes(pickle.dumps({"good": _Hostile(f"touch {flag}")}))
        (report,) = refresh(tree).directories
        assert ("corrupt", "written") == (report.found, report.state)
        assert not flag.exists()


class TestOlderFile:
    """In Twisted an upgraded file with an older date stays stale for ever."""

    def test_reader(self, tree: Tree, package: ModuleType) -> None:
        """It is noticed."""
        tree.dropin("good", mtime_ns=LATER)
        assert greeters(package) == ["good"]
        tree.dropin("good", "IOther", mtime_ns=LONG_AGO)
        new_process("good")
        assert greeters(package) == []

    @pytest.mark.processes
    def test_writer(self, tree: Tree, package: ModuleType) -> None:
        """It is noticed."""
        tree.dropin("good", mtime_ns=LATER)
        refresh(tree)
        path = tree.dropin("good", "IOther", mtime_ns=LONG_AGO)
        (report,) = refresh(tree).directories
        assert ("stale", "written") == (report.found, report.state)
        assert fingerprint_of(path) == decode(cache_of(tree).read_bytes())["good"].fingerprint


class TestCacheDatedInTheFuture:
    """In Twisted it hides every change."""

    def test_reader(self, tree: Tree, package: ModuleType) -> None:
        """Changes are noticed."""
        assert greeters(package) == ["good"]
        os.utime(cache_of(tree), ns=(FUTURE, FUTURE))
        tree.dropin("good", "IOther")
        new_process("good")
        assert greeters(package) == []

    @pytest.mark.processes
    def test_writer(self, tree: Tree, package: ModuleType) -> None:
        """Changes are noticed, and the date is put right."""
        refresh(tree)
        os.utime(cache_of(tree), ns=(FUTURE, FUTURE))
        path = tree.dropin("good", "IOther", mtime_ns=LATER)
        refresh(tree)
        assert fingerprint_of(path) == decode(cache_of(tree).read_bytes())["good"].fingerprint
        assert 0 < cache_of(tree).stat().st_mtime_ns - LATER < 10**10


class TestFlattenedDates:
    """In Twisted, with all dates equal or in the future, everything is imported every time."""

    @pytest.mark.parametrize("date", [0, LONG_AGO + 1, FUTURE])
    def test_reader(self, tree: Tree, package: ModuleType, date: int) -> None:
        """The content decides: nothing is imported, nothing is written."""
        getCache(package)
        for path in tree.path.rglob("*"):
            os.utime(path, ns=(date, date))
        before = stamp(cache_of(tree))
        new_process("good")
        assert list(getCache(package)) == ["good"]
        assert "app.plugins.good" not in sys.modules
        assert before == stamp(cache_of(tree))


class TestSourceChangedMeanwhile:
    """In Twisted a change between import and write stays unnoticed for ever."""

    def test_reader(self, tree: Tree, package: ModuleType) -> None:
        """The entry is for this process only, and the next one sees the change."""
        path = tree.dropin("good")
        changed = path.read_text(encoding="utf-8")
        code = f"import pathlib\npathlib.Path({str(path)!r}).write_text({changed!r})\n"
        path.write_text(changed.replace("IGreeter", "IOther") + code, encoding="utf-8")
        assert greeters(package) == []
        new_process("good")
        assert greeters(package) == ["good"]
        assert fingerprint_of(path) == decode(cache_of(tree).read_bytes())["good"].fingerprint

    @pytest.mark.processes
    def test_writer(self, tree: Tree, package: ModuleType) -> None:
        """The writer starts again, and caches what is there in the end."""
        path = tree.dropin("good")
        changed = path.read_text(encoding="utf-8")
        being_imported = tree.path / "being-imported"
        os.mkfifo(being_imported)
        code = f"open({str(being_imported)!r}).read()\n"
        path.write_text(changed.replace("IGreeter", "IOther") + code, encoding="utf-8")

        def change() -> None:
            descriptor = opened_by_reader(being_imported)
            path.write_text(changed, encoding="utf-8")
            os.close(descriptor)

        somebody = threading.Thread(target=change)
        somebody.start()
        (report,) = refresh(tree).directories
        somebody.join()
        assert report.state == "written"
        assert fingerprint_of(path) == decode(cache_of(tree).read_bytes())["good"].fingerprint
        assert greeters(package) == ["good"]


class TestInterfaceModuleRemoved:
    """In Twisted the cache is unreadable, and built again every time."""

    def test_reader(
        self, tree: Tree, package: ModuleType, caplog: pytest.LogCaptureFixture
    ) -> None:
        """The others are not affected."""
        more = "from zope.interface import Interface\nclass IMore(Interface):\n    pass\n"
        path = tree.write("app/more.py", more)
        source = (tree.path / "app/plugins/good.py").read_text(encoding="utf-8")
        source = source.replace("app.interfaces", "app.more").replace("IGreeter", "IMore")
        tree.write("app/plugins/gone.py", source)
        getCache(package)
        before = stamp(cache_of(tree))
        path.unlink()
        forget("app.more")
        new_process("good", "gone")
        assert greeters(package) == ["good"]
        assert [IPlugin] == getCache(package)["gone"].plugins[0].provided
        assert before == stamp(cache_of(tree))
        assert messages(caplog) == []


@pytest.mark.processes
class TestPluginRemoved:
    """In Twisted, where the cache cannot be written, its entry stays and fails to load."""

    def test_reader(self, shared: Tree) -> None:
        """It is never yielded."""
        path = shared.dropin("gone")
        refresh(shared)
        path.unlink()
        for directory in (shared.path / "app/plugins", shared.path / "app"):
            directory.chmod(0o555)
        result = run_ordinary(
            """
            import app.plugins
            names = [[plugin.name for plugin in dropin_cache.getPlugins(IPlugin, app.plugins)]
                     for IPlugin in [dropin_cache.IPlugin] * 3]
            result = [names, [text for text in messages if place in text]]
            """,
            shared.path,
            [shared.path],
        )
        for directory in (shared.path / "app/plugins", shared.path / "app"):
            directory.chmod(0o755)
        message = f"Unable to write to plugin cache {cache_of(shared)}: error number 13"
        assert [[["good"]] * 3, [message]] == result
        assert cached_names(shared) == ["gone", "good"]


class TestAllDropinsRemoved:
    """In Twisted the cache stays behind."""

    def test_reader(self, tree: Tree, package: ModuleType) -> None:
        """What is left of it yields nothing."""
        getCache(package)
        (tree.path / "app/plugins/good.py").unlink()
        new_process("good")
        assert greeters(package) == []

    @pytest.mark.processes
    def test_writer(self, tree: Tree, package: ModuleType) -> None:
        """The writer removes it."""
        refresh(tree)
        (tree.path / "app/plugins/good.py").unlink()
        (report,) = refresh(tree).directories
        assert report.state == "removed"
        assert not cache_of(tree).exists()
        assert refresh(tree).directories == ()

    @pytest.mark.processes
    def test_writer_of_a_package(self, tree: Tree, package: ModuleType) -> None:
        """It also removes that of a drop-in that was a package."""
        path = tree.dropin("one/__init__")
        refresh(tree)
        orphan = tree.path / "app/plugins/one/dropin.cache"
        assert orphan.exists()
        path.unlink()
        refresh(tree)
        assert not orphan.exists()


class TestSameNameTwice:
    """Here Twisted is right: the first wins, and the other is in no cache."""

    @pytest.fixture
    def second(self, tree: Tree) -> Path:
        """Another directory of the plugin package, with the same name and one of its own in it."""
        tree.dropin("good", "IOther", root="second")
        tree.dropin("other", root="second")
        return tree.path / "second/app/plugins"

    def test_reader(self, tree: Tree, package: ModuleType, second: Path) -> None:
        """The reader does as Twisted does."""
        package.__path__.append(str(second))
        assert greeters(package) == ["good", "other"]
        assert cached_names(tree) == ["good"]
        assert list(decode((second / "dropin.cache").read_bytes())) == ["other"]

    @pytest.mark.processes
    def test_writer(self, tree: Tree, package: ModuleType, second: Path) -> None:
        """The writer does as well."""
        assert len(refresh(tree, further=(tree.path / "second",)).directories) == 2
        assert cached_names(tree) == ["good"]
        assert list(decode((second / "dropin.cache").read_bytes())) == ["other"]


class TestZipOnThePath:
    """In Twisted an AttributeError is logged on each call."""

    @pytest.fixture
    def archive(self, tree: Tree) -> str:
        """A directory in an archive, with a drop-in in it."""
        path = tree.path / "lib.zip"
        source = (tree.path / "app/plugins/good.py").read_text(encoding="utf-8")
        with zipfile.ZipFile(path, "w") as file:
            file.writestr("app/plugins/zipped.py", source.replace("'good'", "'zipped'"))
        return f"{path}/app/plugins"

    def test_reader(
        self, tree: Tree, package: ModuleType, caplog: pytest.LogCaptureFixture, archive: str
    ) -> None:
        """It works, without a cache and without a word."""
        package.__path__.append(archive)
        for _ in range(2):
            assert greeters(package) == ["good", "zipped"]
        assert messages(caplog) == []
        assert cached_names(tree) == ["good"]

    @pytest.mark.processes
    def test_writer(self, tree: Tree, package: ModuleType, archive: str) -> None:
        """The writer has nothing to do with it."""
        tree.write("app/plugins/__init__.py", f"__path__.append({archive!r})")
        (report,) = refresh(tree).directories
        assert ([], "written") == (list(report.broken), report.state)
        assert cached_names(tree) == ["good"]


class TestNamespacePackage:
    """In Twisted a plugin package without __init__.py is a TypeError."""

    @pytest.fixture
    def spaced(self, tree: Tree, package: ModuleType) -> ModuleType:
        """Such a plugin package, in two directories."""
        tree.application("spaced")
        (tree.path / "spaced/plugins/__init__.py").unlink()
        tree.dropin("one", package="spaced")
        return importlib.import_module("spaced.plugins")

    def test_reader(self, tree: Tree, spaced: ModuleType) -> None:
        """It works and is cached."""
        assert greeters(spaced) == ["one"]
        assert list(decode(cache_of(tree, "spaced").read_bytes())) == ["one"]

    @pytest.mark.processes
    def test_writer(self, tree: Tree, spaced: ModuleType) -> None:
        """The writer knows it as well."""
        (report,) = refresh(tree, "spaced.plugins").directories
        assert report.state == "written"
        assert list(decode(cache_of(tree, "spaced").read_bytes())) == ["one"]


@pytest.mark.processes
class TestModeOfTheCache:
    """In Twisted it is 0777 with umask 0, and 0755 normally."""

    @pytest.mark.parametrize("mask", [0, 0o022, 0o077, 0o777])
    @pytest.mark.parametrize("command", [False, True])
    def test_mode(self, tree: Tree, package: ModuleType, mask: int, command: bool) -> None:
        """It is 0644, whatever the mask and whoever writes it."""
        # In a child, because the mask concerns everything that a process makes.
        program = """
        import os, sys
        import app.plugins, dropin_cache
        from dropin_cache.update import orchestrator, report
        sys.dont_write_bytecode = True
        os.umask(int(sys.argv[1]))
        if sys.argv[2] == "True":
            request = report.Request(("app.plugins",), paths=tuple(sys.argv[3:]))
            orchestrator.update(request, lambda *_: None)
        else:
            dropin_cache.getCache(app.plugins)
        """
        # With mask 0777 nobody but root could enter the directory for locks.
        mask = mask if os.geteuid() == 0 else mask & 0o077
        roots = [str(tree.path), str(LIBRARY)]
        done = run_python(program, str(mask), str(command), *roots, path=[tree.path, LIBRARY])
        assert (done.returncode, done.stderr) == (0, "")
        assert cache_of(tree).stat().st_mode & 0o7777 == 0o644


class TestKilledBeforeRename:
    """In Twisted `<random>dropin.cache.new` stays behind."""

    LEFTOVERS = (".dropin.cache.0123456789abcdef.new", f"{'0' * 40}dropin.cache.new")

    def leave(self, tree: Tree) -> list[Path]:
        """Leave what killed runs of ours and of Twisted's leave."""
        yesterday = time.time() - 86_400
        paths = [cache_of(tree).with_name(name) for name in self.LEFTOVERS]
        for path in paths:
            path.touch()
            os.utime(path, (yesterday, yesterday))
        return paths

    def test_reader(self, tree: Tree, package: ModuleType) -> None:
        """Nothing is disturbed by it, and a reader that writes removes it."""
        left = self.leave(tree)
        assert greeters(package) == ["good"]
        assert [False, False] == [path.exists() for path in left]

    @pytest.mark.processes
    def test_writer(self, tree: Tree, package: ModuleType) -> None:
        """The next run removes it."""
        left = self.leave(tree)
        refresh(tree)
        assert [False, False] == [path.exists() for path in left]

    @pytest.mark.processes
    def test_writer_with_nothing_to_write(self, tree: Tree, package: ModuleType) -> None:
        """The next run removes it, also where the cache is fresh."""
        refresh(tree)
        left = self.leave(tree)
        (report,) = refresh(tree).directories
        assert report.state == "unchanged"
        assert [False, False] == [path.exists() for path in left]


class TestRemoveAndAddAgain:
    """In Twisted bytes and order depend on the history."""

    def test_reader(self, tree: Tree, package: ModuleType) -> None:
        """They do not."""
        texts = {}
        for name in ("a", "z"):
            path = tree.dropin(name, mtime_ns=LONG_AGO)
            texts[path] = path.read_text(encoding="utf-8")
        getCache(package)
        expected = cache_of(tree).read_bytes(), cache_of(tree).stat().st_mtime_ns
        for path, text in texts.items():
            path.unlink()
            new_process("a", "good", "z")
            getCache(package)
            assert path.stem not in cached_names(tree)
            tree.write(str(path.relative_to(tree.path)), text, LONG_AGO)
            new_process("a", "good", "z")
            getCache(package)
        assert cached_names(tree) == ["a", "good", "z"]
        assert expected == (cache_of(tree).read_bytes(), cache_of(tree).stat().st_mtime_ns)

    @pytest.mark.processes
    def test_writer(self, tree: Tree, package: ModuleType) -> None:
        """They do not."""
        path = tree.dropin("a", mtime_ns=LONG_AGO)
        text = path.read_text(encoding="utf-8")
        refresh(tree)
        expected = cache_of(tree).read_bytes(), cache_of(tree).stat().st_mtime_ns
        path.unlink()
        refresh(tree)
        assert cached_names(tree) == ["good"]
        tree.write("app/plugins/a.py", text, LONG_AGO)
        refresh(tree)
        assert expected == (cache_of(tree).read_bytes(), cache_of(tree).stat().st_mtime_ns)

    def test_order_is_that_of_the_reader(self, tree: Tree, package: ModuleType) -> None:
        """The order in the cache, which Twisted keeps, is the order in which ours yields."""
        for name in ("a", "a1", "a_b", "ab", "B", "a\N{LATIN SMALL LETTER E WITH ACUTE}", "a+"):
            tree.dropin(name)
        found = getCache(package)
        assert list(found) == cached_names(tree)
        assert facts(found).keys() == facts(decode(cache_of(tree).read_bytes())).keys()


# What asks, in a process of its own, as an application of Twisted's, and one of ours.
_THEIRS = """
import sys
import app.plugins, app.wanted
from twisted.plugin import getPlugins
print(*sorted(each.name for each in getPlugins(app.wanted.WANTED, app.plugins)))
"""
_OURS = _THEIRS.replace("twisted.plugin", "dropin_cache")


def asked(tree: Tree, *programs: str) -> list[str]:
    """Ask in one process after the other, and return what each found."""
    found = []
    for program in programs:
        done = run_python(program, path=[tree.path, LIBRARY])
        assert "" == done.stderr
        found.append(done.stdout.strip())
    return found


@pytest.mark.processes
class TestMovedDropin:
    """Twisted leaves out what is marked with our interface alone, and says nothing of it."""

    IMPORTS = """
    from zope.interface import implementer
    import dropin_cache, twisted.plugin
    from app.wanted import WANTED

    class Plugin:
        def __init__(self, name):
            self.name = name

    @implementer(dropin_cache.IPlugin, WANTED)
    class Moved(Plugin): pass

    @implementer(twisted.plugin.IPlugin, WANTED)
    class Unmoved(Plugin): pass

    @implementer(twisted.plugin.IPlugin, dropin_cache.IPlugin, WANTED)
    class Both(Plugin): pass
    """

    @pytest.mark.parametrize(
        ("files", "theirs", "ours"),
        [
            pytest.param({"one.py": "one = Moved('one')"}, "", "one", id="moved"),
            pytest.param({"one.py": "one = Both('one')"}, "one", "one", id="both"),
            pytest.param(
                {"one.py": "one = Moved('one')\ntwo = Unmoved('two')"}, "two", "one two", id="half"
            ),
            pytest.param({"one/__init__.py": "one = Moved('one')"}, "", "one", id="package"),
            pytest.param(
                {"../far.py": "far = Moved('far')", "one.py": "from app.far import far #"},
                *("", "far"),
                id="elsewhere",
            ),
        ],
    )
    def test_twisted_first(self, tree: Tree, files: dict[str, str], theirs: str, ours: str) -> None:
        """Our reader finds it, whoever wrote the cache; Twisted's once the cache is ours."""
        tree.application()
        tree.write("app/wanted.py", "from app.interfaces import IOther as WANTED\n")
        for name, text in files.items():
            code = textwrap.dedent(self.IMPORTS) + text
            path = tree.write(f"app/plugins/{name}", text if text.endswith("#") else code)
            os.utime(path, ns=(LONG_AGO, LONG_AGO))
        place = path if path.name == "__init__.py" else tree.path / "app/plugins"
        assert [theirs] == asked(tree, _THEIRS)
        assert (
            b"fingerprint"
            not in (place.parent if place == path else place).joinpath("dropin.cache").read_bytes()
        )
        # In a directory that it may not write, our reader finds it each time.
        assert [ours, ours] == asked(tree, _OURS, _OURS)
        found = " ".join(sorted({*theirs.split(), *ours.split()}))
        assert [found, found] == asked(tree, _THEIRS, _OURS)


@pytest.mark.processes
class TestNestedInterface:
    """Twisted cannot write a cache if an interface is an attribute of a class."""

    @pytest.mark.parametrize(
        ("code", "name"),
        [
            ("class Host:\n class IExt(Interface): 1", "Host.IExt"),
            ("class Host:\n class In:\n  class IExt(Interface): 1", "Host.In.IExt"),
            ("class Host:\n class IExt(Interface): 1\nIExt = 3", "Host.IExt"),
            ("class Host:\n class IOld(Interface): 1\n INew = IOld\n del IOld", "Host.INew"),
            ("class Base(Interface): 1\nclass Host:\n class IExt(Base): 1", "Base"),
        ],
    )
    def test_both_libraries(self, tree: Tree, code: str, name: str) -> None:
        """It is found in each process, by ours and in our cache by Twisted's."""
        tree.application()
        tree.write("app/host.py", f"from zope.interface import Interface\n{code}\n")
        tree.write("app/wanted.py", f"from app import host\nWANTED = host.{name}\n")
        provided = "WANTED" if name.startswith("Host") else "host.Host.IExt"
        tree.write(
            "app/plugins/one.py",
            f"""
            from zope.interface import implementer
            import dropin_cache, twisted.plugin
            from app import host
            from app.wanted import WANTED

            @implementer(dropin_cache.IPlugin, twisted.plugin.IPlugin, {provided})
            class Plugin:
                name = "one"

            one = Plugin()
            """,
            LONG_AGO,
        )
        assert ["one"] * 4 == asked(tree, _OURS, _OURS, _THEIRS, _THEIRS)
        before = cache_of(tree).read_bytes()
        assert b"Host." in before
        refresh(tree, force=True)
        assert before == cache_of(tree).read_bytes()

    @pytest.mark.parametrize(
        "code",
        [
            "def make():\n class ILocal(Interface): 1\n return ILocal\nHIDDEN = [make()]",
            "class IExt(Interface): 1\nHIDDEN = [IExt]\nIExt = 3",
            "class IExt(Interface): 1\nHIDDEN = [IExt]\ndel IExt",
            "def make():\n class IExt(Interface): 1\n return (IExt,)\nHIDDEN = make()",
        ],
    )
    def test_unreachable(self, tree: Tree, code: str) -> None:
        """One that nobody can name is found by ours in each process."""
        tree.application()
        text = f"from zope.interface import Interface\n{code}\nWANTED = HIDDEN[0]\n"
        tree.write("app/wanted.py", text)
        tree.write(
            "app/plugins/one.py",
            """
            from zope.interface import implementer
            import dropin_cache
            from app.wanted import WANTED

            @implementer(dropin_cache.IPlugin, WANTED)
            class Plugin:
                name = "one"

            one = Plugin()
            """,
            LONG_AGO,
        )
        program = "import logging; logging.disable()\n" + _OURS
        assert ["one"] * 3 == asked(tree, program, program, program)
