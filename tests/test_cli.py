"""The commands: whole outputs and exit codes."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest

from commands import Outcome, finish, no_process_left, run, snapshot, start, wait_for
from conftest import Tree, run_python
from dropin_cache import cli
from dropin_cache.update import write

CACHE = "dropin.cache"
EXIT_STATUS = """\
exit status:
  0  done; for check: every cache is fresh
  1  check: a cache is stale, missing or corrupt
  2  usage: no such option, package, directory or interpreter
  3  drop-ins are broken (check, and update --strict)
  5  it could not be done: no permission, read-only or full disk, lock timeout

A command ended by a signal exits with 128 plus its number (130 for Ctrl-C); caches are never
left half written.
"""
HELP = f"""\
usage: dropin-cache [-h] [--version] COMMAND ...

Keep the plugin caches (dropin.cache) of Python sites fresh.

positional arguments:
  COMMAND
    update    bring caches up to date
    check     tell whether caches are up to date
    list      show what is in the caches, importing nothing

options:
  -h, --help  show this help message and exit
  --version   print the version and exit

{EXIT_STATUS}"""
HELP_UPDATE = f"""\
usage: dropin-cache update [-h] [--python EXE] [--path DIR] [--json] [--timeout S] [-q | -v] \
[--lock-timeout S] [--force] [--dry-run] [--strict] [PACKAGE ...]

Bring caches up to date.

positional arguments:
  PACKAGE           plugin package, such as twisted.plugins (default: the built-in ones)

options:
  -h, --help        show this help message and exit
  --python EXE      interpreter whose packages are meant (default: the one running this); \
repeatable
  --path DIR        directory to import from besides, before the others; repeatable
  --json            print the result as JSON
  --timeout S       seconds that the import of one drop-in may take (default: 30)
  -q, --quiet       print errors only
  -v, --verbose     print tracebacks of broken drop-ins
  --lock-timeout S  seconds to wait for another writer (default: 30)
  --force           write caches that are right already
  --dry-run         only say what would be done
  --strict          exit with 3 if drop-ins are broken

{EXIT_STATUS}"""
HELP_CHECK = f"""\
usage: dropin-cache check [-h] [--python EXE] [--path DIR] [--json] [--timeout S] [-q | -v] \
[PACKAGE ...]

Tell whether caches are up to date.

positional arguments:
  PACKAGE        plugin package, such as twisted.plugins (default: the built-in ones)

options:
  -h, --help     show this help message and exit
  --python EXE   interpreter whose packages are meant (default: the one running this); \
repeatable
  --path DIR     directory to import from besides, before the others; repeatable
  --json         print the result as JSON
  --timeout S    seconds that the import of one drop-in may take (default: 30)
  -q, --quiet    print errors only
  -v, --verbose  print tracebacks of broken drop-ins

{EXIT_STATUS}"""
HELP_LIST = f"""\
usage: dropin-cache list [-h] [--python EXE] [--path DIR] [--json] [--interface DOTTED] \
[PACKAGE ...]

Show what is in the caches, importing nothing.

positional arguments:
  PACKAGE             plugin package, such as twisted.plugins (default: the built-in ones)

options:
  -h, --help          show this help message and exit
  --python EXE        interpreter whose packages are meant (default: the one running this); \
repeatable
  --path DIR          directory to import from besides, before the others; repeatable
  --json              print the result as JSON
  --interface DOTTED  only plugins that provide this interface

{EXIT_STATUS}"""
BROKEN = "dropin-cache: warning: app.plugins.bad is left out: ZeroDivisionError: division by zero\n"


@pytest.fixture(autouse=True)
def _nothing_left() -> Iterator[None]:
    """Check after each test that no process is left."""
    with no_process_left():
        yield


@pytest.fixture
def app(tree: Tree) -> Tree:
    """A tree with an application and two drop-ins."""
    tree.application()
    tree.dropin("hello")
    tree.dropin("loud", "ILoudGreeter")
    return tree


@pytest.fixture
def plugins(app: Tree) -> Path:
    """The plugin directory in the tree."""
    return app.path / "app" / "plugins"


@pytest.fixture
def bad(app: Tree) -> Path:
    """A broken drop-in besides."""
    return app.write("app/plugins/bad.py", "1/0")


def on(app: Tree, command: str, *options: Any, **further: Any) -> Outcome:
    """Run a command on the application's plugin package."""
    return run(command, *options, "app.plugins", "--path", app.path, **further)


