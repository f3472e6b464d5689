"""Tests of finding plugins."""

from __future__ import annotations

import contextlib
import errno
import importlib
import logging
import os
import pickle
import sys
import time
import types
import zipfile
from typing import TYPE_CHECKING, Any

import pytest
from zope.interface import Interface

import dropin_cache
from conftest import run_python
from dropin_cache import IPlugin, _plugins, getCache, getPlugins
from dropin_cache._decode import decode
from dropin_cache.update.files import cache_directory
from reader_support import (
    LIBRARY,
    LONG_AGO,
    cache_of,
    fingerprint_of,
    forget,
    plugin_names,
    refresh,
    run_ordinary,
    stamp,
    use,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from conftest import Tree

LATER = LONG_AGO + 10**12


@pytest.fixture
def package(tree: Tree, monkeypatch: pytest.MonkeyPatch) -> types.ModuleType:
    """The plugin package of a small application, imported, with nothing in it yet."""
    return use(tree, monkeypatch)


def interface(name: str = "IGreeter") -> Any:
    """Return one of the application's interfaces."""
    return getattr(importlib.import_module("app.interfaces"), name)


@contextlib.contextmanager
def importing(mode: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Import as PYTHON_LAZY_IMPORTS says, or seem to, where Python does not know that yet."""
    if sys.version_info < (3, 15):
        monkeypatch.setattr(sys, "get_lazy_imports", lambda: mode, raising=False)
        yield
        return
    former = sys.get_lazy_imports()
    sys.set_lazy_imports(mode)
    try:
        yield
    finally:
        sys.set_lazy_imports(former)


def new_process(*dropins: str) -> None:
    """Forget what this process knows of drop-ins, as a new one would not know it."""
    _plugins._imports.clear()
    _plugins._unwritable.clear()
    _plugins._reported.clear()
    forget(*(f"app.plugins.{name}" for name in dropins))


def messages(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Return what the package has logged."""
    return [record.getMessage() for record in caplog.records if record.name == "dropin_cache"]


def settled(tree: Tree, package: types.ModuleType) -> None:
    """Have a cache of the drop-ins `a` and `b`, and files that changed long enough ago."""
    if not cache_of(tree).exists():
        for name in ("a", "b"):
            tree.dropin(name, mtime_ns=LONG_AGO)
    getCache(package)
    time.sleep(0.05)
    getCache(package)


class TestGetPlugins:
    """Yielding plugins."""

    def test_providers(self, tree: Tree, package: types.ModuleType) -> None:
        """Those that provide the interface are yielded, in the order of their modules' names."""
        for name, provided in [("c", "IGreeter"), ("a", "ILoudGreeter"), ("b", "IOther")]:
            tree.dropin(name, provided)
        assert plugin_names(getPlugins(interface(), package)) == ["a", "c"]

    def test_is_lazy(self, tree: Tree, package: types.ModuleType) -> None:
        """Nothing is looked at before the first plugin is asked for."""
        tree.dropin("a")
        found = getPlugins(interface(), package)
        assert not cache_of(tree).exists()
        assert next(found).name == "a"
        assert cache_of(tree).exists()

    @pytest.mark.parametrize("mode", ["all", "normal"])
    def test_imported_lazily(
        self, tree: Tree, package: types.ModuleType, monkeypatch: pytest.MonkeyPatch, mode: str
    ) -> None:
        """A process that imports everything lazily finds all, and writes nothing of it down."""
        tree.dropin("a")
        tree.write("app/plugins/b.py", "from app.plugins.a import plugin")
        with importing(mode, monkeypatch):
            found = plugin_names(getPlugins(interface(), package))
        assert ["a", "a"] == found
        assert (mode == "normal") == cache_of(tree).exists()

    def test_second_time(self, tree: Tree, package: types.ModuleType) -> None:
        """Asking again yields the same objects."""
        tree.dropin("a")
        first, second = (list(getPlugins(interface(), package)) for _ in range(2))
        assert first == second

    def test_imports_providers_only(self, tree: Tree, package: types.ModuleType) -> None:
        """With a fresh cache only drop-ins whose plugins are yielded are imported."""
        for name, provided in [("a", "IGreeter"), ("b", "IOther")]:
            tree.dropin(name, provided)
        getCache(package)
        new_process("a", "b")
        assert plugin_names(getPlugins(interface(), package)) == ["a"]
        assert "app.plugins.a" in sys.modules
        assert "app.plugins.b" not in sys.modules

    def test_marker_yields_all(self, tree: Tree, package: types.ModuleType) -> None:
        """Asking for the marker yields every plugin, and so makes a whole cache."""
        for name, provided in [("a", "IGreeter"), ("b", "IOther")]:
            tree.dropin(name, provided)
        assert plugin_names(getPlugins(IPlugin, package)) == ["a", "b"]
        assert list(decode(cache_of(tree).read_bytes())) == ["a", "b"]

    def test_unknown_interface(self, tree: Tree, package: types.ModuleType) -> None:
        """An interface that no plugin provides yields none."""

        class INobody(Interface):
            pass

        tree.dropin("a")
        assert list(getPlugins(INobody, package)) == []

    def test_default_package(self, tree: Tree, monkeypatch: pytest.MonkeyPatch) -> None:
        """Without a package, dropin_cache.plugins is searched."""
        tree.write(
            "dropin_cache/plugins/hello.py",
            """
            from zope.interface import implementer
            from dropin_cache import IPlugin

            @implementer(IPlugin)
            class Plugin:
                name = "hello"

            plugin = Plugin()
            """,
        )
        monkeypatch.syspath_prepend(str(tree.path))
        forget("dropin_cache.plugins")
        try:
            assert "hello" in plugin_names(getPlugins(IPlugin))
        finally:
            forget("dropin_cache.plugins", "dropin_cache.plugins.hello")

    def test_plugin_that_cannot_be_loaded(
        self, tree: Tree, package: types.ModuleType, caplog: pytest.LogCaptureFixture
    ) -> None:
        """One that fails to load, whatever it raises, is logged; the others are yielded."""
        for name in ("a", "b", "c"):
            tree.dropin(name)
        tree.write("app/flag.py", "broken = False\n")
        bad = tree.dropin("b")
        text = "import app.flag\nif app.flag.broken:\n    raise SystemExit(3)\n"
        bad.write_text(text + bad.read_text(encoding="utf-8"), encoding="utf-8")
        getCache(package)
        new_process("a", "b", "c")
        importlib.import_module("app.flag").broken = True
        assert plugin_names(getPlugins(interface(), package)) == ["a", "c"]
        assert messages(caplog) == ["Unable to load plugin app.plugins.b.plugin"]

    def test_errors_escape_from_the_caller(self, tree: Tree, package: types.ModuleType) -> None:
        """What the caller raises between two plugins is the caller's."""
        tree.dropin("a")
        found = getPlugins(interface(), package)
        next(found)
        with pytest.raises(ValueError, match="mine"):
            found.throw(ValueError("mine"))

    def test_adapters(self, tree: Tree, package: types.ModuleType) -> None:
        """Plugins that only adapt to the interface are yielded as what they adapt to."""

        class ILength(Interface):
            pass

        components = importlib.import_module("twisted.python.components")
        tree.dropin("friendly")
        tree.dropin("other", "IOther")
        getCache(package)
        new_process("friendly", "other")
        greeter = interface()

        def adapter(plugin: Any) -> int:
            return len(plugin.name)

        components.registerAdapter(adapter, greeter, ILength)
        try:
            assert list(getPlugins(ILength, package)) == [8]
        finally:
            components.globalRegistry.unregister([greeter], ILength, "", adapter)
        assert "app.plugins.other" not in sys.modules


class TestGetCache:
    """What is known about drop-ins."""

    def test_objects_as_in_twisted(self, tree: Tree, package: types.ModuleType) -> None:
        """The objects have Twisted's attributes, whether they come from a cache or an import."""
        tree.dropin("a")
        for _ in range(2):
            dropin = getCache(package)["a"]
            (plugin,) = dropin.plugins
            assert ("app.plugins.a", "The drop-in a.") == (dropin.moduleName, dropin.description)
            assert (dropin, "plugin") == (plugin.dropin, plugin.name)
            assert plugin.description == "The plugin of a."
            assert [IPlugin, interface()] == plugin.provided
            expected = "<CachedPlugin 'plugin'/'app.plugins.a' (provides 'IPlugin, IGreeter')>"
            assert expected == repr(plugin)
            assert sys.modules["app.plugins.a"].plugin is plugin.load()
            new_process()

    def test_reading_imports_nothing(self, tree: Tree, package: types.ModuleType) -> None:
        """With a fresh cache neither drop-ins nor interfaces are imported."""
        tree.dropin("a")
        getCache(package)
        new_process("a")
        forget("app.interfaces")
        before = set(sys.modules)
        assert list(getCache(package)) == ["a"]
        assert before == set(sys.modules)

    def test_fresh_cache_is_left_alone(self, tree: Tree, package: types.ModuleType) -> None:
        """A fresh cache is not written again."""
        tree.dropin("a")
        getCache(package)
        before = stamp(cache_of(tree))
        new_process("a")
        getCache(package)
        assert before == stamp(cache_of(tree))

    def test_new_dropin(self, tree: Tree, package: types.ModuleType) -> None:
        """A new one is imported, alone, and added to the cache."""
        tree.dropin("a")
        getCache(package)
        tree.dropin("b")
        new_process("a")
        assert list(getCache(package)) == ["a", "b"]
        assert "app.plugins.a" not in sys.modules
        assert list(decode(cache_of(tree).read_bytes())) == ["a", "b"]

    def test_changed_dropin(self, tree: Tree, package: types.ModuleType) -> None:
        """A changed one is imported, alone, and its entry replaced."""
        tree.dropin("a", mtime_ns=LATER)
        tree.dropin("b", mtime_ns=LATER)
        getCache(package)
        tree.dropin("b", "ILoudGreeter", mtime_ns=LONG_AGO)
        new_process("a", "b")
        assert "ILoudGreeter" in repr(getCache(package)["b"].plugins)
        assert "app.plugins.a" not in sys.modules
        entry = decode(cache_of(tree).read_bytes())["b"]
        assert fingerprint_of(tree.path / "app/plugins/b.py") == entry.fingerprint

    def test_removed_dropin(self, tree: Tree, package: types.ModuleType) -> None:
        """A removed one is in neither the result nor the cache, and nothing is imported."""
        for name in ("a", "b"):
            path = tree.dropin(name)
        getCache(package)
        path.unlink()
        new_process("a", "b")
        assert list(getCache(package)) == ["a"]
        assert list(decode(cache_of(tree).read_bytes())) == ["a"]
        assert "app.plugins.a" not in sys.modules

    def test_last_dropin_removed(self, tree: Tree, package: types.ModuleType) -> None:
        """Where none is left the result is empty."""
        path = tree.dropin("a")
        getCache(package)
        path.unlink()
        assert getCache(package) == {}

    def test_dropin_that_is_a_package(self, tree: Tree, package: types.ModuleType) -> None:
        """One that is a package has its cache in itself."""
        tree.dropin("one/__init__")
        tree.write("app/plugins/one/helper.py")
        assert list(getCache(package)) == ["one"]
        assert list(decode((tree.path / "app/plugins/one/dropin.cache").read_bytes())) == ["one"]
        assert not cache_of(tree).exists()

    def test_empty_dropin(self, tree: Tree, package: types.ModuleType) -> None:
        """A drop-in without plugins is cached too, and so imported once."""
        tree.write("app/plugins/empty.py", "'Nothing here.'")
        assert getCache(package)["empty"].plugins == []
        new_process("empty")
        assert getCache(package)["empty"].description == "Nothing here."
        assert "app.plugins.empty" not in sys.modules

    def test_module_without_path(self) -> None:
        """A module that is no package has no drop-ins."""
        assert getCache(types.ModuleType("alone")) == {}

    def test_several_directories(
        self, tree: Tree, package: types.ModuleType, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Each directory of the package has its own cache; the first wins a name."""
        tree.dropin("both")
        tree.dropin("both", "IOther", root="second")
        tree.dropin("alone", root="second")
        package.__path__.append(str(tree.path / "second/app/plugins"))
        cache = getCache(package)
        assert list(cache) == ["both", "alone"]
        assert "IGreeter" in repr(cache["both"].plugins)
        second = tree.path / "second/app/plugins/dropin.cache"
        assert list(decode(cache_of(tree).read_bytes())) == ["both"]
        assert list(decode(second.read_bytes())) == ["alone"]

    def test_entry_of_another_package(self, tree: Tree, package: types.ModuleType) -> None:
        """A cache copied from the directory of another package is not believed."""
        tree.dropin("a", mtime_ns=LONG_AGO)
        getCache(package)
        tree.application("other")
        tree.dropin("a", "IOther", package="other")
        copied = tree.path / "other/plugins/dropin.cache"
        copied.write_bytes(cache_of(tree).read_bytes())
        cache = getCache(importlib.import_module("other.plugins"))
        assert cache["a"].moduleName == "other.plugins.a"
        assert "IOther" in repr(cache["a"].plugins)

    def test_cache_of_twisted(self, tree: Tree, package: types.ModuleType) -> None:
        """A cache that Twisted wrote is used, and left as it is."""
        original = importlib.import_module("twisted.plugin")
        tree.dropin("a", mtime_ns=LONG_AGO)
        dropin = original.CachedDropin("app.plugins.a", None)
        original.CachedPlugin(dropin, "plugin", None, [IPlugin, interface()])
        cache_of(tree).write_bytes(pickle.dumps({"a": dropin}))
        before = stamp(cache_of(tree))
        assert [IPlugin, interface()] == getCache(package)["a"].plugins[0].provided
        assert "app.plugins.a" not in sys.modules
        assert before == stamp(cache_of(tree))

    def test_cache_of_twisted_that_is_too_old(self, tree: Tree, package: types.ModuleType) -> None:
        """If it is older than a drop-in, that one is imported, as Twisted does."""
        original = importlib.import_module("twisted.plugin")
        tree.dropin("a")
        dropin = original.CachedDropin("app.plugins.a", None)
        cache_of(tree).write_bytes(pickle.dumps({"a": dropin}))
        os.utime(cache_of(tree), ns=(LONG_AGO, LONG_AGO))
        assert len(getCache(package)["a"].plugins) == 1


BAD = {
    "raises": "1 / 0\n",
    "exits": "raise SystemExit\n",
    "removes itself": "import sys\ndel sys.modules[__name__]\n1 / 0\n",
    "unreadable": "\0",
    "missing": "import app.nothing\n",
}


class TestPolling:
    """Asking again and again."""

    def test_unchanged(self, tree: Tree, package: types.ModuleType) -> None:
        """As long as nothing changes the drop-ins are the same objects, in a new dictionary."""
        settled(tree, package)
        first, second = getCache(package), getCache(package)
        assert first["a"] is second["a"]
        first.clear()
        assert ["a", "b"] == list(getCache(package))

    @pytest.mark.processes
    def test_opens_no_file(self, tree: Tree, package: types.ModuleType) -> None:
        """Who asks again, and nothing has changed, has directories listed and no file opened."""
        settled(tree, package)
        program = """
        import sys
        import app.plugins
        from dropin_cache import getCache
        getCache(app.plugins)
        events = []
        sys.addaudithook(lambda event, arguments: events.append(event))
        getCache(app.plugins)
        print(set(events))
        """
        environment = {"COVERAGE_PROCESS_START": "", "COVERAGE_PROCESS_CONFIG": ""}
        done = run_python(program, path=[tree.path, LIBRARY], env=environment)
        assert (done.stdout, done.stderr) == ("{'os.scandir'}\n", "")

    @pytest.mark.parametrize("kind", BAD)
    def test_broken(
        self, tree: Tree, package: types.ModuleType, kind: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Broken drop-ins are not looked at again while nothing changes."""
        tree.write("app/plugins/bad.py", BAD[kind])
        settled(tree, package)
        assert ["a", "b"] == list(getCache(package))
        scans: list[str] = []
        monkeypatch.setattr(_plugins._scan, "scan", lambda name, *_: scans.append(name) or [])
        assert ["a", "b"] == list(getCache(package))
        assert [] == scans

    def test_broken_module_appears(self, tree: Tree, package: types.ModuleType) -> None:
        """One that somebody else imports meanwhile is found."""
        tree.write("app/plugins/bad.py", "import app\nassert app.good\n")
        settled(tree, package)
        assert ["a", "b"] == list(getCache(package))
        sys.modules["app"].good = True
        importlib.import_module("app.plugins.bad")
        assert ["a", "b", "bad"] == list(getCache(package))

    def test_imported_before(self, tree: Tree, package: types.ModuleType) -> None:
        """What was imported before and cannot be cached is known as long as it is that module."""
        tree.dropin("c", mtime_ns=LONG_AGO)
        module = importlib.import_module("app.plugins.c")
        settled(tree, package)
        assert getCache(package)["c"] is getCache(package)["c"]
        module.plugin = None
        importlib.reload(module)
        forget("app.plugins.c")
        importlib.import_module("app.plugins.c").plugin = None
        assert [] == getCache(package)["c"].plugins

    @pytest.mark.parametrize("content", ["right", "void", "large"])
    def test_decoded_once(
        self,
        tree: Tree,
        package: types.ModuleType,
        content: str,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        """A cache is decoded once for each file, whatever changes beside it."""
        settled(tree, package)
        if content != "right":
            data = b"no cache" * (1 if content == "void" else 100_000)
            cache_of(tree).write_bytes(data)
            monkeypatch.setattr(_plugins, "_write_back", lambda *_: None)
            time.sleep(0.05)
        reads: list[str] = []
        original = _plugins.read_cache_file

        def counted(directory: Any) -> Any:
            reads.append(directory)
            return original(directory)

        monkeypatch.setattr(_plugins, "read_cache_file", counted)
        for number in range(4):
            tree.write(f"app/plugins/bad{number}.py", "1 / 0\n", LONG_AGO)
            assert ["a", "b"] == list(getCache(package))
        assert (content != "right") == len(reads)
        (tree.path / "app/plugins/bad0.py").unlink()
        cache_of(tree).write_bytes(cache_of(tree).read_bytes())
        assert ["a", "b"] == list(getCache(package))
        assert 1 + (content != "right") == len(reads)

    def test_changes(self, tree: Tree, package: types.ModuleType) -> None:
        """A drop-in that is added, edited in place, or removed is noticed at once."""
        settled(tree, package)
        seen = [list(getCache(package))]
        tree.dropin("c", mtime_ns=LONG_AGO)
        seen.append(list(getCache(package)))
        settled(tree, package)
        with (tree.path / "app/plugins/b.py").open("a") as file:
            file.write("plugin = None\n")
        forget("app.plugins.b")
        seen.append([key for key, dropin in getCache(package).items() if dropin.plugins])
        settled(tree, package)
        (tree.path / "app/plugins/a.py").unlink()
        seen.append(list(getCache(package)))
        assert [["a", "b"], ["a", "b", "c"], ["a", "c"], ["b", "c"]] == seen

    def test_other_cache(self, tree: Tree, package: types.ModuleType) -> None:
        """A cache that is replaced is read."""
        settled(tree, package)
        first = getCache(package)["a"]
        cache = cache_of(tree)
        cache.with_name("new").write_bytes(cache.read_bytes())
        cache.with_name("new").rename(cache)
        assert first is not getCache(package)["a"]

    def test_longer_path(self, tree: Tree, package: types.ModuleType) -> None:
        """A directory that is added to the package's path counts from then on."""
        settled(tree, package)
        tree.write("further/z.py", "")
        package.__path__.append(str(tree.path / "further"))
        assert ["a", "b", "z"] == list(getCache(package))

    @pytest.mark.processes
    def test_unwritable(self, public_path: Path, tree: Tree) -> None:
        """What a cache has too much, and this process may not remove, is no reason to read it."""
        shared = type(tree)(public_path)
        shared.application()
        for name in ("a", "b"):
            shared.dropin(name, mtime_ns=LONG_AGO)
        refresh(shared)
        (public_path / "app/plugins/b.py").unlink()
        (public_path / "secret").mkdir(mode=0)
        (public_path / "app/plugins").chmod(0o555)
        result = run_ordinary(
            """
            import time
            import app.plugins
            from dropin_cache import getCache
            app.plugins.__path__.append(place + "/secret")
            time.sleep(0.05)
            first, second = getCache(app.plugins), getCache(app.plugins)
            result = [list(second), first["a"] is second["a"]]
            """,
            public_path,
            [public_path],
        )
        for directory in (public_path / "secret", public_path / "app/plugins"):
            directory.chmod(0o755)
        assert [["a"], True] == result


INTERRUPTED = {
    "import": "if not hasattr(app, 'go'):\n    raise KeyboardInterrupt\n",
    "signal": (
        "import os, signal, time\nif not hasattr(app, 'go'):\n"
        "    os.kill(os.getpid(), signal.SIGINT)\n    time.sleep(9)\n"
    ),
    "dependency": "import app.slow\n",
    "description": (
        "class Odd:\n    def __conform__(self, interface):\n"
        "        if not hasattr(app, 'go'):\n            raise KeyboardInterrupt\n"
        "odd = Odd()\n"
    ),
    "inside": "try:\n    import app.slow\nexcept ValueError:\n    pass\n",
}


class TestImports:
    """Importing drop-ins."""

    def test_failure_is_logged_once(
        self, tree: Tree, package: types.ModuleType, caplog: pytest.LogCaptureFixture
    ) -> None:
        """One that fails is tried and logged once, hides no other, and is not cached."""
        tree.dropin("good")
        tree.write("app/count.py", "imports = 0\n")
        tree.write(
            "app/plugins/bad.py", "import app.count\napp.count.imports += 1\nraise SystemExit(3)\n"
        )
        for _ in range(3):
            assert list(getCache(package)) == ["good"]
        assert sys.modules["app.count"].imports == 1
        assert messages(caplog) == ["Unable to import drop-in app.plugins.bad"]
        assert list(decode(cache_of(tree).read_bytes())) == ["good"]

    @pytest.mark.parametrize("kind", INTERRUPTED)
    def test_interrupted(self, tree: Tree, package: types.ModuleType, kind: str) -> None:
        """Ctrl-C ends the search, and the drop-in is tried again by the next."""
        path = tree.dropin("good")
        path.write_text("import app\n" + INTERRUPTED[kind] + path.read_text())
        tree.write("app/slow.py", "import app\n" + INTERRUPTED["import"])
        with pytest.raises(KeyboardInterrupt):
            getCache(package)
        sys.modules["app"].go = True
        assert ["good"] == list(getCache(package))
        assert ["good"] == plugin_names(getPlugins(interface(), package))

    def test_interrupted_while_loading(self, tree: Tree, package: types.ModuleType) -> None:
        """It does so too where a plugin of a fresh cache is loaded."""
        path = tree.dropin("good")
        path.write_text("import app.slow\n" + path.read_text())
        tree.write("app/slow.py")
        assert ["good"] == list(getCache(package))
        new_process("good")
        forget("app.slow")
        tree.write("app/slow.py", "raise KeyboardInterrupt\n")
        with pytest.raises(KeyboardInterrupt):
            list(getPlugins(interface(), package))
        tree.write("app/slow.py")
        assert ["good"] == plugin_names(getPlugins(interface(), package))

    def test_interrupted_while_logging(
        self, tree: Tree, package: types.ModuleType, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Nor is it lost where a failure is told."""

        class Slow(logging.Handler):
            def emit(self, record: logging.LogRecord) -> None:
                raise KeyboardInterrupt

        tree.write("app/plugins/bad.py", "1 / 0\n")
        monkeypatch.setattr(logging.getLogger("dropin_cache"), "handlers", [Slow()])
        with pytest.raises(KeyboardInterrupt):
            getCache(package)

    def test_failure_is_forgotten_with_its_file(
        self, tree: Tree, package: types.ModuleType
    ) -> None:
        """What is known of files that are gone is not kept: their names may be ever new."""
        for name in ("one", "two"):
            path = tree.write(f"app/plugins/{name}.py", "1 / 0")
            assert getCache(package) == {}
            assert [str(path)] == list(_plugins._imports)
            path.unlink()

    def test_failure_of_description_is_logged_once(
        self, tree: Tree, package: types.ModuleType, caplog: pytest.LogCaptureFixture
    ) -> None:
        """One that cannot be described after its import is logged once as well."""
        tree.write(
            "app/plugins/bad.py",
            """
            import sys
            class Strange:
                __slots__ = ("__name__",)
            sys.modules[__name__] = Strange()
            """,
        )
        for _ in range(3):
            assert getCache(package) == {}
        assert messages(caplog) == ["Unable to import drop-in app.plugins.bad"]

    def test_failure_is_tried_again_when_the_file_changes(
        self, tree: Tree, package: types.ModuleType
    ) -> None:
        """One that was mended is found."""
        tree.write("app/plugins/a.py", "1 / 0")
        assert getCache(package) == {}
        tree.dropin("a")
        assert list(getCache(package)) == ["a"]
        assert list(decode(cache_of(tree).read_bytes())) == ["a"]

    def test_failure_removes_the_old_entry(self, tree: Tree, package: types.ModuleType) -> None:
        """One that worked and is broken now leaves the cache, which then stays as it is."""
        tree.dropin("a")
        tree.dropin("b")
        getCache(package)
        tree.write("app/plugins/b.py", "1 / 0")
        new_process("a", "b")
        assert list(getCache(package)) == ["a"]
        assert list(decode(cache_of(tree).read_bytes())) == ["a"]
        before = stamp(cache_of(tree))
        for _ in range(2):
            new_process("a", "b")
            assert list(getCache(package)) == ["a"]
        assert before == stamp(cache_of(tree))

    def test_module_that_was_imported_before(self, tree: Tree, package: types.ModuleType) -> None:
        """An old version that this process holds is described here, and cached for nobody."""
        path = tree.dropin("a", mtime_ns=LONG_AGO)
        importlib.import_module("app.plugins.a")
        tree.dropin("a", "ILoudGreeter", mtime_ns=LATER)
        assert "ILoudGreeter" not in repr(getCache(package)["a"].plugins)
        assert not cache_of(tree).exists()
        tree.dropin("b")
        assert list(getCache(package)) == ["a", "b"]
        assert list(decode(cache_of(tree).read_bytes())) == ["b"]
        new_process("a", "b")
        assert "ILoudGreeter" in repr(getCache(package)["a"].plugins)
        assert fingerprint_of(path) == decode(cache_of(tree).read_bytes())["a"].fingerprint

    def test_file_that_changes_during_its_import(
        self, tree: Tree, package: types.ModuleType
    ) -> None:
        """A drop-in whose file is replaced while it is imported is not cached."""
        tree.dropin("good")
        path = tree.dropin("a")
        old = path.read_text(encoding="utf-8")
        rewrite = f"import pathlib\npathlib.Path({str(path)!r}).write_text({old!r})\n"
        path.write_text(old + rewrite, encoding="utf-8")
        assert list(getCache(package)) == ["a", "good"]
        assert list(decode(cache_of(tree).read_bytes())) == ["good"]
        new_process("a", "good")
        assert list(getCache(package)) == ["a", "good"]
        assert fingerprint_of(path) == decode(cache_of(tree).read_bytes())["a"].fingerprint

    def test_file_that_changes_during_another_import(
        self, tree: Tree, package: types.ModuleType
    ) -> None:
        """A drop-in whose import changes the file of another gets nothing wrong into the cache."""
        victim = tree.dropin("b")
        path = tree.dropin("a")
        with path.open("a", encoding="utf-8") as file:
            file.write(f"import pathlib\npathlib.Path({str(victim)!r}).write_text('x = 1')\n")
        getCache(package)
        for dropin in decode(cache_of(tree).read_bytes()).values():
            found = tree.path / f"app/plugins/{dropin.moduleName.rpartition('.')[2]}.py"
            assert fingerprint_of(found) == dropin.fingerprint

    def test_dropin_that_asks_for_plugins(self, tree: Tree, package: types.ModuleType) -> None:
        """One that looks for plugins while it is imported finds the others, and all are cached."""
        path = tree.dropin("b")
        tree.dropin("a", "IOther")
        tree.dropin("c", "IOther")
        with path.open("a", encoding="utf-8") as file:
            file.write(
                "from app import plugins\n"
                "from app.interfaces import IOther\n"
                "from dropin_cache import getPlugins\n"
                "found = [each.name for each in getPlugins(IOther, plugins)]\n"
            )
        assert list(getCache(package)) == ["a", "b", "c"]
        assert sys.modules["app.plugins.b"].found == ["a", "c"]
        assert list(decode(cache_of(tree).read_bytes())) == ["a", "b", "c"]
        assert len(decode(cache_of(tree).read_bytes())["b"].plugins) == 1

    def test_file_that_the_import_system_has_not_noticed(
        self, tree: Tree, package: types.ModuleType
    ) -> None:
        """One that came since the directory was last read, within a tick of its date, is found."""
        directory = tree.path / "app/plugins"
        with pytest.raises(ImportError):
            importlib.import_module("app.plugins.late")
        before = directory.stat().st_mtime_ns
        tree.dropin("late")
        os.utime(directory, ns=(before, before))
        assert list(getCache(package)) == ["late"]

    @pytest.mark.processes
    def test_error_that_cannot_be_shown(self, tree: Tree) -> None:
        """An error that raises when it is printed does not escape."""
        # In a child, because such an error ends a test run as well.
        tree.application()
        tree.dropin("good")
        tree.write(
            "app/plugins/evil.py",
            """
            class Evil(Exception):
                __cause__ = __context__ = property(lambda self: 1 / 0)
                def __str__(self):
                    raise SystemExit

            raise Evil
            """,
        )
        program = """
        import app.plugins, dropin_cache
        found = dropin_cache.getPlugins(dropin_cache.IPlugin, app.plugins)
        print([plugin.name for plugin in found])
        """
        done = run_python(program, path=[tree.path, LIBRARY])
        assert (done.returncode, done.stdout) == (0, "['good']\n")

    def test_warnings(
        self, tree: Tree, package: types.ModuleType, caplog: pytest.LogCaptureFixture
    ) -> None:
        """What had to be left out of an entry is logged once."""
        tree.dropin("good")
        with (tree.path / "app/plugins/good.py").open("a", encoding="utf-8") as file:
            file.write("class Bad:\n    __conform__ = lambda *_: 1 / 0\nbad = Bad()\ndel Bad\n")
        for _ in range(2):
            getCache(package)
        expected = "app.plugins.good.bad left out: ZeroDivisionError: division by zero"
        assert messages(caplog) == [expected]


class TestWriteBack:
    """Updating the cache from the reader."""

    @pytest.mark.processes
    def test_same_bytes_as_an_update(self, tree: Tree, package: types.ModuleType) -> None:
        """The reader writes what the command would write."""
        tree.dropin("a")
        getCache(package)
        written = cache_of(tree).read_bytes(), stamp(cache_of(tree))[1]
        cache_of(tree).unlink()
        (report,) = refresh(tree).directories
        assert report.state == "written"
        assert written == (cache_of(tree).read_bytes(), stamp(cache_of(tree))[1])

    def test_cannot_be_written(
        self, tree: Tree, package: types.ModuleType, caplog: pytest.LogCaptureFixture
    ) -> None:
        """That is logged once, in Twisted's words, and the results are right."""
        tree.dropin("a")
        cache_of(tree).mkdir()
        for _ in range(3):
            assert list(getCache(package)) == ["a"]
        (message,) = messages(caplog)
        assert message.startswith(f"Unable to write to plugin cache {cache_of(tree)}: error number")

    def test_nothing_to_lock_with(
        self,
        tree: Tree,
        package: types.ModuleType,
        caplog: pytest.LogCaptureFixture,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        """Without filelock nothing is written, and the results are right."""
        tree.dropin("a")
        monkeypatch.setitem(sys.modules, "filelock", None)
        assert list(getCache(package)) == ["a"]
        expected = f"Unable to write to plugin cache {cache_of(tree)}: error number {errno.ENOSYS}"
        assert messages(caplog) == [expected]
        assert not cache_of(tree).exists()

    def test_is_not_tried_again_before(self, tree: Tree, package: types.ModuleType) -> None:
        """As long as nothing changes, a process that polls does not try again."""
        tree.dropin("a")
        cache_of(tree).mkdir()
        getCache(package)
        cache_of(tree).rmdir()
        assert list(getCache(package)) == ["a"]
        assert not cache_of(tree).exists()

    def test_is_tried_again_when_drop_ins_change(
        self, tree: Tree, package: types.ModuleType
    ) -> None:
        """After a change the reader tries again, since much may have changed."""
        tree.dropin("a")
        cache_of(tree).mkdir()
        getCache(package)
        cache_of(tree).rmdir()
        tree.dropin("b")
        assert list(getCache(package)) == ["a", "b"]
        assert list(decode(cache_of(tree).read_bytes())) == ["a", "b"]

    def test_locked(
        self, tree: Tree, package: types.ModuleType, caplog: pytest.LogCaptureFixture
    ) -> None:
        """While another process writes, the reader neither waits nor writes, nor says so."""
        tree.dropin("a")
        with cache_directory.open_locked(str(tree.path / "app/plugins"), 0):
            assert list(getCache(package)) == ["a"]
            assert not cache_of(tree).exists()
        assert messages(caplog) == []
        assert list(getCache(package)) == ["a"]
        assert list(decode(cache_of(tree).read_bytes())) == ["a"]

    def test_unreadable_directory(
        self, tree: Tree, package: types.ModuleType, caplog: pytest.LogCaptureFixture
    ) -> None:
        """A directory that cannot be read is logged once, and hides nothing."""
        tree.dropin("a")
        loop = tree.path / "loop"
        loop.symlink_to("loop")
        package.__path__.insert(0, str(loop))
        for _ in range(3):
            assert list(getCache(package)) == ["a"]
        expected = f"Unable to read plugin directory {loop}: error number {errno.ELOOP}"
        assert [expected] == messages(caplog)

    def test_file_that_cannot_be_looked_at(
        self,
        tree: Tree,
        package: types.ModuleType,
        caplog: pytest.LogCaptureFixture,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        """It is logged once and left out, and the cache keeps it until more is known."""
        failing = tree.dropin("a")
        tree.dropin("b")
        assert list(getCache(package)) == ["a", "b"]
        before = cache_of(tree).read_bytes()
        ask = os.stat

        def stat(path: Any, **options: Any) -> os.stat_result:
            if str(path) == str(failing):
                raise OSError(errno.EIO, os.strerror(errno.EIO))
            return ask(path, **options)

        new_process("a", "b")
        monkeypatch.setattr(os, "stat", stat)
        for _ in range(3):
            assert list(getCache(package)) == ["b"]
        tree.dropin("c")
        assert list(getCache(package)) == ["b", "c"]
        assert before == cache_of(tree).read_bytes()
        assert [f"Unable to look at {failing}: error number {errno.EIO}"] == messages(caplog)

        monkeypatch.undo()
        assert list(getCache(package)) == ["a", "b", "c"]
        assert list(decode(cache_of(tree).read_bytes())) == ["a", "b", "c"]

    @pytest.mark.parametrize(
        "target", ["gone", "hollow.py", "x" * 300], ids=["gone", "itself", "too long"]
    )
    def test_link_that_leads_nowhere(
        self,
        tree: Tree,
        package: types.ModuleType,
        caplog: pytest.LogCaptureFixture,
        target: str,
    ) -> None:
        """It is no drop-in: nothing is logged, and the cache is written for the others."""
        (tree.path / "app/plugins/hollow.py").symlink_to(target)
        tree.dropin("a")
        assert list(getCache(package)) == ["a"]
        assert list(decode(cache_of(tree).read_bytes())) == ["a"]
        assert [] == messages(caplog)

    @pytest.mark.processes
    def test_unreadable_and_unwritable(self, public_path: Path, tree: Tree) -> None:
        """Who may not write gets the right results and one message for each directory."""
        shared = type(tree)(public_path)
        shared.application()
        shared.dropin("a")
        (public_path / "secret").mkdir(mode=0)
        for directory in (public_path / "app/plugins", public_path / "app"):
            directory.chmod(0o555)
        result = run_ordinary(
            """
            import app.plugins
            from app.interfaces import IGreeter
            app.plugins.__path__.append(place + "/secret")
            counts = [len(list(dropin_cache.getPlugins(IGreeter, app.plugins))) for _ in range(3)]
            result = [counts, [text for text in messages if place in text]]
            """,
            public_path,
            [public_path],
        )
        for directory in (public_path / "secret", public_path / "app/plugins", public_path / "app"):
            directory.chmod(0o755)
        expected = [
            f"Unable to read plugin directory {public_path}/secret: error number 13",
            f"Unable to write to plugin cache {cache_of(shared)}: error number 13",
        ]
        assert [[1, 1, 1], expected] == result


class TestPlugIns:
    """What a process has to import."""

    @pytest.mark.processes
    def test_fresh_cache_needs_no_write_path(self, tree: Tree, package: types.ModuleType) -> None:
        """A process that finds a fresh cache imports nothing that writes, locks, logs or hashes."""
        tree.dropin("a", "IOther")
        getCache(package)
        program = """
        import sys
        import zope.interface
        before = set(sys.modules)
        import dropin_cache, app.plugins
        assert list(dropin_cache.getPlugins(dropin_cache.IPlugin, app.plugins))
        unwanted = {"logging", "hashlib", "filelock", "subprocess", "dropin_cache.update", "pickle"}
        print(sorted(unwanted & (set(sys.modules) - before)))
        """
        done = run_python(program, path=[tree.path, LIBRARY])
        assert (done.stdout, done.stderr) == ("[]\n", "")

    @pytest.mark.processes
    def test_nothing_large(self) -> None:
        """The reader adds no module of the standard library that takes long to load."""
        done = run_python(
            """
            import sys
            import zope.interface
            before = set(sys.modules)
            from dropin_cache import CachedPlugin, IPlugin, getCache, getPlugins, pluginPackagePaths
            added = set(sys.modules) - before
            print(*sorted(each for each in added if not each.startswith("dropin_cache")))
            """,
            path=[LIBRARY],
            env={"COVERAGE_PROCESS_START": "", "COVERAGE_PROCESS_CONFIG": ""},
        )
        assert done.returncode == 0, done.stderr
        assert set(done.stdout.split()) <= {"__future__", "binascii", "errno"}

    def test_archive(
        self, tree: Tree, package: types.ModuleType, caplog: pytest.LogCaptureFixture
    ) -> None:
        """Drop-ins in a zip archive work, uncached and without a word."""
        archive = tree.path / "lib.zip"
        tree.dropin("zipped")
        source = (tree.path / "app/plugins/zipped.py").read_text(encoding="utf-8")
        (tree.path / "app/plugins/zipped.py").unlink()
        with zipfile.ZipFile(archive, "w") as file:
            file.writestr("app/plugins/zipped.py", source)
        package.__path__.append(f"{archive}/app/plugins")
        for _ in range(2):
            assert plugin_names(getPlugins(interface(), package)) == ["zipped"]
        assert messages(caplog) == []
        assert not cache_of(tree).exists()

    def test_namespace_package(self, tree: Tree, package: types.ModuleType) -> None:
        """A plugin package without an __init__.py works."""
        tree.application("spaced")
        (tree.path / "spaced/plugins/__init__.py").unlink()
        tree.dropin("a", package="spaced")
        spaced = importlib.import_module("spaced.plugins")
        greeter = importlib.import_module("spaced.interfaces").IGreeter
        assert plugin_names(getPlugins(greeter, spaced)) == ["a"]
        assert list(decode(cache_of(tree, "spaced").read_bytes())) == ["a"]


class TestDefaultPackage:
    """The package dropin_cache.plugins."""

    def test_spans_the_path(self, tree: Tree, monkeypatch: pytest.MonkeyPatch) -> None:
        """Its path holds a directory below each entry of sys.path at its import."""
        monkeypatch.syspath_prepend(str(tree.path))
        forget("dropin_cache.plugins")
        plugins = importlib.import_module("dropin_cache.plugins")
        try:
            assert str(tree.path / "dropin_cache/plugins") in plugins.__path__
            assert os.path.dirname(plugins.__file__) == plugins.__path__[0]
        finally:
            forget("dropin_cache.plugins")
            del dropin_cache.plugins
