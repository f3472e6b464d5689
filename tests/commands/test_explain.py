"""Explanations: why a drop-in, a cache or a directory is in the state it is in."""

from __future__ import annotations

import json
import os
import py_compile
import shlex
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from command_line import bare_environment, no_process_left, run
from conftest import Tree
from dropin_cache._decode import decode
from dropin_cache._encode import encode
from dropin_cache._model import InterfaceName
from dropin_cache.commands.explain import _is_same, _update_of, explain
from dropin_cache.commands.explanation import Explanation
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
SAME = "the cache has what its file defines"
ALL = "the cache has all plugin modules as their files are"


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

    @property
    def fresh(self) -> str:
        """What is said of a cache that is not fresh."""
        options = f"--python {self.python} --path {self.path}"
        return f"To make it fresh: dropin-cache update {options} app.plugins"

    def explain(self, name: object, interface: str | None = None) -> Explanation:
        """Explain a name, or a path."""
        return explain(self.request, str(name), interface)

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
        """One that is in the cache as it should be has its facts told."""
        case.write()
        expected = Explanation(
            name=HELLO,
            state="fresh",
            path=str(plugins / "hello.py"),
            cache=str(plugins / CACHE),
            package="app.plugins",
            python=case.python,
            reasons=(SAME,),
            owner=Owner("app", "pip", str(plugins.parents[1] / "app-1.dist-info")),
            plugins=(("plugin", ("dropin_cache.IPlugin", "app.interfaces.IGreeter")),),
        )
        assert expected == case.explain(HELLO)

    def test_content(self, case: Case, plugins: Path) -> None:
        """One that was written anew is stale, and the others are not."""
        case.write()
        (plugins / "hello.py").write_text("changed = 1\n")
        found = case.explain(HELLO)
        assert ("stale", (CHANGED,)) == (found.state, found.reasons)
        other = case.explain("app.plugins.loud")
        assert ("fresh", (SAME,)) == (other.state, other.reasons)

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

    @pytest.mark.parametrize(
        ("cache", "reasons"),
        [(None, ()), (b"?", ("the cache is damaged: its end is missing, after 1 bytes",))],
        ids=["missing", "corrupt"],
    )
    def test_no_cache(
        self, case: Case, plugins: Path, cache: bytes | None, reasons: tuple[str, ...]
    ) -> None:
        """One whose cache is missing or corrupt is stale, and provides nothing there."""
        if cache is not None:
            (plugins / CACHE).write_bytes(cache)
        found = case.explain(HELLO)
        assert ("stale", (*reasons, NOT_CACHED), ()) == (found.state, found.reasons, found.plugins)

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
        assert f"Only root may be able to write there: chmod go-w {plugins}" == found.remedy