def modern(text: str) -> str:
    """Return a help text as Python 3.10 and later print it."""
    return text.replace("optional arguments:", "options:")


class TestHelp:
    """What the commands say of themselves."""

    @pytest.mark.parametrize(
        ("arguments", "expected"),
        [
            (["-h"], HELP),
            (["update", "--help"], HELP_UPDATE),
            (["check", "-h"], HELP_CHECK),
            (["list", "-h"], HELP_LIST),
        ],
        ids=["all", "update", "check", "list"],
    )
    def test_help(self, arguments: list[str], expected: str) -> None:
        """Each command explains its options and its exit status."""
        outcome = run(*arguments)
        assert (0, expected, "") == (outcome.status, modern(outcome.out), outcome.err)

    def test_version(self) -> None:
        """The version is that of the distribution."""
        assert (0, metadata.version("dropin-cache") + "\n", "") == run("--version")

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            ([], "the following arguments are required: COMMAND"),
            (["update", "--no-such-option"], "unrecognized arguments: --no-such-option"),
            (["check", "--force"], "unrecognized arguments: --force"),
            (["list", "--timeout", "3"], "unrecognized arguments: --timeout"),
            (
                ["update", "-q", "-v"],
                "argument -v/--verbose: not allowed with argument -q/--quiet",
            ),
            *(
                (
                    ["update", option, value],
                    f"argument {option}: invalid number of seconds value: '{value}'",
                )
                for option in ("--timeout", "--lock-timeout")
                for value in ("soon", "-1", "nan", "inf", "")
            ),
            (
                ["check", "--timeout", "0"],
                "argument --timeout: invalid number of seconds value: '0'",
            ),
            *(
                ([command, name], f"argument PACKAGE: invalid dotted name value: '{name}'")
                for command in ("update", "check", "list")
                for name in ("", ".", ".plugins", "app..plugins")
            ),
        ],
    )
    def test_usage(self, arguments: list[str], message: str) -> None:
        """A command line that means nothing is answered with the usage."""
        outcome = run(*arguments)
        assert (2, "") == (outcome.status, outcome.out)
        assert outcome.err.startswith("usage: dropin-cache ")
        assert message in outcome.err.splitlines()[-1]


