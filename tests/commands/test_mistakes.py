"""Errors that users can make: what is said, the exit status, and that nothing has changed."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import command_line
from command_line import Outcome
from conftest import NOBODY, Tree, missing
from dropin_cache.update.files import cache_directory
from dropin_cache.update.text import one_line

pytestmark = pytest.mark.processes

CACHE = "dropin.cache"
# What starts the interpreter in a sandbox takes it for a shell script, as shells do.
NO_FORMAT = ".*: hello: .*not found" if os.geteuid() == 0 else "Exec format error"


@pytest.fixture(autouse=True)
def _nothing_left() -> Iterator[None]:
    """Check after each test that no process is left."""
    with command_line.no_process_left():
        yield


@pytest.fixture(scope="module")
def updated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tree with a cache that is fresh."""
    place = tmp_path_factory.mktemp("updated")
    tree = Tree(place / "tree")
    tree.application()
    tree.dropin("hello")
    tree.dropin("loud", "ILoudGreeter")
    env = {"XDG_CACHE_HOME": f"{place}/cache", "XDG_RUNTIME_DIR": ""}
    assert 0 == update(tree.path, env=env).status
    return tree.path


@pytest.fixture
def app(updated: Path, tree: Tree) -> Tree:
    """A copy of it, with a cache that is stale: an update would write it."""
    shutil.copytree(updated, tree.path)
    tree.dropin("new")
    return tree


@pytest.fixture
def public(app: Tree, public_path: Path) -> Path:
    """The same where everybody can read it."""
    return Path(shutil.copytree(app.path, public_path / "tree"))


def update(path: Path, *options: Any, **further: Any) -> Outcome:
    """Update the application in a tree."""
    return command_line.run("update", "app.plugins", "--path", path, *options, **further)


def mistake(
    path: Path, *options: Any, status: int, message: str, advice: str, **further: Any
) -> None:
    """Make a mistake with update and check; compare what is said, and that nothing has changed.

    Args:
        path: The tree.
        options: For both commands; without any package, that of the tree.
        status: The expected exit status.
        message: The expected error, a pattern.
        advice: What the advice is about, a pattern.
        further: For `command_line.run`.
    """
    before = command_line.snapshot(path)
    for command in ("update", "check"):
        outcome = command_line.run(command, *options, "--path", path, **further)
        told(outcome, status, message, advice)
        assert "" == outcome.out
    assert before == command_line.snapshot(path)


def told(outcome: Outcome, status: int, message: str, advice: str) -> None:
    """Compare an exit status, and an error of one line with one more that says what to do."""
    lines = outcome.err.splitlines()
    assert status == outcome.status, outcome
    assert 2 == len(lines), outcome.err
    assert re.fullmatch(f"dropin-cache: error: {message}", lines[0]), lines[0]
    assert re.match(f"  .*{advice}", lines[1]), lines[1]


def other_python(name: str) -> Path:
    """Return an interpreter of a version, or skip."""
    versions = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv", "versions")
    places = [Path(place) for place in os.get_exec_path()]
    with contextlib.suppress(OSError):  # it may be another user's
        places += sorted(versions.glob(f"{name}*/bin"))
    program = "import sys; print('%d.%d' % sys.version_info[:2])"
    for candidate in (place / f"python{name}" for place in places):
        with contextlib.suppress(OSError):
            done = subprocess.run([candidate, "-c", program], check=False, capture_output=True)
            if name.encode() == done.stdout.strip():
                return candidate
    pytest.skip(f"this machine has no Python {name}")


def set_attribute(letter: str, path: Path) -> None:
    """Give a file or directory an attribute, chattr(1), where that can be done."""
    if shutil.which("chattr") is None:
        missing("chattr")
    made = subprocess.run(["chattr", f"+{letter}", path], check=False, capture_output=True)
    if made.returncode != 0:
        pytest.skip("this file system has no attributes, or they are not this user's to set")


def long(value: str) -> Any:
    """Return a value to be tried by `make test-long` only."""
    return pytest.param(value, marks=pytest.mark.long)