class TestNames:
    """What can be asked about by name."""

    def test_plugin(self, case: Case, plugins: Path) -> None:
        """A plugin is explained by itself."""
        with (plugins / "hello.py").open("a") as file:
            file.write("second = Plugin()\n")
        case.write()
        module, plugin = case.explain(HELLO), case.explain(f"{HELLO}.second")
        assert ["plugin", "second"] == [name for name, _ in module.plugins]
        assert module._replace(name=f"{HELLO}.second", plugins=module.plugins[1:]) == plugin

    def test_plugin_of_what_is_not_cached(self, case: Case) -> None:
        """Nobody knows what there will be; it has the state of its module."""
        module = case.explain(HELLO)
        assert module._replace(name=f"{HELLO}.plugin") == case.explain(f"{HELLO}.plugin")

    def test_not_configured(self, app: Tree, bare: Environment) -> None:
        """A package that nobody has configured or declared is found by its name."""
        case = Case(app, bare.python)
        names = [case.explain(name).name for name in ("app.plugins", HELLO, f"{HELLO}.plugin")]
        assert ["app.plugins", HELLO, f"{HELLO}.plugin"] == names

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
            reasons=(ALL,),
        )
        assert expected == case.explain("app.plugins")

    def test_stale(self, case: Case, plugins: Path) -> None:
        """The changes are those of all drop-ins."""
        case.write()
        (plugins / "hello.py").unlink()
        (plugins / "loud.py").write_text("changed = 1\n")
        (plugins / "new.py").touch()
        found = case.explain("app.plugins")
        reasons = tuple(f"{why} (1 of its modules)" for why in (GONE, CHANGED, NOT_CACHED))
        assert ("stale", reasons) == (found.state, found.reasons)
        expected = {HELLO: GONE, "app.plugins.loud": CHANGED, "app.plugins.new": NOT_CACHED}
        assert expected == dict(found.changes)

    @pytest.mark.parametrize(
        ("state", "cache", "reason"),
        [
            ("missing", None, "there is no cache"),
            ("corrupt", b"?", "the cache is damaged: its end is missing, after 1 bytes"),
        ],
    )
    def test_no_cache(
        self, case: Case, plugins: Path, state: str, cache: bytes | None, reason: str
    ) -> None:
        """A cache can be missing, and it can be none."""
        if cache is not None:
            (plugins / CACHE).write_bytes(cache)
        found = case.explain("app.plugins")
        assert (state, reason) == (found.state, found.reasons[0])

    @pytest.mark.parametrize(
        ("offset", "reason"),
        [
            (0, "the cache is damaged at about byte 1"),
            (40, "the cache is damaged at about byte 48"),
            (-1, "the cache is damaged: its end is missing, after {size} bytes"),
            (-3, "the cache is damaged: it does not fit its checksum"),
        ],
    )
    def test_damaged(self, case: Case, plugins: Path, offset: int, reason: str) -> None:
        """It is said where a cache is damaged, or what does not fit."""
        case.write()
        data = bytearray((plugins / CACHE).read_bytes())
        data[offset] = data[offset] - 1 if offset != -3 else ord("g")
        (plugins / CACHE).write_bytes(data)
        found = case.explain("app.plugins")
        assert ("corrupt", reason.format(size=len(data))) == (found.state, found.reasons[0])

    def test_something_else(self, case: Case, plugins: Path) -> None:
        """What is a pickle may be none of a cache."""
        (plugins / CACHE).write_bytes(b"\x80\x02]\x8c\x01aa.")
        assert case.explain("app.plugins").reasons[0].startswith("the cache is damaged")

    def test_mode(self, case: Case, plugins: Path) -> None:
        """A cache that not everybody can read is stale."""
        case.write()
        (plugins / CACHE).chmod(0o600)
        reason = "its mode is 0600, so that not every user can read it"
        for name in ("app.plugins", HELLO):
            found = case.explain(name)
            assert ("stale", (reason,)) == (found.state, found.reasons[:1])

    def test_broken(self, case: Case, plugins: Path) -> None:
        """Broken drop-ins are named; the cache can be fresh all the same."""
        (plugins / "bad.py").write_text("1/0")
        case.write()
        found = case.explain("app.plugins")
        others = "the cache has all other plugin modules as their files are"
        words = "app.plugins.bad is broken: ZeroDivisionError: division by zero"
        assert ("fresh", (others, words)) == (found.state, found.reasons)

    @pytest.mark.skipif(os.geteuid() != 0, reason="refusals are for root")
    def test_refused(self, case: Case, plugins: Path) -> None:
        """A directory that others can write is refused."""
        plugins.chmod(0o777)
        found = case.explain("app.plugins")
        reason = f"refused {plugins}: {plugins} can be written by others"
        assert ("refused", (reason,)) == (found.state, found.reasons)


WAYS = ["by name", "by path"]