class TestUpdate:
    """`dropin-cache update`."""

    def test_written(self, app: Tree, plugins: Path) -> None:
        """A line for each directory says what was done."""
        expected = f"written: {plugins} (app.plugins: 2 modules, 2 plugins)\n"
        assert (0, expected, "") == on(app, "update")
        assert (plugins / CACHE).exists()

    def test_unchanged(self, app: Tree, plugins: Path) -> None:
        """Or that nothing had to be."""
        on(app, "update")
        expected = f"unchanged: {plugins} (app.plugins: 2 modules, 2 plugins)\n"
        assert (0, expected, "") == on(app, "update")

    def test_removed(self, app: Tree, plugins: Path) -> None:
        """Or that the cache had outlived its drop-ins."""
        on(app, "update")
        (plugins / "hello.py").unlink()
        (plugins / "loud.py").unlink()
        expected = f"removed: {plugins} (app.plugins: 0 modules, 0 plugins)\n"
        assert (0, expected, "") == on(app, "update")

    def test_force(self, app: Tree, plugins: Path) -> None:
        """With --force what is right is written again."""
        on(app, "update")
        expected = f"written: {plugins} (app.plugins: 2 modules, 2 plugins)\n"
        assert (0, expected, "") == on(app, "update", "--force")

    @pytest.mark.parametrize("options", [[], ["--force"]], ids=["plain", "force"])
    def test_dry_run(self, app: Tree, plugins: Path, options: list[str]) -> None:
        """With --dry-run nothing is done, and it is told what would be."""
        before = snapshot(app.path)
        would = f"{plugins} (app.plugins: 2 modules, 2 plugins)\n"
        assert (0, f"would be written: {would}", "") == on(app, "update", "--dry-run", *options)
        assert before == snapshot(app.path)
        on(app, "update")
        before = snapshot(app.path)
        state = "written" if options else "unchanged"
        assert (0, f"would be {state}: {would}", "") == on(app, "update", "--dry-run", *options)
        for name in ("hello.py", "loud.py"):
            (plugins / name).unlink()
            del before[f"app/plugins/{name}"]
        would = f"would be removed: {plugins} (app.plugins: 0 modules, 0 plugins)\n"
        assert (0, would, "") == on(app, "update", "--dry-run", *options)
        assert before == snapshot(app.path)

    def test_broken(self, app: Tree, plugins: Path, bad: Path) -> None:
        """A broken drop-in is a warning; the rest is done."""
        expected = f"written: {plugins} (app.plugins: 2 modules, 2 plugins, 1 broken)\n"
        assert (0, expected, BROKEN) == on(app, "update")

    def test_strict(self, app: Tree, plugins: Path, bad: Path) -> None:
        """With --strict it shows in the exit status, though the rest is done."""
        expected = f"written: {plugins} (app.plugins: 2 modules, 2 plugins, 1 broken)\n"
        assert (3, expected, BROKEN) == on(app, "update", "--strict")
        bad.unlink()
        assert 0 == on(app, "update", "--strict").status

    def test_quiet(self, app: Tree, bad: Path) -> None:
        """With -q only errors are printed."""
        assert (0, "", "") == on(app, "update", "-q")
        assert (3, "", "") == on(app, "update", "--quiet", "--strict")

    def test_quiet_error(self, app: Tree, plugins: Path) -> None:
        """Errors are, and what to do about them."""
        (plugins / CACHE).mkdir()
        expected = (
            f"dropin-cache: error: cannot write {plugins / CACHE}: Is a directory\n"
            f"  Nothing was changed. Mend that, or run this as the owner of {plugins / CACHE}.\n"
        )
        assert (5, "", expected) == on(app, "update", "-q")

    def test_verbose(self, app: Tree, plugins: Path, bad: Path) -> None:
        """With -v the end of each traceback comes with it."""
        outcome = on(app, "update", "-v")
        first, *middle, last = outcome.err.splitlines()
        assert BROKEN == first + "\n"
        assert "  Traceback (most recent call last):" == middle[0]
        assert f'    File "{bad}", line 1, in <module>' in middle
        assert "  ZeroDivisionError: division by zero" == last

    def test_verbose_without_traceback(self, app: Tree, plugins: Path, bad: Path) -> None:
        """Where there is none, none is printed."""
        bad.write_text("import os; os._exit(1)")
        expected = "app.plugins.bad is left out: it ended the process with exit status 1\n"
        assert f"dropin-cache: warning: {expected}" == on(app, "update", "-v").err

    def test_warning(self, app: Tree, plugins: Path) -> None:
        """A plugin that does not let itself be looked at is left out with a warning."""
        with (plugins / "hello.py").open("a") as file:
            file.write("class Bad:\n    def __conform__(self, interface): 1/0\nother = Bad()\n")
        expected = f"written: {plugins} (app.plugins: 2 modules, 2 plugins)\n"
        warning = (
            "dropin-cache: warning: app.plugins.hello.other left out: "
            "ZeroDivisionError: division by zero\n"
        )
        assert (0, expected, warning) == on(app, "update")
        assert (0, "", "") == on(app, "update", "-q")

    def test_one_of_each(self, app: Tree, plugins: Path) -> None:
        """Numbers agree with their nouns."""
        (plugins / "loud.py").unlink()
        expected = f"written: {plugins} (app.plugins: 1 module, 1 plugin)\n"
        assert (0, expected, "") == on(app, "update")

    def test_json(self, app: Tree, plugins: Path, bad: Path) -> None:
        """With --json programs get the result, and people still the diagnostics."""
        outcome = on(app, "update", "--json")
        broken = {
            "module": "app.plugins.bad",
            "error": "ZeroDivisionError: division by zero",
            "owner": None,
        }
        directory = {
            "path": str(plugins),
            "package": "app.plugins",
            "python": sys.executable,
            "state": "written",
            "modules": 2,
            "plugins": 2,
            "broken": [broken],
        }
        expected = {"sandbox": "none", "directories": [directory]}
        assert (0, json.dumps(expected, indent=2) + "\n", BROKEN) == outcome

    def test_json_quiet(self, app: Tree, bad: Path) -> None:
        """With -q besides, people get nothing."""
        outcome = on(app, "update", "--json", "-q")
        assert (0, "") == (outcome.status, outcome.err)
        assert ["sandbox", "directories"] == list(json.loads(outcome.out))

    @pytest.mark.parametrize("state", ["unchanged", "removed", "failed"])
    def test_json_states(self, app: Tree, plugins: Path, state: str) -> None:
        """The other states have their words."""
        on(app, "update")
        if state != "unchanged":
            (plugins / "hello.py").unlink()
        if state == "removed":
            (plugins / "loud.py").unlink()
        if state == "failed":
            (plugins / CACHE).unlink()
            (plugins / CACHE).mkdir()
        outcome = on(app, "update", "--json")
        assert state == json.loads(outcome.out)["directories"][0]["state"]
        assert (5 if state == "failed" else 0) == outcome.status

    def test_failed(self, app: Tree, plugins: Path) -> None:
        """A directory that cannot be written does not keep the others from it."""
        (plugins / CACHE).mkdir()
        app.dropin("three", root="other")
        other = app.path / "other" / "app" / "plugins"
        outcome = on(app, "update", "--path", app.path / "other")
        counts = "(app.plugins: 2 modules, 2 plugins)"
        assert [
            f"failed: {plugins} {counts}",
            f"written: {other} (app.plugins: 1 module, 1 plugin)",
        ] == sorted(outcome.out.splitlines())
        assert 5 == outcome.status
        assert f"dropin-cache: error: cannot write {plugins / CACHE}: Is a directory\n" in (
            outcome.err
        )

    def test_failed_and_broken(self, app: Tree, plugins: Path, bad: Path) -> None:
        """What failed counts more than what is broken."""
        (plugins / CACHE).mkdir()
        assert 5 == on(app, "update", "--strict").status

    def test_timeout(self, app: Tree, bad: Path) -> None:
        """An import that takes longer than --timeout is ended."""
        bad.write_text("while True: pass")
        expected = "app.plugins.bad is left out: it took longer than 2.5 s\n"
        assert f"dropin-cache: warning: {expected}" == on(app, "update", "--timeout", "2.5").err

    def test_lock_timeout(self, app: Tree, plugins: Path) -> None:
        """Another writer is waited for as long as --lock-timeout says."""
        with write.open_locked(str(plugins), 0):
            outcome = on(app, "update", "--lock-timeout", "0.1")
        expected = f"failed: {plugins} (app.plugins: 2 modules, 2 plugins)\n"
        error = (
            f"dropin-cache: error: another process is writing {plugins / CACHE}, for 0.1 s by now\n"
            "  Try again when it is done, or wait longer: --lock-timeout S\n"
        )
        assert (5, expected, error) == outcome

    def test_python(self, app: Tree, plugins: Path) -> None:
        """--python names the interpreter, as often as wanted."""
        link = app.path / "python"
        link.symlink_to(sys.executable)
        done = on(app, "update", "--json", "--python", sys.executable, "--python", sys.executable)
        assert [sys.executable] * 2 == [
            each["python"] for each in json.loads(done.out)["directories"]
        ]

    def test_package_twice(self, app: Tree, plugins: Path) -> None:
        """A package that is named twice is meant once."""
        expected = f"written: {plugins} (app.plugins: 2 modules, 2 plugins)\n"
        assert (0, expected, "") == on(app, "update", "app.plugins")

    def test_empty_package(self, app: Tree, plugins: Path) -> None:
        """A package without drop-ins needs no cache."""
        for name in ("hello.py", "loud.py"):
            (plugins / name).unlink()
        outcome = on(app, "update")
        assert (0, "") == (outcome.status, outcome.err)
        assert "no plugin package is installed" not in outcome.out

    def test_built_in_packages(self, app: Tree) -> None:
        """Without a package, the built-in ones are meant, whichever are installed."""
        dropin = app.dropin("mine", package="app")
        place = app.path / "site" / "dropin_cache" / "plugins"
        place.mkdir(parents=True)
        shutil.copy(dropin, place)
        paths = ("--path", app.path / "site", "--path", app.path)
        outcome = run("update", "--dry-run", *paths)
        expected = f"would be written: {place} (dropin_cache.plugins: 1 module, 1 plugin)"
        assert expected in outcome.out.splitlines()
        assert 0 == outcome.status

    def test_byte_names(self, app: Tree, plugins: Path) -> None:
        """A directory whose name is no text is as good as any other."""
        tree = os.fsencode(app.path) + b"-\xff\xfe"
        shutil.copytree(os.fsencode(app.path), tree)
        env = {"PYTHONIOENCODING": "utf-8"}
        outcome = run(
            "update", "app.plugins", "--path", os.fsdecode(tree), env=env, encoding="latin-1"
        )
        assert (0, "") == (outcome.status, outcome.err)
        assert os.path.exists(tree + b"/app/plugins/dropin.cache")

    def test_terminal_is_safe(self, app: Tree, plugins: Path, bad: Path) -> None:
        """Nothing that comes from a drop-in moves the cursor or begins a line of ours."""
        bad.rename(plugins / "b\x1b[2Ja\nd.py")
        (plugins / "worse.py").write_text(
            "raise ValueError('\\x1b[2J\\ndropin-cache: error: told you')"
        )
        (plugins / "worst.py").write_text(
            "print('\\x1b[2J\\rdropin-cache: error: told you', flush=True)\nimport os\nos._exit(1)"
        )
        outcome = on(app, "update", "-v")
        assert 0 == outcome.status
        assert [] == re.findall(r"[^\n -~]", outcome.out + outcome.err)
        assert 3 == len(re.findall("^dropin-cache: ", outcome.err, re.MULTILINE))