class TestPackages:
    """Names of plugin packages."""

    @pytest.mark.parametrize("name", ["no_such.plugins", "app.plugin", "app.plugins.hello.x"])
    def test_not_installed(self, app: Tree, name: str) -> None:
        """A package that is not installed."""
        message = re.escape(f"no plugin package {name} for {sys.executable}")
        mistake(app.path, name, status=2, message=message, advice="Check the spelling")

    @pytest.mark.parametrize("name", ["app/plugins", "-", "/etc", "\udcff"])
    def test_no_name(self, app: Tree, name: str) -> None:
        """Something that cannot be the name of a package."""
        message = f"no plugin package {re.escape(one_line(name))} .*"
        advice = "Name the package with dots" if "/" in name else "Check the spelling"
        mistake(app.path, name, status=2, message=message, advice=advice)

    @pytest.mark.parametrize("name", ["twisted.plugin", "twistd.plugins", "plugins"])
    def test_misspelt(self, app: Tree, name: str) -> None:
        """A package that is called otherwise."""
        message = f"no plugin package {name} for .*"
        mistake(app.path, name, status=2, message=message, advice="Did you mean .*twisted.plugins")

    def test_module(self, app: Tree) -> None:
        """A module that is no package."""
        message = re.escape(f"no plugin package app.interfaces for {sys.executable}")
        mistake(app.path, "app.interfaces", status=2, message=message, advice="Check the spelling")

    @pytest.mark.parametrize(
        ("text", "reason"),
        [
            ("import missing", "ModuleNotFoundError: No module named 'missing'"),
            ("def", "SyntaxError: invalid syntax (__init__.py, line 1)"),
            ("import os; os._exit(1)", "it ended the process with exit status 1"),
        ],
    )
    def test_does_not_import(self, app: Tree, text: str, reason: str) -> None:
        """A package that cannot be imported."""
        app.write("app/plugins/__init__.py", text)
        message = re.escape(f"plugin package app.plugins cannot be imported: {reason}")
        advice = "reinstall what owns app.plugins"
        told(update(app.path), 5, message, advice)

    def test_one_of_two(self, app: Tree) -> None:
        """One mistaken name among right ones."""
        message = "no plugin package no_such for .*"
        mistake(app.path, "app.plugins", "no_such", status=2, message=message, advice="Check")

    def test_traceback(self, app: Tree) -> None:
        """With -v, the traceback of a package that does not import is shown."""
        app.write("app/plugins/__init__.py", "1/0")
        assert "app/plugins/__init__.py" in update(app.path, "-v").err


class TestInterpreters:
    """Interpreters."""

    ADVICE = "Give the path of a Python 3.9 or later, or of an environment"

    def bad(self, app: Tree, python: Any, reason: str, advice: str = ADVICE) -> None:
        """Compare what is said of an interpreter."""
        message = f"cannot use the interpreter {re.escape(str(python))}: {reason}"
        options = ("app.plugins", "--python", python)
        mistake(app.path, *options, status=2, message=message, advice=advice)
        outcome = command_line.run("list", "app.plugins", "--python", python)
        told(outcome, 2, message, advice)

    def test_missing(self, app: Tree) -> None:
        """One that does not exist."""
        self.bad(app, app.path / "python", "No such file or directory")

    def test_not_on_path(self, app: Tree) -> None:
        """One that is not on PATH."""
        advice = "Root looks for programs in" if os.geteuid() == 0 else self.ADVICE
        self.bad(app, "no-such-python", "there is no such program on PATH", advice)

    def test_directory(self, app: Tree) -> None:
        """A directory that is no environment."""
        python = app.path / "bin/python"
        message = f"cannot use the interpreter {re.escape(str(python))}: No such file or directory"
        options = ("app.plugins", "--python", app.path)
        advice = "An environment has bin/python in it"
        mistake(app.path, *options, status=2, message=message, advice=advice)

    def test_not_executable(self, app: Tree) -> None:
        """A file that is no program."""
        self.bad(app, app.path / "app" / "__init__.py", ".*Permission denied")

    def test_no_format(self, app: Tree) -> None:
        """A file that only looks like one."""
        app.write("python", "hello").chmod(0o755)
        self.bad(app, app.path / "python", NO_FORMAT)

    @pytest.mark.parametrize("program", ["true", "cat", "sh", *map(long, ("false", "env", "echo"))])
    def test_another_program(self, app: Tree, program: str) -> None:
        """Another program."""
        python = shutil.which(program, path="/usr/bin:/bin")
        self.bad(app, python, "it did not start as a Python interpreter: .+")

    @pytest.mark.parametrize("version", ["2.7", "3.8", *map(long, ("3.6", "3.7"))])
    def test_too_old(self, app: Tree, version: str) -> None:
        """A Python that is too old; the second does not even know the options."""
        reason = ".*" if version == "2.7" else re.escape(f"it is Python {version}, older than 3.9")
        self.bad(app, other_python(version), reason)

    def test_without_zope_interface(self, app: Tree) -> None:
        """A Python without zope.interface: that of a virtual environment with nothing in it."""
        venv = app.path / "venv"
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", venv], check=True)
        python = venv / "bin" / "python"
        message = re.escape(f"{python} has no zope.interface")
        advice = re.escape(f"uv pip install --python {python} zope.interface")
        options = ("app.plugins", "--python", python)
        env = {"PYTHONPATH": ""}
        mistake(app.path, *options, status=5, message=message, advice=advice, env=env)