class TestNotFound:
    """Why a plugin is not found."""

    def why(self, case: Case, name: str, *options: str) -> list[str]:
        """Return the first lines that the command prints about something."""
        return case.print(name, *options).splitlines()

    def test_no_object(self, case: Case, plugins: Path) -> None:
        """A class of which nobody has made an object."""
        text = (plugins / "hello.py").read_text()
        (plugins / "hello.py").write_text(text.replace("plugin = Plugin()", ""))
        case.write()
        reason = (
            "Plugin is a class, and the module has no object of it: plugin = Plugin(...) at its "
            "top level would be one"
        )
        assert (SAME, reason) == case.explain(HELLO).reasons
        found = case.explain(f"{HELLO}.Plugin")
        assert ("unseen", reason) == (found.state, found.reasons[0])

    def test_no_marker(self, case: Case, plugins: Path) -> None:
        """An object that does not provide IPlugin."""
        text = (plugins / "hello.py").read_text()
        (plugins / "hello.py").write_text(text.replace("(IPlugin, ", "("))
        case.write()
        reason = "plugin provides IGreeter, and not IPlugin, which makes a plugin of an object"
        assert (SAME, reason) == case.explain(HELLO).reasons
        assert reason == case.explain(f"{HELLO}.plugin").reasons[0]

    @pytest.mark.parametrize("kind", ["large", "compiled"])
    def test_no_text(self, case: Case, plugins: Path, kind: str) -> None:
        """Of one that is too large, or is compiled, only that is said which the cache shows."""
        file = plugins / "hello.py"
        file.write_text("#" * (1 << 20) + "\nplugin = 3\n" if kind == "large" else "plugin = 3\n")
        if kind == "compiled":
            py_compile.compile(str(file), str(file.with_suffix(".pyc")))
            file.unlink()
        case.write()
        nothing = "nothing at the top level of the module provides IPlugin, which makes a plugin of"
        assert (SAME, f"{nothing} an object") == case.explain(HELLO).reasons

    def test_no_such_plugin(self, case: Case) -> None:
        """What the module does not name at all is a mistake of whoever asks."""
        case.write()
        with pytest.raises(UnknownNameError) as caught:
            case.explain(f"{HELLO}.plugun")
        assert f"{HELLO}.plugin" in caught.value.known

    @pytest.mark.parametrize(
        ("interface", "reasons"),
        [
            ("app.interfaces.IGreeter", ()),
            ("app.interfaces.IOther", ("plugin does not provide app.interfaces.IOther",)),
            (
                "app.IGreeter",
                ("plugin provides app.interfaces.IGreeter, and not app.IGreeter",),
            ),
        ],
    )
    def test_interface(self, case: Case, interface: str, reasons: tuple[str, ...]) -> None:
        """One that provides another interface than that which is asked for."""
        case.write()
        for name in (HELLO, f"{HELLO}.plugin"):
            assert (SAME, *reasons) == case.explain(name, interface).reasons
        lines = case.print(HELLO, "--interface", interface).splitlines()
        assert [f"  because  {each}" for each in reasons] == lines[2 : 2 + len(reasons)]

    def test_hidden(self, case: Case, declared: Tree, plugins: Path) -> None:
        """One that another of its name comes before."""
        second = Tree(declared.path / "second")
        file = second.dropin("hello")
        case.request = case.request._replace(paths=(*case.request.paths, str(second.path)))
        found = case.explain(file)
        first = plugins / "hello.py"
        reason = f"{first} hides it: of several {HELLO} the first on the path counts"
        assert ("unseen", (reason,), str(file)) == (found.state, found.reasons, found.path)
        assert "Give one of them another name." == found.remedy

    def test_hidden_by_a_package(self, case: Case, plugins: Path) -> None:
        """A package comes before a module of its name."""
        inner = plugins / "hello" / "__init__.py"
        inner.parent.mkdir()
        inner.touch()
        found = case.explain(plugins / "hello.py")
        reason = f"{inner} hides it: of several {HELLO} the first on the path counts"
        assert ("unseen", (reason,)) == (found.state, found.reasons)
        assert "stale" == case.explain(inner).state

    def test_another_package(self, case: Case, declared: Tree) -> None:
        """A directory with an __init__.py is no part of the package."""
        second = Tree(declared.path / "second")
        file = second.dropin("third")
        initial = second.write("app/plugins/__init__.py")
        case.request = case.request._replace(paths=(*case.request.paths, str(second.path)))
        found = case.explain(file)
        reason = f"{initial} makes that directory another package, no part of app.plugins"
        assert ("unseen", (reason,)) == (found.state, found.reasons)
        assert found.remedy.endswith(f"remove {initial}")

    def test_off_the_path(self, case: Case, declared: Tree) -> None:
        """One in a directory from which nothing is imported."""
        second = Tree(declared.path / "second")
        file = second.dropin("third")
        origin = '{"url": "file:///nonexistent", "dir_info": {"editable": true}}'
        declared.write("other-2.dist-info/direct_url.json", origin)  # which is none of its matter
        lines = self.why(case, str(file))
        assert [
            "app.plugins.third: unseen",
            f"  because  {case.python} does not import from {second.path}",
            (
                f"  to do    Try --path {second.path}; for applications, put it into PYTHONPATH "
                "or install it."
            ),
        ] == lines[:3]

    @pytest.mark.parametrize("source", ["", "src"])
    @pytest.mark.parametrize("way", WAYS)
    def test_editable(self, case: Case, declared: Tree, source: str, way: str) -> None:
        """One of a project that is installed for editing, and whose finder does not show it."""
        project = Tree(declared.path / "project")
        file = project.dropin("third", root=source)
        origin = {"url": project.path.as_uri(), "dir_info": {"editable": True}}
        declared.write("third-2.dist-info/direct_url.json", json.dumps(origin))
        declared.write("third-2.dist-info/METADATA", "Metadata-Version: 2.1\nName: third\n")
        name = "app.plugins.third.plugin" if way == "by name" else file
        found = case.explain(name)
        reason = (
            f"third is installed for editing from {project.path}, by something that shows "
            "no modules of app.plugins"
        )
        assert ("unseen", (reason,), str(file)) == (found.state, found.reasons, found.path)
        assert found.remedy.endswith(f"editable_mode=compat -e {project.path}")

    @pytest.mark.parametrize(
        "text",
        [
            *("{", '{"url": "https://x/"}', '{"dir_info": {}}', "[" * 9999),
            '{"url": "file:///nonexistent", "dir_info": {"editable": true}}',
        ],
    )
    def test_not_editable(self, case: Case, declared: Tree, text: str) -> None:
        """Other distributions, and what cannot be understood, have no project."""
        declared.write("third-2.dist-info/direct_url.json", text)
        with pytest.raises(UnknownNameError):
            case.explain("app.plugins.third")

    def test_without_the_application(self, case: Case, declared: Tree) -> None:
        """Nobody asks for the plugins of an application that is not there."""
        file = declared.write("twisted/plugins/third.py")
        found = case.explain(file)
        reason = f"{case.python} has no twisted, so nobody asks for plugins in twisted.plugins"
        assert ("unseen", (reason,)) == (found.state, found.reasons)

    @pytest.mark.parametrize("name", ["no-module.py", "text.txt"])
    def test_no_module(self, case: Case, plugins: Path, name: str) -> None:
        """A file that cannot be a module means nothing."""
        (plugins / name).touch()
        with pytest.raises(UnknownNameError):
            case.explain(plugins / name)

    def test_by_twisted(self, case: Case, plugins: Path) -> None:
        """Twisted knows nothing of what an interface extends."""
        case.write()
        entries = decode((plugins / CACHE).read_bytes())
        assert entries is not None
        for entry in entries.values():
            entry.fingerprint = None
            for plugin in entry.plugins:
                plugin.interfaces = None
                plugin.references = (InterfaceName("twisted.plugin", "IPlugin"),)
        (plugins / CACHE).write_bytes(encode(entries.values()))
        found = case.explain(HELLO, "app.interfaces.IOther")
        reason = (
            "plugin does not provide app.interfaces.IOther itself; Twisted wrote no more of it "
            "into the cache"
        )
        assert reason == found.reasons[-1]


