"""Explanations: why a drop-in, a cache or a directory is in the state it is in."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from command_line import bare_environment, no_process_left, run
from conftest import Tree
from dropin_cache.commands.explain import Explanation, _is_same, explain
from dropin_cache.errors import UnknownNameError
from dropin_cache.update.discovery.owners import Owner
from dropin_cache.update.orchestrator import update
from dropin_cache.update.report import Request
from environments import Environment
from updates import SETTLED

pytestmark = pytest.mark.processes

CACHE = "dropin.cache"
HELLO = "app.plugins.hello"
NOT_CACHED = "it is not in the cache"
CHANGED = "its file has changed since the cache was written"
GONE = "the cache has it, and its file is gone"


@pytest.fixture(autouse=True)
def _nothing_left() -> Iterator[None]:
    """Check after each test that no process is left."""
    with no_process_left():
        yield


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """An environment without any plugins."""
    return bare_environment(tmp_path_factory.mktemp("bare") / "environment")


@pytest.fixture
def declared(app: Tree) -> Tree:
    """The tree, as a distribution that declares its plugin package and knows its files."""
    app.declare("app.plugins")
    with (app.path / "app-1.dist-info/RECORD").open("a") as record:
        record.write("app/plugins/bad.py,,\napp/plugins/hello.py,,\n")
    return app


@pytest.fixture
def plugins(declared: Tree) -> Path:
    """The plugin directory in the tree."""
    return declared.path / "app" / "plugins"


class Case:
    """The application in a tree, and how to ask about it."""

    def __init__(self, tree: Tree, python: str) -> None:
        self.path = tree.path
        self.python = python
        self.request = Request(pythons=(python,), paths=(str(tree.path),), write=False)

    def write(self) -> None:
        """Write the caches, from files that have settled."""
        time.sleep(SETTLED)
        update(self.request._replace(packages=("app.plugins",), write=True), lambda *_: None)
        time.sleep(SETTLED)

    def explain(self, name: object) -> Explanation:
        """Explain a name, or a path."""
        return explain(self.request, str(name))

    def print(self, name: object, *options: str) -> str:
        """Return what the command prints."""
        options = ("--python", self.python, "--path", str(self.path), *options)
        outcome = run("explain", name, *options)
        assert (0, "") == (outcome.status, outcome.err)
        return outcome.out


@pytest.fixture
def case(declared: Tree, bare: Environment) -> Case:
    """The application."""
    return Case(declared, bare.python)


class TestDropin:
    """The state of a drop-in."""

    def test_fresh(self, case: Case, plugins: Path) -> None:
        """One that is in the cache as it should be has its facts told, and no reasons."""
        case.write()
        expected = Explanation(
            name=HELLO,
            state="fresh",
            path=str(plugins / "hello.py"),
            cache=str(plugins / CACHE),
            package="app.plugins",
            python=case.python,
            reasons=(),
            changes=(),
            error=None,
            traceback="",
            owner=Owner("app", "pip", str(plugins.parents[1] / "app-1.dist-info")),
            provides=(("plugin", ("dropin_cache.IPlugin", "app.interfaces.IGreeter")),),
        )
        assert expected == case.explain(HELLO)

    def test_content(self, case: Case, plugins: Path) -> None:
        """One that was written anew is stale, and the others are not."""
        case.write()
        (plugins / "hello.py").write_text("changed = 1\n")
        found = case.explain(HELLO)
        assert ("stale", (CHANGED,), ((HELLO, CHANGED),)) == found[1:2] + found[6:8]
        other = case.explain("app.plugins.loud")
        assert ("fresh", (), ((HELLO, CHANGED),)) == other[1:2] + other[6:8]

    def test_date(self, case: Case, plugins: Path) -> None:
        """One that has only got another date is said to have the same content."""
        case.write()
        os.utime(plugins / "hello.py", (1, 1))
        found = case.explain(HELLO)
        words = "its file has another date than when the cache was written, and the same content"
        assert ("fresh", (words,)) == (found.state, found.reasons)

    def test_dependency(self, case: Case, plugins: Path) -> None:
        """One that imports a file that has changed says which; readers can use it as it is."""
        dependency = case.path / "app" / "interfaces.py"
        case.write()
        text = dependency.read_text()
        dependency.write_text(text.replace("ILoudGreeter(IGreeter)", "ILoudGreeter(Interface)"))
        found = case.explain("app.plugins.loud")
        words = f"what it imports has changed: {dependency}"
        assert ("fresh", (words,)) == (found.state, found.reasons)

    @pytest.mark.parametrize("cache", [None, b"?"], ids=["missing", "corrupt"])
    def test_no_cache(self, case: Case, plugins: Path, cache: bytes | None) -> None:
        """One whose cache is missing or corrupt is stale, and provides nothing there."""
        if cache is not None:
            (plugins / CACHE).write_bytes(cache)
        found = case.explain(HELLO)
        assert ("stale", (NOT_CACHED,), ()) == (found.state, found.reasons, found.provides)

    def test_broken(self, case: Case, plugins: Path) -> None:
        """One that cannot be imported has its error, the traceback and the owner told."""
        bad = plugins / "bad.py"
        bad.write_text("1/0")
        found = case.explain("app.plugins.bad")
        assert ("stale", (NOT_CACHED,)) == (found.state, found.reasons)  # nobody has tried it
        case.write()
        found = case.explain("app.plugins.bad")
        assert ("broken", ("it cannot be imported",)) == (found.state, found.reasons)
        assert "ZeroDivisionError: division by zero" == found.error
        assert f'  File "{bad}", line 1, in <module>' in found.traceback.splitlines()
        assert found.owner is not None
        assert ("app", "pip") == found.owner[:2]

    def test_gone(self, case: Case, plugins: Path) -> None:
        """One whose file is gone is explained as long as the cache has it."""
        case.write()
        (plugins / "hello.py").unlink()
        found = case.explain(HELLO)
        assert ("stale", (GONE,)) == (found.state, found.reasons)
        assert str(plugins / "hello.py") == found.path
        assert found.owner is not None
        assert ("app", "pip") == found.owner[:2]
        case.write()
        with pytest.raises(UnknownNameError):
            case.explain(HELLO)

    def test_no_owner(self, case: Case) -> None:
        """One that nobody knows has no owner."""
        assert None is case.explain("app.plugins.loud").owner

    @pytest.mark.skipif(os.geteuid() != 0, reason="refusals are for root")
    def test_refused(self, case: Case, plugins: Path) -> None:
        """One in a directory that others can write is refused, whatever else there is to it."""
        case.write()
        plugins.chmod(0o777)
        (plugins / "hello.py").write_text("changed = 1\n")
        found = case.explain(HELLO)
        reason = f"refused {plugins}: {plugins} can be written by others"
        assert ("refused", (reason,)) == (found.state, found.reasons)


class TestNames:
    """What can be asked about by name."""

    def test_plugin(self, case: Case) -> None:
        """A plugin is explained by its drop-in."""
        assert case.explain(HELLO) == case.explain(f"{HELLO}.plugin")

    def test_not_configured(self, app: Tree, bare: Environment) -> None:
        """A package that nobody has configured or declared is found by its name."""
        case = Case(app, bare.python)
        names = [case.explain(name).name for name in ("app.plugins", HELLO, f"{HELLO}.plugin")]
        assert ["app.plugins", HELLO, HELLO] == names

    def test_another_package(self, declared: Tree, case: Case) -> None:
        """Among several packages, the name says which."""
        declared.application("other")
        declared.dropin("three", package="other")
        declared.declare("app.plugins", "other.plugins")
        assert "other.plugins.three" == case.explain("other.plugins.three").name
        assert "other.plugins" == case.explain("other.plugins").name

    def test_inner(self, case: Case, plugins: Path) -> None:
        """A drop-in that is a package has a cache of its own."""
        (plugins / "pack").mkdir()
        (plugins / "loud.py").rename(plugins / "pack" / "__init__.py")
        case.write()
        found = case.explain("app.plugins.pack")
        assert ("app.plugins.pack", "fresh") == found[:2]
        assert str(plugins / "pack" / "__init__.py") == found.path
        assert str(plugins / "pack" / CACHE) == found.cache

    @pytest.mark.parametrize(
        "name",
        [
            "app.plugins.none",
            "app.none",
            "none",
            "none.at.all",
            "no name",
            "",
            "/none/app/plugins/hello.py",
        ],
    )
    def test_unknown(self, case: Case, name: str) -> None:
        """What is nowhere is an error."""
        with pytest.raises(UnknownNameError) as caught:
            case.explain(name)
        assert name == caught.value.name


class TestDirectory:
    """The state of a directory."""

    def test_package(self, case: Case, plugins: Path) -> None:
        """A package stands for its directory."""
        case.write()
        expected = Explanation(
            name="app.plugins",
            state="fresh",
            path=str(plugins),
            cache=str(plugins / CACHE),
            package="app.plugins",
            python=case.python,
            reasons=(),
            changes=(),
            error=None,
            traceback="",
            owner=None,
            provides=(),
        )
        assert expected == case.explain("app.plugins")

    def test_stale(self, case: Case, plugins: Path) -> None:
        """The changes are those of all drop-ins."""
        case.write()
        (plugins / "hello.py").unlink()
        (plugins / "loud.py").write_text("changed = 1\n")
        (plugins / "new.py").touch()
        found = case.explain("app.plugins")
        assert "stale" == found.state
        expected = {HELLO: GONE, "app.plugins.loud": CHANGED, "app.plugins.new": NOT_CACHED}
        assert expected == dict(found.changes)

    @pytest.mark.parametrize(("state", "cache"), [("missing", None), ("corrupt", b"?")])
    def test_no_cache(self, case: Case, plugins: Path, state: str, cache: bytes | None) -> None:
        """A cache can be missing, and it can be none."""
        if cache is not None:
            (plugins / CACHE).write_bytes(cache)
        assert state == case.explain("app.plugins").state

    def test_broken(self, case: Case, plugins: Path) -> None:
        """Broken drop-ins are named; the cache can be fresh all the same."""
        (plugins / "bad.py").write_text("1/0")
        case.write()
        found = case.explain("app.plugins")
        words = "app.plugins.bad is broken: ZeroDivisionError: division by zero"
        assert ("fresh", (words,)) == (found.state, found.reasons)

    @pytest.mark.skipif(os.geteuid() != 0, reason="refusals are for root")
    def test_refused(self, case: Case, plugins: Path) -> None:
        """A directory that others can write is refused."""
        plugins.chmod(0o777)
        found = case.explain("app.plugins")
        reason = f"refused {plugins}: {plugins} can be written by others"
        assert ("refused", (reason,)) == (found.state, found.reasons)


class TestPaths:
    """What can be asked about by path."""

    def test_dropin(self, case: Case, plugins: Path) -> None:
        """A file is a drop-in."""
        assert case.explain(HELLO) == case.explain(plugins / "hello.py")

    def test_gone(self, case: Case, plugins: Path) -> None:
        """One that is gone, too."""
        case.write()
        (plugins / "hello.py").unlink()
        assert case.explain(HELLO) == case.explain(plugins / "hello.py")

    def test_cache(self, case: Case, plugins: Path) -> None:
        """A cache stands for its directory, as the directory itself does."""
        found = case.explain(plugins / CACHE)
        assert "app.plugins" == found.name
        assert found == case.explain(plugins) == case.explain(f"{plugins}/")

    def test_inner(self, case: Case, plugins: Path) -> None:
        """The __init__.py of a drop-in that is a package."""
        (plugins / "pack").mkdir()
        (plugins / "loud.py").rename(plugins / "pack" / "__init__.py")
        found = case.explain(plugins / "pack" / "__init__.py")
        assert ("app.plugins.pack", "stale") == found[:2]
        case.write()
        assert "fresh" == case.explain(plugins / "pack" / "__init__.py").state

    def test_relative(self, case: Case, plugins: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """A relative path starts where the process is."""
        monkeypatch.chdir(plugins)
        assert HELLO == case.explain("hello.py").name
        monkeypatch.chdir(plugins.parent)
        assert HELLO == case.explain("plugins/hello.py").name

    def test_link(self, case: Case, plugins: Path) -> None:
        """The way to a directory may lead through links."""
        (case.path / "link").symlink_to(plugins)
        assert HELLO == case.explain(case.path / "link" / "hello.py").name
        assert "app.plugins" == case.explain(case.path / "link").name

    @pytest.mark.parametrize("name", ["none.py", "__init__.py", "sub/none.py", "../interfaces.py"])
    def test_unknown(self, case: Case, plugins: Path, name: str) -> None:
        """A file that is no drop-in is an error."""
        with pytest.raises(UnknownNameError):
            case.explain(plugins / name)


class TestCommand:
    """`dropin-cache explain`."""

    def test_fresh(self, case: Case, plugins: Path) -> None:
        """Everything that is known is told, a fact a line."""
        case.write()
        expected = f"""\