class TestPaths:
    """Directories to import from."""

    @pytest.mark.parametrize(
        ("name", "reason", "advice"),
        [
            ("missing", "No such file or directory", "Check the spelling: of the directories"),
            (
                "app/__init__.py",
                "Not a directory; applications find plugins in archives, which have no caches",
                "Give the directory that it is unpacked or mounted in",
            ),
            ("x" * 5000, "File name too long", "Check the path"),
        ],
        ids=["missing", "file", "long"],
    )
    def test_no_directory(self, app: Tree, name: str, reason: str, advice: str) -> None:
        """One that does not exist, and a file, which may be an archive."""
        message = re.escape(f"cannot use the directory {app.path / name}: {reason}")
        options = ("app.plugins", "--path", app.path / name)
        mistake(app.path, *options, status=2, message=message, advice=advice)
        outcome = command_line.run("list", *options)
        told(outcome, 2, message, advice)

    def test_no_permission(self, public: Path, public_path: Path) -> None:
        """One that this user cannot read."""
        secret = public_path / "secret"
        secret.mkdir()
        if os.geteuid() == 0:
            command_line.give_away(secret)
        user = command_line.account(public_path)
        secret.chmod(0)
        outcome = user.run("update", "app.plugins", "--path", secret)
        secret.chmod(0o700)
        message = re.escape(f"cannot use the directory {secret}: Permission denied")
        told(outcome, 2, message, "Run this as a user who may read it")


AGAIN = "Fix that, and run the same command again"