class TestRemedies:
    """What to do about it."""

    def test_works(self, case: Case) -> None:
        """The command that is told makes it fresh, and then there is nothing to do."""
        for name in ("app.plugins", HELLO):
            assert case.fresh == case.explain(name).remedy
        words = shlex.split(case.fresh.partition(": ")[2])
        assert 0 == run(*words[1:]).status
        for name in ("app.plugins", HELLO):
            assert ("fresh", "") == (case.explain(name).state, case.explain(name).remedy)

    def test_in_an_image(self) -> None:
        """An image is named, too, and what a shell would not take as it is."""
        request = Request(root="/i m", pythons=("/p",), write=False)
        assert "dropin-cache update --root '/i m' --python /p" == _update_of(request)


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
  because  {SAME}
  path     {plugins}/hello.py
  cache    {plugins}/dropin.cache
  owner    app (pip)
  python   {case.python}
  ask      dropin_cache.getPlugins(INTERFACE, app.plugins)
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
        # Without a sandbox, all are imported together.
        also = f"  changed  {HELLO}: what it imports is gone: app.plugins.loud\n"
        also = "" if os.geteuid() == 0 else also
        expected = f"""\
app.plugins: stale
  because  {GONE} (1 of its modules)
  to do    {case.fresh}
  path     {plugins}
  cache    {plugins}/dropin.cache
  owner    unknown
  python   {case.python}
  ask      dropin_cache.getPlugins(INTERFACE, app.plugins)
{also}  changed  app.plugins.loud: {GONE}
"""
        assert expected == case.print("app.plugins")

    def test_json(self, case: Case, plugins: Path) -> None:
        """With --json programs get the same."""
        expected = {
            "format": 1,
            "name": HELLO,
            "state": "stale",
            "path": str(plugins / "hello.py"),
            "cache": str(plugins / CACHE),
            "package": "app.plugins",
            "python": case.python,
            "reasons": [NOT_CACHED],
            "remedy": case.fresh,
            "changes": [],
            "error": None,
            "traceback": "",
            "owner": "app",
            "plugins": [],
            "problems": [],
        }
        assert json.dumps(expected, indent=2) + "\n" == case.print(HELLO, "--json")
        assert None is json.loads(case.print("app.plugins", "--json"))["owner"]
        case.write()
        provides = ["dropin_cache.IPlugin", "app.interfaces.IGreeter"]
        plugin = {"name": "plugin", "provides": provides}
        assert [plugin] == json.loads(case.print(HELLO, "--json"))["plugins"]

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