app.plugins.hello: fresh
  path     {plugins}/hello.py
  cache    {plugins}/dropin.cache
  owner    app (pip)
  python   {case.python}
  plugin   plugin: dropin_cache.IPlugin, app.interfaces.IGreeter
"""
        assert expected == case.print(HELLO)

    def test_broken(self, case: Case, plugins: Path) -> None:
        """The end of the traceback is part of it."""
        bad = plugins / "bad.py"
        bad.write_text("def fail():\n    1/0\nfail()\n")
        case.write()
        lines = case.print("app.plugins.bad").splitlines()
        assert [
            "app.plugins.bad: broken",
            "  because  it cannot be imported",
            "  error    ZeroDivisionError: division by zero",
        ] == lines[:3]
        assert f'             File "{bad}", line 2, in fail' in lines
        assert "           ZeroDivisionError: division by zero" in lines
        assert "  owner    app (pip)" in lines

    def test_changed(self, case: Case, plugins: Path) -> None:
        """What has changed comes last."""
        case.write()
        (plugins / "loud.py").unlink()
        expected = f"""\
app.plugins: stale
  path     {plugins}
  cache    {plugins}/dropin.cache
  owner    unknown
  python   {case.python}
  changed  app.plugins.loud: {GONE}
"""
        assert expected == case.print("app.plugins")

    def test_json(self, case: Case, plugins: Path) -> None:
        """With --json programs get the same."""
        expected = {
            "name": HELLO,
            "state": "stale",
            "path": str(plugins / "hello.py"),
            "cache": str(plugins / CACHE),
            "package": "app.plugins",
            "python": case.python,
            "reasons": [NOT_CACHED],
            "changes": [[HELLO, NOT_CACHED], ["app.plugins.loud", NOT_CACHED]],
            "error": None,
            "traceback": "",
            "owner": "app",
            "provides": [],
        }
        assert json.dumps(expected, indent=2) + "\n" == case.print(HELLO, "--json")
        assert None is json.loads(case.print("app.plugins", "--json"))["owner"]

    def test_unknown(self, case: Case) -> None:
        """A name that means nothing is an error of usage, with advice."""
        outcome = run("explain", "no.such", "--python", case.python, "--path", case.path)
        message = (
            "dropin-cache: error: no plugin module, plugin package or cache is known as no.such\n"
            "  Give the name of a plugin module such as twisted.plugins.twisted_web, or its path. "
            "To see what is in the caches: dropin-cache list. Archives (zip, egg, pyz) have none.\n"
        )
        assert (2, "", message) == outcome


def test_outside_of_an_image() -> None:
    """What is not in an image is nothing in it."""
    assert not _is_same("/elsewhere", "/image/x", "/image")