class TestPlaces:
    """Directories that cannot be written."""

    def failed(
        self,
        outcome: Outcome,
        plugins: Path,
        reason: str,
        advice: str,
    ) -> None:
        """Compare what is said of a directory that could not be written."""
        message = f"cannot write {re.escape(str(plugins / CACHE))}: {reason}"
        told(outcome, 5, message, advice)
        assert re.fullmatch(
            rf"failed: {plugins} \(app.plugins: .*\)\n(plugin modules are .*\n)?", outcome.out
        )

    def test_no_permission(self, public: Path, public_path: Path) -> None:
        """A directory that belongs to somebody else."""
        plugins = public / "app" / "plugins"
        plugins.chmod(0o555)
        before = command_line.snapshot(public)
        outcome = command_line.account(public_path).run("update", "app.plugins", "--path", public)
        advice = "Run this as a user who may write there: sudo dropin-cache"
        if os.geteuid() != 0:  # it is the same user's
            advice = f"It is your own directory: chmod u\\+rwx {plugins}"
        self.failed(outcome, plugins, "Permission denied", advice)
        assert before == command_line.snapshot(public)
        plugins.chmod(0o755)

    def test_own(self, public: Path, public_path: Path) -> None:
        """One that is the user's own, and closed: to be the owner is no help."""
        plugins = public / "app" / "plugins"
        plugins.chmod(0o555)
        if os.geteuid() == 0:
            os.chown(plugins, NOBODY, NOBODY)
        outcome = command_line.account(public_path).run("update", "app.plugins", "--path", public)
        advice = re.escape(f"It is your own directory: chmod u+rwx {plugins}")
        self.failed(outcome, plugins, "Permission denied", advice)
        plugins.chmod(0o755)

    def test_read_only_file_system(self, app: Tree) -> None:
        """A file system that is read-only."""
        script = """
            mount -t tmpfs none /mnt
            cp -a "$2" /mnt/tree
            mount -o remount,ro /mnt
            status=0
            "$1" -B -m dropin_cache update app.plugins --path /mnt/tree || status=$?
            cmp "$2/app/plugins/dropin.cache" /mnt/tree/app/plugins/dropin.cache
            exit $status
            """
        outcome = command_line.in_mount_namespace(script, sys.executable, app.path)
        self.failed(
            outcome,
            Path("/mnt/tree/app/plugins"),
            "Read-only file system",
            "Update before it is made read-only",
        )

    def test_full_file_system(self, app: Tree) -> None:
        """A file system that is full."""
        script = """
            mount -t tmpfs -o size=128k none /mnt
            cp -a "$2" /mnt/tree
            cat /dev/zero >/mnt/fill 2>/dev/null || true
            ls -A /mnt/tree/app/plugins >"$3/before"
            status=0
            "$1" -B -m dropin_cache update app.plugins --path /mnt/tree || status=$?
            cmp "$2/app/plugins/dropin.cache" /mnt/tree/app/plugins/dropin.cache
            ls -A /mnt/tree/app/plugins | cmp - "$3/before"
            exit $status
            """
        outcome = command_line.in_mount_namespace(
            script, sys.executable, app.path, app.path.parent, env={"PYTHONDONTWRITEBYTECODE": "1"}
        )
        self.failed(outcome, Path("/mnt/tree/app/plugins"), "No space left on device", AGAIN)

    def test_full_place_for_locks(self, app: Tree) -> None:
        """A place for locks that is read-only: there is another."""
        if os.geteuid() != 0:
            pytest.skip("needs root")
        script = """
            mount -t tmpfs none /run
            mount -o remount,ro /run
            exec "$1" -B -m dropin_cache update app.plugins --path "$2"
            """
        outcome = command_line.in_mount_namespace(script, sys.executable, app.path)
        plugins = app.path / "app" / "plugins"
        assert (0, "") == (outcome.status, outcome.err)
        assert ["dropin.cache"] == [each for each in os.listdir(plugins) if "cache" in each]

    @pytest.mark.parametrize(
        "home", ["/proc/none", "/", "", None], ids=["none", "root", "empty", "unset"]
    )
    def test_no_home(self, public: Path, public_path: Path, home: str | None) -> None:
        """A user without a home: all that he owns can be written, by a reader, too."""
        plugins = command_line.give_away(public / "app" / "plugins")
        user = command_line.account(public_path)
        env = {"XDG_CACHE_HOME": "", "XDG_RUNTIME_DIR": "", "HOME": home}
        env = {name: value for name, value in env.items() if value is not None}
        user.options["env"].pop("HOME")
        (plugins / "dropin.cache").unlink()
        before = sorted(os.listdir(plugins))
        ended = user.run("update", "app.plugins", "--path", public, env=env)
        assert (0, "") == (ended.status, ended.err)
        assert sorted([*before, "dropin.cache"]) == sorted(os.listdir(plugins))
        (plugins / "dropin.cache").unlink()
        code = "import app.plugins, dropin_cache as d; list(d.getPlugins(d.IPlugin, app.plugins))"
        path = f"{public}:{user.site}"
        done = subprocess.run(
            [user.python, "-B", "-c", code],
            **{**user.options, "env": {**user.options["env"], **env, "PYTHONPATH": path}},
            capture_output=True,
            check=True,
        )
        assert b"" == done.stderr
        assert sorted([*before, "dropin.cache"]) == sorted(os.listdir(plugins))

    @pytest.mark.parametrize("force", [False, True])
    @pytest.mark.parametrize(
        ("letter", "word"), [("i", "immutable"), ("a", "append-only")], ids=["immutable", "append"]
    )
    def test_attribute(self, app: Tree, letter: str, word: str, force: bool) -> None:
        """A directory with an attribute that keeps even its owner from writing."""
        plugins = app.path / "app" / "plugins"
        app.dropin("third")
        before = command_line.snapshot(app.path)
        set_attribute(letter, plugins)
        try:
            more = ["--force"] if force else []
            outcome = command_line.run("update", "app.plugins", "--path", app.path, *more)
        finally:
            subprocess.run(["chattr", f"-{letter}", plugins], check=True)
        reason = rf"its directory is {word} \(chattr \+{letter}\)"
        message = f"cannot write {re.escape(str(plugins / CACHE))}: {reason}"
        told(outcome, 5, message, f"Somebody wants it to stay as it is.* chattr -i -a {plugins}$")
        assert before == command_line.snapshot(app.path)

    def test_attribute_of_the_cache(self, app: Tree) -> None:
        """A cache with an attribute that keeps it from being replaced."""
        cache = app.path / "app" / "plugins" / CACHE
        before = command_line.snapshot(app.path)
        set_attribute("i", cache)
        try:
            outcome = update(app.path)
        finally:
            subprocess.run(["chattr", "-i", cache], check=True)
        message = f"cannot write {cache}: it is immutable \\(chattr \\+i\\)"
        told(outcome, 5, message, f"Somebody wants it to stay as it is.* chattr -i -a {cache}$")
        assert before == command_line.snapshot(app.path)

    def test_directory_in_its_place(self, app: Tree) -> None:
        """A directory by the name of the cache."""
        cache = app.path / "app" / "plugins" / CACHE
        cache.unlink()
        cache.mkdir()
        before = command_line.snapshot(app.path)
        advice = f"A directory has the name of the cache.* rmdir {cache}$"
        self.failed(update(app.path), cache.parent, "Is a directory", advice)
        assert before == command_line.snapshot(app.path)

    def test_locked(self, app: Tree) -> None:
        """A cache that somebody else is writing."""
        before = command_line.snapshot(app.path)
        plugins = app.path / "app" / "plugins"
        with cache_directory.open_locked(str(plugins), 0):
            outcome = update(app.path, "--lock-timeout", "0.2")
        message = re.escape(f"another process is writing {plugins / CACHE}, for 0.2 s by now")
        told(outcome, 5, message, "wait longer: --lock-timeout")
        assert before == command_line.snapshot(app.path)