class TestCheck:
    """`dropin-cache check`."""

    @pytest.mark.parametrize(
        ("state", "status"), [("fresh", 0), ("stale", 1), ("missing", 1), ("corrupt", 1)]
    )
    def test_states(self, app: Tree, plugins: Path, state: str, status: int) -> None:
        """A line for each directory says what it is, and nothing is written."""
        on(app, "update")
        if state == "stale":
            (plugins / CACHE).chmod(0o600)
        elif state == "missing":
            (plugins / CACHE).unlink()
        elif state == "corrupt":
            (plugins / CACHE).write_bytes(b"?")
        before = snapshot(app.path)
        expected = f"{state}: {plugins} (app.plugins: 2 modules, 2 plugins)\n"
        assert (status, expected, "") == on(app, "check")
        assert (status, "", "") == on(app, "check", "-q")
        assert before == snapshot(app.path)

    def test_broken(self, app: Tree, plugins: Path, bad: Path) -> None:
        """Broken drop-ins show in the exit status, unless a cache is stale besides."""
        expected = f"{plugins} (app.plugins: 2 modules, 2 plugins, 1 broken)\n"
        assert (1, f"missing: {expected}", BROKEN) == on(app, "check")
        on(app, "update")
        assert (3, f"fresh: {expected}", BROKEN) == on(app, "check")

    def test_json(self, app: Tree, plugins: Path) -> None:
        """With --json programs get the same shape as from update."""
        directory = {
            "path": str(plugins),
            "package": "app.plugins",
            "python": sys.executable,
            "state": "missing",
            "modules": 2,
            "plugins": 2,
            "broken": [],
        }
        expected = {"sandbox": "none", "directories": [directory]}
        assert (1, json.dumps(expected, indent=2) + "\n", "") == on(app, "check", "--json")

    def test_verbose(self, app: Tree, bad: Path) -> None:
        """With -v tracebacks are printed."""
        assert "  Traceback (most recent call last):\n" in on(app, "check", "-v").err

    def test_timeout(self, app: Tree, bad: Path) -> None:
        """Imports are limited as they are for update."""
        bad.write_text("while True: pass")
        expected = "app.plugins.bad is left out: it took longer than 2 s\n"
        assert f"dropin-cache: warning: {expected}" == on(app, "check", "--timeout", "2").err