class TestInterruptions:
    """Being told to stop."""

    MESSAGE = "interrupted; every cache is as it was, or new and whole"

    @pytest.fixture
    def process(self, app: Tree) -> Iterator[subprocess.Popen[str]]:
        """A command in a session of its own that is busy with an endless import."""
        begun = app.path / "begun"
        os.mkfifo(begun)
        app.write("app/plugins/endless.py", f"open({str(begun)!r}).close()\nwhile True: pass")
        process = command_line.start(
            "update", "app.plugins", "--path", app.path, start_new_session=True
        )
        command_line.wait_for_reader(begun)
        yield process
        process.kill()
        process.wait()

    @pytest.mark.parametrize("group", [False, True], ids=["process", "group"])
    def test_interrupt(self, app: Tree, process: subprocess.Popen[str], group: bool) -> None:
        """Ctrl-C, which terminals send to the whole group."""
        before = command_line.snapshot(app.path)
        if group:
            os.killpg(process.pid, signal.SIGINT)
        else:
            process.send_signal(signal.SIGINT)
        told(command_line.finish(process), 130, self.MESSAGE, "again")
        assert before == command_line.snapshot(app.path)

    def test_interrupt_anywhere(self, tmp_path: Path) -> None:
        """The exit status is the same where Python itself would rather die of the signal."""
        (tmp_path / "interrupted.py").write_text(
            "from dropin_cache import cli, commands\n"
            "commands.actions.run = lambda _: eval(\"__import__('signal').raise_signal(2)\")\n"
            "raise SystemExit(cli.main(['hook', 'status']))\n"
        )
        command = [sys.executable, "-B", "-m", "interrupted"]
        done = subprocess.run(command, cwd=tmp_path, check=False, capture_output=True)
        assert 130 == done.returncode
        assert self.MESSAGE.encode() in done.stderr

    @pytest.mark.parametrize("group", [False, True], ids=["process", "group"])
    @pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
    def test_terminate(
        self, app: Tree, process: subprocess.Popen[str], group: bool, number: int
    ) -> None:
        """The signals of those who know what they do are obeyed without words."""
        before = command_line.snapshot(app.path)
        if group:
            os.killpg(process.pid, number)
        else:
            process.send_signal(number)
        assert Outcome(128 + number, "", "") == command_line.finish(process)
        assert before == command_line.snapshot(app.path)

    def test_kill(self, app: Tree, process: subprocess.Popen[str]) -> None:
        """Not even SIGKILL leaves a child that runs for ever."""
        process.kill()
        assert -signal.SIGKILL == command_line.finish(process).status

    def test_while_waiting_for_the_lock(self, app: Tree) -> None:
        """Ctrl-C while another process holds the lock."""
        before = command_line.snapshot(app.path)
        plugins = app.path / "app" / "plugins"
        with cache_directory.open_locked(str(plugins), 0):
            process = command_line.start("update", "app.plugins", "--path", app.path)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(1.5)
            process.send_signal(signal.SIGINT)
            outcome = command_line.finish(process)
        told(outcome, 130, self.MESSAGE, "again")
        assert before == command_line.snapshot(app.path)

    def test_while_the_interpreter_starts(self, app: Tree) -> None:
        """Ctrl-C while a program that is no interpreter makes us wait."""
        begun = app.path / "begun"
        os.mkfifo(begun)
        python = app.write("python", f"#!/bin/sh\nread nothing <{begun}\nexec sleep 999\n")
        python.chmod(0o755)
        process = command_line.start(
            "update", "app.plugins", "--path", app.path, "--python", python
        )
        command_line.wait_for_reader(begun)
        process.send_signal(signal.SIGINT)
        told(command_line.finish(process), 130, self.MESSAGE, "again")