class TestList:
    """`dropin-cache list`."""

    ALL = """\
MODULE             PLUGIN  PROVIDES
app.plugins.hello  plugin  dropin_cache.IPlugin, app.interfaces.IGreeter
app.plugins.loud   plugin  dropin_cache.IPlugin, app.interfaces.ILoudGreeter
"""

    def test_all(self, app: Tree) -> None:
        """A table has a line for each plugin."""
        on(app, "update")
        assert (0, self.ALL, "") == on(app, "list")

    def test_imports_nothing(self, app: Tree, plugins: Path) -> None:
        """It is read from the caches, without importing anything."""
        on(app, "update")
        for path in app.path.rglob("*.py"):
            path.write_text("raise SystemExit(99)")
        assert (0, self.ALL, "") == on(app, "list")

    @pytest.mark.parametrize(
        ("interface", "modules"),
        [
            ("app.interfaces.IGreeter", ["hello", "loud"]),
            ("app.interfaces.ILoudGreeter", ["loud"]),
            ("dropin_cache.IPlugin", ["hello", "loud"]),
            ("zope.interface.Interface", ["hello", "loud"]),
        ],
    )
    def test_interface(self, app: Tree, interface: str, modules: list[str]) -> None:
        """--interface selects, inherited interfaces included."""
        on(app, "update")
        outcome = on(app, "list", "--interface", interface, "--json")
        found = [row["module"] for row in json.loads(outcome.out)["plugins"]]
        assert [f"app.plugins.{name}" for name in modules] == found

    @pytest.mark.parametrize("updated", [False, True])
    def test_nothing(self, app: Tree, updated: bool) -> None:
        """Nothing found is told as a warning, with what may help."""
        if updated:
            on(app, "update")
        warning = (
            "dropin-cache: warning: no such plugins in any cache; "
            "to make the caches: dropin-cache update\n"
        )
        assert (0, "", warning) == on(app, "list", "--interface", "app.interfaces.IOther")
        empty = '{\n  "plugins": []\n}\n'
        assert (0, empty, "") == on(app, "list", "--interface", "a.b", "--json")

    def test_json(self, app: Tree, plugins: Path) -> None:
        """With --json programs get everything that is known."""
        on(app, "update")
        outcome = on(app, "list", "--interface", "app.interfaces.ILoudGreeter", "--json")
        row = {
            "package": "app.plugins",
            "module": "app.plugins.loud",
            "plugin": "plugin",
            "provides": ["dropin_cache.IPlugin", "app.interfaces.ILoudGreeter"],
            "inherits": ["app.interfaces.IGreeter", "zope.interface.Interface"],
            "description": "The plugin of loud.",
            "path": str(plugins),
        }
        expected = json.dumps({"plugins": [row]}, indent=2) + "\n"
        assert (0, expected, "") == outcome

    @pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
    def test_any_encoding(self, app: Tree, plugins: Path, encoding: str) -> None:
        """Names that the terminal cannot show do not end the listing."""
        with (plugins / "hello.py").open("a", encoding="utf-8") as file:
            file.write("größe = больше = Plugin()\nglobals()['\\ud800'] = Plugin()\n")
        on(app, "update")
        env = {"PYTHONIOENCODING": encoding}
        outcome = on(app, "list", env=env, encoding=encoding, errors="replace")
        assert (0, "") == (outcome.status, outcome.err)
        assert 1 + 5 == len(outcome.out.splitlines())

    def test_terminal_is_safe(self, app: Tree, plugins: Path) -> None:
        """Nothing that comes from a cache moves the cursor or begins a line."""
        with (plugins / "hello.py").open("a", encoding="utf-8") as file:
            file.write("globals()['\\x1b[2J\\nMODULE'] = Plugin()\n")
        on(app, "update")
        outcome = on(app, "list")
        assert [] == re.findall(r"[^\n -~]", outcome.out)
        assert 4 == len(outcome.out.splitlines())


class TestMain:
    """The ways into the commands, and out of them."""

    def test_update_dropin_cache(self, app: Tree, plugins: Path) -> None:
        """`update-dropin-cache` is `dropin-cache update`."""
        code = "import sys\nfrom dropin_cache.cli import main_update\nsys.exit(main_update())"
        done = run_python(code, "app.plugins", "--path", str(app.path))
        expected = f"written: {plugins} (app.plugins: 2 modules, 2 plugins)\n"
        assert (0, expected, "") == (done.returncode, done.stdout, done.stderr)

    @pytest.mark.parametrize("name", ["dropin-cache", "update-dropin-cache"])
    def test_scripts(self, name: str) -> None:
        """Both names are installed as commands."""
        scripts = metadata.distribution("dropin-cache").entry_points
        targets = {each.name: each.value for each in scripts if each.group == "console_scripts"}
        expected = {
            "dropin-cache": "dropin_cache.cli:main",
            "update-dropin-cache": "dropin_cache.cli:main_update",
        }
        assert expected == targets
        script = Path(sys.executable).parent / name
        if not script.exists():
            pytest.skip("the project's scripts are not beside the interpreter")
        done = subprocess.run([script, "-h"], check=True, capture_output=True, text=True)
        assert done.stdout.startswith("usage: dropin-cache ")

    def test_in_process(self, app: Tree, capsys: pytest.CaptureFixture[str]) -> None:
        """`main` returns the exit status and leaves the signals as they were."""
        numbers = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)
        before = [signal.getsignal(number) for number in numbers]
        assert 1 == cli.main(["check", "app.plugins", "--path", str(app.path)])
        assert 2 == cli.main(["check", "missing.plugins", "--path", str(app.path)])
        assert before == [signal.getsignal(number) for number in numbers]
        assert capsys.readouterr().out.startswith("missing: ")

    @pytest.mark.parametrize("lines", [1, 3000], ids=["little", "much"])
    def test_broken_pipe(self, app: Tree, plugins: Path, lines: int) -> None:
        """That nobody reads the output is nothing to talk about."""
        with (plugins / "hello.py").open("a") as file:
            file.write(f"for n in range({lines}): globals()[f'plugin_{{n}}'] = Plugin()\n")
        on(app, "update")
        reader, writer = os.pipe()
        os.close(reader)
        outcome = on(app, "list", stdout=writer)
        os.close(writer)
        assert (128 + signal.SIGPIPE, "") == (outcome.status, outcome.err)

    def test_full_device(self, app: Tree) -> None:
        """That the output cannot be written is an error like any other."""
        on(app, "update")
        with open("/dev/full", "w") as full:
            outcome = on(app, "list", stdout=full)
        assert 5 == outcome.status
        assert outcome.err.startswith("dropin-cache: error: ")
        assert "No space left on device" in outcome.err.splitlines()[0]

    @pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
    def test_closed_descriptors(self, app: Tree, plugins: Path, bad: Path, closed: str) -> None:
        """Without standard input, output or error the work is done all the same."""
        command = f'exec "$0" -B -m dropin_cache update app.plugins --path "$1" {closed}'
        done = subprocess.run(
            ["sh", "-c", command, sys.executable, str(app.path)],
            check=False,
            capture_output=True,
            text=True,
        )
        line = f"written: {plugins} (app.plugins: 2 modules, 2 plugins, 1 broken)\n"
        assert (
            0,
            "" if ">&-" in closed.replace("2>&-", "") else line,
            "" if "2>&-" in closed else BROKEN,
        ) == (done.returncode, done.stdout, done.stderr)
        assert (plugins / CACHE).is_file()

    @pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
    def test_signal(self, app: Tree, plugins: Path, bad: Path, number: int) -> None:
        """A signal ends the command, its child and nothing else."""
        bad.write_text(f"open({str(app.path / 'begun')!r}, 'w')\nwhile True: pass")
        before = snapshot(plugins)
        process = start("update", "app.plugins", "--path", app.path)
        wait_for(app.path / "begun")
        process.send_signal(number)
        outcome = finish(process)
        assert (128 + number, "") == (outcome.status, outcome.out)
        assert before == snapshot(plugins)

    def test_ignored_signal(self, app: Tree, bad: Path) -> None:
        """What was told to ignore a signal, as by nohup, ignores it."""
        begun = str(app.path / "begun")
        bad.write_text(f"open({begun!r}, 'w')\nimport time\ntime.sleep(1)")
        process = start(
            "update",
            "app.plugins",
            "--path",
            app.path,
            preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN),
        )
        wait_for(app.path / "begun")
        process.send_signal(signal.SIGHUP)
        assert 0 == finish(process).status

    def test_impatience(self, app: Tree, bad: Path) -> None:
        """Pressing Ctrl-C again and again does not save the child."""
        bad.write_text(f"open({str(app.path / 'begun')!r}, 'w')\nwhile True: pass")
        process = start("update", "app.plugins", "--path", app.path)
        wait_for(app.path / "begun")
        while process.poll() is None:
            process.send_signal(signal.SIGINT)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(0.1)
        finish(process)
