"""The commands: whole outputs and exit codes."""

from __future__ import annotations

import contextlib
import json
import os
import re
import resource
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from importlib import metadata
from pathlib import Path
from typing import Any, NoReturn

import pytest

from command_line import (
    IN_SANDBOX,
    SANDBOX,
    Account,
    Outcome,
    account,
    bare_environment,
    finish,
    give_away,
    in_mount_namespace,
    mounted_image,
    no_process_left,
    run,
    snapshot,
    start,
    unprivileged,
    wait_for_reader,
)
from conftest import Tree, missing, run_python
from dropin_cache import _quick, cli, commands
from dropin_cache.commands import help_texts
from dropin_cache.commands.options import build_parser
from dropin_cache.commands.parser import commands_of
from dropin_cache.update.files import cache_directory

Answer = Callable[..., Outcome]

CACHE = "dropin.cache"
HELP = Path(__file__).parent / "help"
COMMANDS = [*help_texts.PURPOSES]
CONFIGURATION = "/etc/dropin-cache/dropin-cache.conf"
BROKEN = "dropin-cache: warning: app.plugins.bad is left out: ZeroDivisionError: division by zero\n"


@pytest.fixture(autouse=True)
def _nothing_left() -> Iterator[None]:
    """Check after each test that no process is left."""
    with no_process_left():
        yield


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


def begun(dropin: Path) -> Path:
    """Return the path of the FIFO that an endless drop-in opens at first."""
    return dropin.with_suffix(".begun")


def endless(dropin: Path) -> None:
    """Write a drop-in that opens a FIFO and then goes on for ever."""
    os.mkfifo(begun(dropin))
    dropin.write_text(f"open({str(begun(dropin))!r}).close()\nwhile True: pass")


def misconfigured(*arguments: Any) -> Outcome:
    """Run a command where the configuration has a mistake in its first line."""
    script = f"""
        mount -t tmpfs none /mnt
        mkdir /mnt/upper /mnt/work
        mount -t overlay none -o lowerdir=/etc,upperdir=/mnt/upper,workdir=/mnt/work /etc
        mkdir -p /etc/dropin-cache
        echo nonsense >{CONFIGURATION}
        exec "$@"
        """
    command = [sys.executable, "-B", "-m", "dropin_cache", *arguments]
    return in_mount_namespace(script, *command)


def modern(text: str) -> str:
    """Return a help text as Python 3.10 and later print it, wherever they fold the usage."""
    usage, _, rest = text.replace("optional arguments:", "options:").partition("\n\n")
    return f"{' '.join(usage.split())}\n\n{rest}"


class TestHelp:
    """What the commands say of themselves."""

    @pytest.fixture
    def answer(
        self,
        same_process: None,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
    ) -> Answer:
        """Run a command line in this process."""
        monkeypatch.setenv("COLUMNS", "80")
        monkeypatch.setenv("NO_COLOR", "1")

        def run_here(*arguments: str) -> Outcome:
            try:
                status = cli.main(list(arguments))
            except SystemExit as ended:
                status = ended.code
            return Outcome(status, *capsys.readouterr())

        return run_here

    @pytest.mark.parametrize(
        ("arguments", "expected"),
        [
            (["-h"], "all"),
            *(([command, "--help"], command) for command in COMMANDS),
            *((["help", command], command) for command in COMMANDS),
            (["help"], "all"),
            (["help", "--color=never"], "all"),
            (["help", "-v", "check"], "check"),
            (["-h", "check"], "check"),
            (["--color", "never", "-h"], "all"),
        ],
    )
    def test_help(self, answer: Answer, arguments: list[str], expected: str) -> None:
        """Each command explains its options, and has examples and its exit statuses."""
        outcome = answer(*arguments)
        text = (HELP / f"{expected}.txt").read_text()
        assert (0, modern(text), "") == (outcome.status, modern(outcome.out), outcome.err)

    @pytest.mark.parametrize("command", ["", *COMMANDS])
    @pytest.mark.parametrize("columns", [40, 80, 200])
    def test_width(
        self, answer: Answer, monkeypatch: pytest.MonkeyPatch, columns: int, command: str
    ) -> None:
        """Help fits the terminal; on a narrow one, argparse indents the usage too far."""
        monkeypatch.setenv("COLUMNS", str(columns))
        usage, _, rest = answer("help", *command.split()).out.partition("\n\n")
        lines = [*rest.splitlines(), *(usage.splitlines() if columns >= 80 else ())]
        assert [] == [line for line in lines if len(line) > min(columns, 80)]

    @pytest.mark.parametrize("command", ["", *COMMANDS])
    def test_examples(self, command: str) -> None:
        """The examples are command lines that mean something."""
        for example in help_texts._EXAMPLES[command]:
            program, *arguments = shlex.split(example.partition(" && ")[0])
            arguments = [*(["update"] if program == "update-dropin-cache" else []), *arguments]
            if arguments[0] != "help":
                assert build_parser().parse_args(arguments)

    @pytest.mark.parametrize(
        "arguments", [["--version"], ["-V"], ["update", "--version"], ["-V", "run"]]
    )
    def test_version(self, answer: Answer, arguments: list[str]) -> None:
        """The version is that of the distribution."""
        assert (0, metadata.version("dropin-cache") + "\n", "") == answer(*arguments)

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
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
                    f"argument {option}: '{value}' is no number of seconds",
                )
                for option in ("--timeout", "--lock-timeout")
                for value in ("soon", "-1", "nan", "inf", "")
            ),
            (
                ["check", "--timeout", "0"],
                "argument --timeout: 0 seconds are too few",
            ),
            *(
                ([command, name], f"argument PACKAGE: {name or 'it'} is ")
                for command in ("update", "check", "list")
                for name in ("", ".", ".plugins", "app..plugins")
            ),
        ],
    )
    def test_usage(self, answer: Answer, arguments: list[str], message: str) -> None:
        """A command line that means nothing is answered with an error, and where to look."""
        outcome = answer(*arguments)
        assert (2, "") == (outcome.status, outcome.out)
        error, hint = outcome.err.splitlines()
        assert error.startswith(f"dropin-cache: error: {message}")
        command = f"dropin-cache {arguments[0]}" if arguments else "dropin-cache"
        assert f"  To see how it is used: {command} --help" == hint or "is an option of" in hint

    @pytest.mark.parametrize(
        ("arguments", "hint"),
        [
            (["udpate"], "Did you mean update?"),
            (["lst"], "Did you mean list?"),
            (["status"], "Did you mean check?"),
            (["remove", "--all"], "Did you mean clean?"),
            (["clean", "twisted.plugins"], "Select by --python and --path."),
            (["update", "--pyton", "/x"], "Did you mean --python?"),
            (["--pyton=/x", "update"], "Did you mean --python?"),
            (["clean", "--lock-timout=3"], "Did you mean --lock-timeout?"),
            (["check", "--force"], "--force is an option of update."),
            (["run", "--json", "true"], "--json is an option of update, check, list, explain."),
            (["run", "--pyton", "/x", "true"], "Did you mean --python?"),
        ],
    )
    def test_meant(self, answer: Answer, arguments: list[str], hint: str) -> None:
        """A slip of the fingers is answered with what may have been meant."""
        outcome = answer(*arguments)
        assert (2, "", f"  {hint}") == (outcome.status, outcome.out, outcome.err.splitlines()[-1])

    @pytest.mark.parametrize("command", list(commands_of(build_parser())))
    def test_slips(self, answer: Answer, command: str) -> None:
        """Whichever letter of a command or of an option is left out, it is known what was meant."""
        known = commands_of(build_parser())[command]._option_string_actions
        rest = {"explain": ["a.b"], "hook": ["status"], "run": ["true"]}.get(command, [])
        slips = [([f"{command[:at]}{command[at + 1 :]}"], command) for at in range(len(command))]
        for option in (each for each in known if each.startswith("--")):
            for at in range(2, len(option)):
                slip = f"{option[:at]}{option[at + 1 :]}"
                slips += [([command, slip, *rest], option), ([slip, command, *rest], option)]
        for arguments, meant in slips:
            outcome = answer(*arguments)
            assert 2 == outcome.status
            assert re.search(rf"^  Did you mean .*{meant}\b", outcome.err, re.MULTILINE), outcome

    @pytest.mark.parametrize(
        "arguments", [["nosuch"], ["update", "--zzz"], ["hook", "--zzz", "status"]]
    )
    def test_nothing_meant(self, answer: Answer, arguments: list[str]) -> None:
        """Where nothing is alike, nothing is suggested."""
        outcome = answer(*arguments)
        command = " ".join(["dropin-cache", *arguments[: len(arguments) > 1]])
        assert 2 == outcome.status
        assert f"  To see how it is used: {command} --help" == outcome.err.splitlines()[-1]

    @pytest.mark.parametrize(
        "arguments",
        [
            ["--path", "/nonexistent", "update"],
            ["update", "--path", "/nonexistent"],
            ["-q", "--path=/nonexistent", "--lock-timeout", "1", "update"],
        ],
    )
    def test_order(self, answer: Answer, arguments: list[str]) -> None:
        """Options may stand before the command and behind it."""
        outcome = answer(*arguments)
        message = "dropin-cache: error: cannot use the directory /nonexistent: "
        assert (2, "") == (outcome.status, outcome.out)
        assert outcome.err.startswith(message)


@pytest.mark.processes
class TestUpdate:
    """`dropin-cache update`."""

    def test_written(self, app: Tree, plugins: Path) -> None:
        """A line for each directory says what was done."""
        expected = f"written: {plugins} (app.plugins: 2 modules, 2 plugins)\n" + IN_SANDBOX
        assert (0, expected, "") == on(app, "update")
        assert (plugins / CACHE).exists()

    def test_unchanged(self, app: Tree, plugins: Path) -> None:
        """Or that nothing had to be."""
        on(app, "update")
        expected = f"unchanged: {plugins} (app.plugins: 2 modules, 2 plugins)\n" + IN_SANDBOX
        assert (0, expected, "") == on(app, "update")

    def test_removed(self, app: Tree, plugins: Path) -> None:
        """Or that the cache had outlived its drop-ins."""
        on(app, "update")
        (plugins / "hello.py").unlink()
        (plugins / "loud.py").unlink()
        expected = f"removed: {plugins} (app.plugins: 0 modules, 0 plugins)\n" + IN_SANDBOX
        assert (0, expected, "") == on(app, "update")

    def test_force(self, app: Tree, plugins: Path) -> None:
        """With --force what is right is written again."""
        on(app, "update")
        expected = f"written: {plugins} (app.plugins: 2 modules, 2 plugins)\n" + IN_SANDBOX
        assert (0, expected, "") == on(app, "update", "--force")

    @pytest.mark.parametrize("options", [[], ["--force"]], ids=["plain", "force"])
    def test_dry_run(self, app: Tree, plugins: Path, options: list[str]) -> None:
        """With --dry-run nothing is done, and it is told what would be."""
        before = snapshot(app.path)
        would = f"{plugins} (app.plugins: 2 modules)\n"
        assert (0, f"would be written: {would}", "") == on(app, "update", "--dry-run", *options)
        assert before == snapshot(app.path)
        on(app, "update")
        before = snapshot(app.path)
        state = "written" if options else "unchanged"
        assert (0, f"would be {state}: {would}", "") == on(app, "update", "--dry-run", *options)
        for name in ("hello.py", "loud.py"):
            (plugins / name).unlink()
            del before[f"app/plugins/{name}"]
        would = f"would be removed: {plugins} (app.plugins: 0 modules)\n"
        assert (0, would, "") == on(app, "update", "--dry-run", *options)
        assert before == snapshot(app.path)

    def test_broken(self, app: Tree, plugins: Path, bad: Path) -> None:
        """A broken drop-in is a warning; the rest is done."""
        line = f"written: {plugins} (app.plugins: 2 modules, 2 plugins, 1 broken)\n"
        expected = line + IN_SANDBOX
        assert (0, expected, BROKEN) == on(app, "update")

    def test_strict(self, app: Tree, plugins: Path, bad: Path) -> None:
        """With --strict it shows in the exit status, though the rest is done."""
        line = f"written: {plugins} (app.plugins: 2 modules, 2 plugins, 1 broken)\n"
        expected = line + IN_SANDBOX
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
            "  A directory has the name of the cache. If it is of no use: "
            f"rmdir {plugins / CACHE}\n"
        )
        assert (5, "", expected) == on(app, "update", "-q")

    def test_verbose(self, app: Tree, plugins: Path, bad: Path) -> None:
        """With -v it is told why each was imported, and the end of each traceback comes with it."""
        outcome = on(app, "update", "-v")
        first, second, third, *lines = outcome.err.splitlines()
        info = "dropin-cache: info: app.plugins.{}: it is new"
        assert [info.format(name) for name in ("bad", "hello", "loud")] == [first, second, third]
        first, *middle, last = lines
        assert BROKEN == first + "\n"
        assert "  app.plugins.bad: Traceback (most recent call last):" == middle[0]
        assert f'  app.plugins.bad:   File "{bad}", line 1, in <module>' == middle[1]
        assert "  app.plugins.bad: ZeroDivisionError: division by zero" == last

    def test_verbose_without_traceback(self, app: Tree, plugins: Path, bad: Path) -> None:
        """Where there is none, none is printed."""
        bad.write_text("import os; os._exit(1)")
        expected = "app.plugins.bad is left out: it ended the process with exit status 1\n"
        lines = on(app, "update", "-v").err.splitlines(keepends=True)
        assert f"dropin-cache: warning: {expected}" == lines[-1]
        assert ["info"] * 3 == [line.split(": ")[1] for line in lines[:-1]]

    def test_verbose_reasons(self, app: Tree, plugins: Path) -> None:
        """With -v it is told what has changed, and nothing where nothing has."""
        on(app, "update")
        assert "" == on(app, "update", "-v").err
        with (plugins / "hello.py").open("a") as file:
            file.write("more = 1\n")
        (plugins / "loud.py").unlink()
        expected = (
            "dropin-cache: info: app.plugins.hello: its file has changed\n"
            "dropin-cache: info: app.plugins.loud: it is gone\n"
        )
        assert expected == on(app, "update", "-v").err

    def test_warning(self, app: Tree, plugins: Path) -> None:
        """A plugin that does not let itself be looked at is left out with a warning."""
        with (plugins / "hello.py").open("a") as file:
            file.write("class Bad:\n    def __conform__(self, interface): 1/0\nother = Bad()\n")
        expected = f"written: {plugins} (app.plugins: 2 modules, 2 plugins)\n" + IN_SANDBOX
        warning = (
            "dropin-cache: warning: app.plugins.hello: other left out: "
            "ZeroDivisionError: division by zero\n"
        )
        assert (0, expected, warning) == on(app, "update")
        assert (0, "", "") == on(app, "update", "-q")

    def test_one_of_each(self, app: Tree, plugins: Path) -> None:
        """Numbers agree with their nouns."""
        (plugins / "loud.py").unlink()
        expected = f"written: {plugins} (app.plugins: 1 module, 1 plugin)\n" + IN_SANDBOX
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
            "own": True,
            "modules": 2,
            "plugins": 2,
            "broken": [broken],
            "changes": [
                {"module": f"app.plugins.{name}", "why": "it is new"}
                for name in ("bad", "hello", "loud")
            ],
            "remarks": [],
            "warnings": [],
            "problem": None,
        }
        expected = {
            "format": 1,
            "changed": True,
            "sandbox": SANDBOX,
            "directories": [directory],
            "problems": [],
            "warnings": [],
        }
        assert (0, json.dumps(expected, indent=2) + "\n", BROKEN) == outcome

    def test_json_quiet(self, app: Tree, bad: Path) -> None:
        """With -q besides, people get nothing."""
        outcome = on(app, "update", "--json", "-q")
        assert (0, "") == (outcome.status, outcome.err)
        assert 1 == json.loads(outcome.out)["format"]

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
        printed = json.loads(outcome.out)
        assert state == printed["directories"][0]["state"]
        assert (state == "removed") == printed["changed"]
        assert (5 if state == "failed" else 0) == outcome.status
        problem = {
            "kind": "NotWrittenError",
            "text": f"cannot write {plugins / CACHE}: Is a directory",
            "remedy": (
                "A directory has the name of the cache. If it is of no use: "
                f"rmdir {plugins / CACHE}"
            ),
            "status": 5,
        }
        problems = [problem] if state == "failed" else []
        assert problems == printed["problems"]
        assert (problem if problems else None) == printed["directories"][0]["problem"]

    def test_json_dry_run(self, app: Tree) -> None:
        """What would be written has not changed anything."""
        printed = json.loads(on(app, "update", "--json", "--dry-run").out)
        assert (False, "written") == (printed["changed"], printed["directories"][0]["state"])

    @pytest.mark.parametrize("command", ["update", "check", "list", "explain"])
    def test_json_failure(self, command: str) -> None:
        """What could not be done at all is told to programs, too."""
        name = ["a.b"] if command == "explain" else []
        outcome = run(command, *name, "--json", "--path", "/nonexistent")
        problem = {
            "kind": "DirectoryError",
            "text": "cannot use the directory /nonexistent: No such file or directory",
            "remedy": "Check the spelling: of the directories above it, / is there.",
            "status": 2,
        }
        printed = json.loads(outcome.out)
        assert (2, 1, [problem]) == (outcome.status, printed["format"], printed["problems"])
        assert f"dropin-cache: error: {problem['text']}\n" in outcome.err

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
        ] == sorted(outcome.out.replace(IN_SANDBOX, "").splitlines())
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
        expected = "app.plugins.bad is left out: it took more than 2.5 s of processor time\n"
        assert f"dropin-cache: warning: {expected}" == on(app, "update", "--timeout", "2.5").err

    def test_lock_timeout(self, app: Tree, plugins: Path) -> None:
        """Another writer is waited for as long as --lock-timeout says."""
        with cache_directory.open_locked(str(plugins), 0):
            outcome = on(app, "update", "--lock-timeout", "0.1")
        expected = f"failed: {plugins} (app.plugins: 2 modules, 2 plugins)\n" + IN_SANDBOX
        error = (
            f"dropin-cache: error: another process is writing {plugins / CACHE}, for 0.1 s by now\n"
            "  Try again when it is done, or wait longer: --lock-timeout S\n"
        )
        assert (5, expected, error) == outcome

    def test_lock_timeout_of_hooks(self, app: Tree, plugins: Path) -> None:
        """A package manager is not kept waiting for as long as a person."""
        with cache_directory.open_locked(str(plugins), 0):
            outcome = on(app, "update", "--trigger")
        error = f"another process is writing {plugins / CACHE}, for 5 s by now"
        assert (0, "", f"dropin-cache: error: {error}\n") == outcome

    def test_python(self, app: Tree, plugins: Path) -> None:
        """--python names the interpreter, as often as wanted; a directory is told of once."""
        done = on(app, "update", "--json", "--python", sys.executable, "--python", sys.executable)
        assert [sys.executable] == [each["python"] for each in json.loads(done.out)["directories"]]

    def test_package_twice(self, app: Tree, plugins: Path) -> None:
        """A package that is named twice is meant once."""
        expected = f"written: {plugins} (app.plugins: 2 modules, 2 plugins)\n" + IN_SANDBOX
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
        expected = f"would be written: {place} (dropin_cache.plugins: 1 module)"
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
        assert 3 == len(re.findall("^dropin-cache: warning: ", outcome.err, re.MULTILINE))
        assert 5 == len(re.findall("^dropin-cache: info: ", outcome.err, re.MULTILINE))
        assert 0 == len(re.findall("^dropin-cache: error: ", outcome.err, re.MULTILINE))


@pytest.mark.processes
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
        cached = 0 if state in {"missing", "corrupt"} else 2
        expected = f"{state}: {plugins} (app.plugins: 2 modules, {cached} plugins)\n"
        assert (status, expected, "") == on(app, "check")
        assert (status, "", "") == on(app, "check", "-q")
        assert before == snapshot(app.path)

    def test_broken(self, app: Tree, plugins: Path, bad: Path) -> None:
        """What an update found broken shows in the status, unless a cache is stale besides."""
        missing = f"missing: {plugins} (app.plugins: 3 modules, 0 plugins)\n"
        assert (1, missing, "") == on(app, "check")
        on(app, "update")
        expected = f"{plugins} (app.plugins: 2 modules, 2 plugins, 1 broken)\n"
        assert (3, f"fresh: {expected}", BROKEN) == on(app, "check")
        (plugins / "hello.py").write_text("changed = 1")
        assert (1, f"stale: {expected}", BROKEN) == on(app, "check")

    def test_json(self, app: Tree, plugins: Path) -> None:
        """With --json programs get the same shape as from update."""
        directory = {
            "path": str(plugins),
            "package": "app.plugins",
            "python": sys.executable,
            "state": "missing",
            "own": True,
            "modules": 2,
            "plugins": 0,
            "broken": [],
            "changes": [
                {"module": f"app.plugins.{name}", "why": "it is not in the cache"}
                for name in ("hello", "loud")
            ],
            "remarks": [],
            "warnings": [],
            "problem": None,
        }
        expected = {
            "format": 1,
            "changed": False,
            "sandbox": SANDBOX,
            "directories": [directory],
            "problems": [],
            "warnings": [],
        }
        assert (1, json.dumps(expected, indent=2) + "\n", "") == on(app, "check", "--json")

    def test_verbose(self, app: Tree, bad: Path) -> None:
        """With -v tracebacks are printed, and why something is stale."""
        on(app, "update")
        line = "  app.plugins.bad: Traceback (most recent call last):\n"
        assert line in on(app, "check", "-v").err
        bad.write_text("changed = 1")
        line = "dropin-cache: info: app.plugins.bad: it is not in the cache\n"
        assert line in on(app, "check", "-v").err

    def test_reasons_of_the_moment(self, app: Tree, plugins: Path, bad: Path) -> None:
        """What an update could not tell for the moment is told as it is now, and is not fresh."""
        bad.write_text("raise MemoryError")
        on(app, "update")
        outcome = on(app, "check", "-v")
        error = "the last update could not import it, for reasons of the moment: MemoryError"
        assert f"dropin-cache: info: app.plugins.bad: {error}\n" == outcome.err
        assert (1, f"stale: {plugins} ") == (outcome.status, outcome.out[: 8 + len(f"{plugins}")])


@pytest.mark.processes
class TestList:
    """`dropin-cache list`."""

    ALL = """\
app.plugins.hello
  plugin  IGreeter
app.plugins.loud
  plugin  ILoudGreeter
"""

    def test_all(self, app: Tree) -> None:
        """Each module has a line for each plugin."""
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

    def test_nothing(self, app: Tree, plugins: Path) -> None:
        """Where there are no plugins at all, that is said."""
        warning = (
            "dropin-cache: warning: there are no plugins in any cache\n"
            "  To see whether the caches are fresh: dropin-cache check\n"
        )
        assert (0, "", warning) == on(app, "list")

    @pytest.mark.parametrize(
        ("interface", "updated", "advice"),
        [
            ("IGreeter", True, "Did you mean app.interfaces.IGreeter?"),
            ("app.interface.IGreeter", True, "Did you mean app.interfaces.IGreeter?"),
            ("a.b", True, "Check the spelling. To see what plugins provide: dropin-cache list"),
            ("a.b", False, "No cache has any plugins."),
        ],
    )
    def test_no_interface(self, app: Tree, interface: str, updated: bool, advice: str) -> None:
        """An interface that no plugin provides is an error, with what may have been meant."""
        if updated:
            on(app, "update")
        outcome = on(app, "list", "--interface", interface)
        message = f"dropin-cache: error: no plugin in any cache provides {interface}\n"
        assert (2, "") == (outcome.status, outcome.out)
        assert outcome.err.startswith(f"{message}  {advice}")

    def test_no_package(self, app: Tree) -> None:
        """A package that is not there is an error, as for an update."""
        outcome = run("list", "app.plugin", "--path", app.path)
        message = f"dropin-cache: error: no plugin package app.plugin for {sys.executable}\n"
        assert (2, "") == (outcome.status, outcome.out)
        assert outcome.err.startswith(message)

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
        printed = {"format": 1, "plugins": [row], "archives": [], "problems": []}
        expected = json.dumps(printed, indent=2) + "\n"
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
        assert 2 + 5 == len(outcome.out.splitlines())

    def test_terminal_is_safe(self, app: Tree, plugins: Path) -> None:
        """Nothing that comes from a cache moves the cursor or begins a line."""
        with (plugins / "hello.py").open("a", encoding="utf-8") as file:
            file.write("globals()['\\x1b[2J\\nMODULE'] = Plugin()\n")
        on(app, "update")
        outcome = on(app, "list")
        assert [] == re.findall(r"[^\n -~]", outcome.out)
        assert 2 + 3 == len(outcome.out.splitlines())


@pytest.mark.processes
class TestPackage:
    """`dropin-cache list --package`."""

    def test_same(self, app: Tree) -> None:
        """It is the same as naming the package, and may be repeated."""
        app.application("other")
        app.dropin("three", package="other")
        run("update", "app.plugins", "other.plugins", "--path", app.path)
        options = ("--package", "app.plugins", "--path", app.path)
        assert (0, TestList.ALL, "") == run("list", *options)
        outcome = run("list", "--package", "other.plugins", *options, "--json")
        found = [row["module"] for row in json.loads(outcome.out)["plugins"]]
        assert ["other.plugins.three", "app.plugins.hello", "app.plugins.loud"] == sorted(
            found, reverse=True, key=lambda name: name.startswith("other")
        )


@pytest.mark.processes
class TestTrigger:
    """`dropin-cache update --trigger`, for package managers."""

    @pytest.fixture(autouse=True)
    def _owned(self, app: Tree) -> None:
        """Let the application be a distribution that knows its files."""
        app.write("app-1.dist-info/METADATA", "Metadata-Version: 2.1\nName: app\nVersion: 1\n")
        app.write("app-1.dist-info/RECORD", "app/plugins/bad.py,,\n")

    def test_news(self, app: Tree, plugins: Path) -> None:
        """There is a line for each thing that changed, and none where nothing did."""
        expected = f"written: {plugins} (app.plugins: 2 modules, 2 plugins)\n"
        assert (0, expected, "") == on(app, "update", "--trigger")
        assert (0, "", "") == on(app, "update", "--trigger")
        for name in ("hello.py", "loud.py"):
            (plugins / name).unlink()
        expected = f"removed: {plugins} (app.plugins: 0 modules, 0 plugins)\n"
        assert (0, expected, "") == on(app, "update", "--trigger")
        assert (0, "", "") == on(app, "update", "--trigger")

    @pytest.mark.parametrize("options", [[], ["--strict"]], ids=["plain", "strict"])
    def test_broken(self, app: Tree, plugins: Path, bad: Path, options: list[str]) -> None:
        """What is broken is told once, with its owner."""
        expected = f"written: {plugins} (app.plugins: 2 modules, 2 plugins, 1 broken)\n"
        warning = BROKEN.replace("bad is", "bad (of app) is")
        assert (0, expected, warning) == on(app, "update", "--trigger", *options)
        assert (0, "", "") == on(app, "update", "--trigger", *options)
        bad.write_text("none")
        error = "NameError: name 'none' is not defined"
        warning = warning.replace("ZeroDivisionError: division by zero", error)
        assert (0, "", warning) == on(app, "update", "--trigger", *options)

    def test_dry_run(self, app: Tree, plugins: Path) -> None:
        """It does not write where only that was asked for."""
        outcome = on(app, "update", "--trigger", "--dry-run")
        assert (0, "") == (outcome.status, outcome.err)
        assert not (plugins / CACHE).exists()

    @pytest.mark.parametrize(
        "arguments",
        [
            ["update", "--trigger", "--no-such-option"],
            ["check", "--trigger"],
            ["--trigger"],
            ["update", "app..plugins", "--trigger"],
        ],
    )
    def test_usage(self, arguments: list[str]) -> None:
        """Errors of usage are told."""
        outcome = run(*arguments)
        assert (0, "") == (outcome.status, outcome.out)
        assert outcome.err.startswith("dropin-cache: error: ")

    def test_error(self, app: Tree) -> None:
        """Errors are told in a line, without advice."""
        expected = f"dropin-cache: error: no plugin package no.such for {sys.executable}\n"
        assert (0, "", expected) == run("update", "--trigger", "no.such")

    def test_locked(self, app: Tree, plugins: Path) -> None:
        """So is what happened in one directory."""
        with cache_directory.open_locked(str(plugins), 0):
            outcome = on(app, "update", "--trigger", "--lock-timeout", "0.1")
        cache = plugins / CACHE
        expected = f"dropin-cache: error: another process is writing {cache}, for 0.1 s by now\n"
        assert (0, "", expected) == outcome

    @pytest.mark.skipif(os.geteuid() != 0, reason="refusals are for root")
    def test_refused(self, app: Tree, plugins: Path) -> None:
        """And what was refused."""
        plugins.chmod(0o777)
        expected = f"dropin-cache: error: refused {plugins}: {plugins} can be written by others\n"
        assert (0, "", expected) == on(app, "update", "--trigger")

    @pytest.mark.skipif(os.geteuid() != 0, reason="others need no sandbox")
    def test_no_sandbox(self, app: Tree, plugins: Path) -> None:
        """And that there is no sandbox."""
        expected = (
            "dropin-cache: error: no sandbox to import plugin modules in: "
            "none: plugin modules never run with the rights of root\n"
        )
        assert (0, "", expected) == on(app, "update", "--trigger", "--sandbox", "none")

    def test_configuration(self, app: Tree, plugins: Path) -> None:
        """And that a configuration file counts for nothing; the rest is done."""
        outcome = misconfigured("update", "--trigger", "app.plugins", "--path", app.path)
        written = f"written: {plugins} (app.plugins: 2 modules, 2 plugins)\n"
        error = f'dropin-cache: error: {CONFIGURATION}:1: expected "key = value"\n'
        assert (0, written, error) == outcome

    def test_mistake(
        self,
        same_process: None,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        """Even a mistake in the program is only told."""
        monkeypatch.delattr(commands.actions, "_request")
        assert 0 == cli.main(["update", "--trigger"])
        expected = (
            "dropin-cache: error: this is a mistake in dropin-cache: "
            "NameError: name '_request' is not defined\n"
        )
        assert ("", expected) == capsys.readouterr()
        with pytest.raises(NameError):
            cli.main(["update"])

    def test_half_installed(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """What is missing in the middle of a transaction is no mistake; the hooks tell of it."""

        def fail(*_: object) -> None:
            raise ModuleNotFoundError("No module named 'some'")

        monkeypatch.setattr(commands, "_main", fail)
        with pytest.raises(ModuleNotFoundError):
            commands.main(["update", "--trigger"])

    @pytest.mark.parametrize("stream", ["stdout", "stderr"])
    @pytest.mark.parametrize("kind", ["full", "closed"])
    def test_nobody_listens(
        self, app: Tree, plugins: Path, bad: Path, stream: str, kind: str
    ) -> None:
        """That nothing can be printed is no reason either."""
        if kind == "full":
            output = os.open("/dev/full", os.O_WRONLY)
        else:
            reader, output = os.pipe()
            os.close(reader)
        outcomes = [
            on(app, "update", "--trigger", **{stream: output}),
            run("update", "--trigger", "no.such", **{stream: output}),
        ]
        os.close(output)
        assert [0, 0] == [outcome.status for outcome in outcomes]
        assert (plugins / CACHE).exists()

    @pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
    def test_signal(self, app: Tree, plugins: Path, bad: Path, number: int) -> None:
        """Whoever sends a signal is told that it was obeyed."""
        endless(bad)
        before = snapshot(plugins)
        process = start("update", "--trigger", "app.plugins", "--path", app.path)
        wait_for_reader(begun(bad))
        process.send_signal(number)
        assert 128 + number == finish(process).status
        assert before == snapshot(plugins)


@pytest.mark.processes
class TestRefused:
    """Directories that root does not rely on."""

    pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="refusals are for root")

    @pytest.fixture
    def advice(self, plugins: Path) -> str:
        """Let others write in the plugin directory; return what is said of that."""
        plugins.chmod(0o777)
        return (
            f"dropin-cache: error: refused {plugins}: {plugins} can be written by others\n"
            f"  Only root may be able to write there: chmod go-w {plugins}\n"
        )

    @pytest.mark.parametrize(("command", "words"), [("update", "refused"), ("check", "refused")])
    def test_refused(self, app: Tree, plugins: Path, advice: str, command: str, words: str) -> None:
        """The exit status is 4, and it is told what to do."""
        expected = f"{words}: {plugins} (app.plugins: 0 modules, 0 plugins)\n"
        outcome = on(app, command)
        assert (4, expected, advice) == (
            outcome.status,
            outcome.out.replace(IN_SANDBOX, ""),
            outcome.err,
        )
        assert (4, "", advice) == on(app, command, "-q")
        assert not (plugins / CACHE).exists()

    def test_dry_run(self, app: Tree, plugins: Path, advice: str) -> None:
        """It would be refused, too."""
        outcome = on(app, "update", "--dry-run")
        assert (4, advice) == (outcome.status, outcome.err)
        assert outcome.out.startswith(f"would be refused: {plugins} ")

    @pytest.mark.parametrize("command", ["update", "check"])
    def test_json(self, app: Tree, advice: str, command: str) -> None:
        """Programs are told by a word."""
        found = json.loads(on(app, command, "--json").out)["directories"]
        assert ["refused"] == [each["state"] for each in found]

    def test_others_go_on(self, app: Tree, plugins: Path, advice: str) -> None:
        """One that is refused does not keep the others; what failed counts more."""
        app.dropin("three", root="other")
        other = app.path / "other" / "app" / "plugins"
        assert 4 == on(app, "update", "--path", app.path / "other").status
        assert (other / CACHE).is_file()
        (other / CACHE).unlink()
        (other / CACHE).mkdir()
        assert 5 == on(app, "update", "--path", app.path / "other").status


@pytest.mark.processes
class TestProblems:
    """What does not count, though it was configured."""

    ERROR = (
        f'dropin-cache: error: {CONFIGURATION}:1: expected "key = value"\n'
        "  Nothing in this file counts until that is fixed.\n"
    )

    @pytest.mark.parametrize("command", ["update", "check"])
    def test_configuration(self, app: Tree, plugins: Path, command: str) -> None:
        """A configuration file with a mistake is an error; the work is done all the same."""
        outcome = misconfigured(command, "app.plugins", "--path", app.path)
        assert (2, self.ERROR) == (outcome.status, outcome.err)
        state = {"update": "written", "check": "missing"}[command]
        cached = {"update": 2, "check": 0}[command]
        expected = f"{state}: {plugins} (app.plugins: 2 modules, {cached} plugins)\n"
        assert expected + (IN_SANDBOX if command == "update" else "") == outcome.out
        assert (command == "update") == (plugins / CACHE).exists()

    def test_clean(self, app: Tree, plugins: Path) -> None:
        """So is what has to be removed."""
        on(app, "update")
        expected = f"removed: {plugins / CACHE}\n1 cache removed\n"
        assert (2, expected, self.ERROR) == misconfigured("clean", "--path", app.path)


@pytest.mark.processes
class TestSandbox:
    """`--sandbox`."""

    @pytest.mark.skipif(os.geteuid() != 0, reason="others may import without a sandbox")
    @pytest.mark.parametrize("command", ["update", "check"])
    def test_none_as_root(self, app: Tree, plugins: Path, command: str) -> None:
        """Root imports nothing without one, even if that is asked for."""
        before = snapshot(app.path)
        expected = (
            "dropin-cache: error: no sandbox to import plugin modules in: "
            "none: plugin modules never run with the rights of root\n"
            "  Leave out --sandbox none: the best sandbox that works here is used then.\n"
        )
        assert (5, "", expected) == on(app, command, "--sandbox", "none")
        assert before == snapshot(app.path)

    @pytest.fixture
    def user(self, public_path: Path) -> Account:
        """An ordinary user."""
        return account(public_path)

    @pytest.fixture
    def public(self, app: Tree, public_path: Path) -> Path:
        """The tree, where everybody can reach it."""
        tree = Path(shutil.copytree(app.path, public_path / "tree"))
        tree.chmod(0o755)
        return tree

    def compare(self, outcome: Outcome, tier: str) -> None:
        """Compare the tier that was used with the one that was to be."""
        if "no sandbox to import plugin modules in" in outcome.err:
            missing(f"the sandbox {tier}")
        assert (0, "") == (outcome.status, outcome.err)
        found = json.loads(outcome.out)
        assert tier == found["sandbox"]
        assert ["written"] == [each["state"] for each in found["directories"]]

    @pytest.mark.parametrize("tier", ["namespace", "landlock"])
    def test_tier(self, public: Path, user: Account, tier: str) -> None:
        """One can be asked for; it is reported, and no other takes its place."""
        options = ["--sandbox", tier, "--python", user.python]
        options += ["app.plugins", "--path", str(public), "--path", str(user.site)]
        self.compare(run("update", "--json", *options), tier)
        line = f"plugin modules are imported in the sandbox {tier}"
        assert line == run("update", "--force", *options).out.splitlines()[-1]

    @pytest.mark.skipif(os.geteuid() != 0, reason="users may make namespaces in other ways")
    @pytest.mark.parametrize("allowed", ["auto", "namespace", "skip"])
    def test_no_namespaces(self, public: Path, user: Account, allowed: str) -> None:
        """Where no child starts in the best one, it is the next, or it is said what is wrong."""
        skips = allowed == "skip"
        options = ["--sandbox", "namespace", "--skip-without-sandbox"] if skips else []
        options += [] if skips else ["--sandbox", allowed]
        options += ["--python", user.python]
        options += ["app.plugins", "--path", str(public), "--path", str(user.site)]
        # Without these capabilities, root makes none.
        missing = "-sys_admin,-setfcap"  # nor a user namespace in which it could
        drop = ["setpriv", f"--bounding-set={missing}", f"--inh-caps={missing}", "--"]
        done = subprocess.run(
            [*drop, sys.executable, "-B", "-m", "dropin_cache", "update", "--json", *options],
            check=False,
            capture_output=True,
            text=True,
        )
        if allowed == "auto":
            self.compare(Outcome(done.returncode, done.stdout, done.stderr), "landlock")
        else:
            (problem,) = json.loads(done.stdout)["problems"]
            status = 0 if skips else 5
            assert (status, "NoSandboxError") == (done.returncode, problem["kind"])
            assert "namespace: no user namespace can be made here (" in done.stderr

    @pytest.mark.parametrize("tier", ["none", "namespace", "landlock"])
    def test_user(self, public: Path, user: Account, tier: str) -> None:
        """An ordinary user gets none without asking, and the others on demand."""
        give_away(public / "app" / "plugins")
        options = [] if tier == "none" else ["--sandbox", tier, "--path", str(user.site)]
        options += ["app.plugins", "--path", str(public)]
        self.compare(user.run("update", "--json", *options), tier)


@pytest.mark.processes
class TestRoot:
    """`--root`."""

    @pytest.mark.parametrize("command", ["update", "check", "list", "clean", "explain"])
    @pytest.mark.parametrize("name", ["missing", "app/__init__.py"])
    def test_no_directory(self, app: Tree, command: str, name: str) -> None:
        """A root that is no directory is an error of usage."""
        root = app.path / name
        arguments = ["a.b"] if command == "explain" else []
        outcome = run(command, *arguments, "--root", root)
        reason = "No such file or directory" if name == "missing" else "Not a directory"
        assert (2, "") == (outcome.status, outcome.out)
        assert (
            f"dropin-cache: error: cannot use the directory {root}: {reason}"
            == (outcome.err.splitlines()[0])
        )

    @pytest.mark.skipif(os.geteuid() != 0, reason="refusals are for root")
    def test_refused(self, app: Tree) -> None:
        """A root that others can change is refused as a whole."""
        app.path.chmod(0o777)
        outcome = run("update", "--root", app.path)
        expected = f"refused {app.path}: {app.path} can be written by others"
        assert (4, "", f"dropin-cache: error: {expected}") == (
            outcome.status,
            outcome.out,
            outcome.err.splitlines()[0],
        )

    def test_all_commands(self, app: Tree) -> None:
        """All work on the system below it, whose paths are told as this system has them."""
        with mounted_image(app.path.parent / "image") as image:
            shutil.copytree(app.path, image / "srv" / "tree")
            bare = bare_environment(app.path.parent / "environment")
            for name in ("zope", "dropin_cache"):
                shutil.copytree(bare.site / name, image / "srv" / "tree" / name)
            shutil.copytree(image / "srv" / "tree", image / "opt" / "tree")
            shutil.rmtree(image / "srv")
            plugins = image / "opt" / "tree" / "app" / "plugins"
            before = (plugins.stat().st_mtime_ns, snapshot(image / "opt"))
            options = ("--root", image, "--path", "/opt/tree")
            written = f"written: {plugins} (app.plugins: 2 modules, 2 plugins)\n"
            assert (0, written + IN_SANDBOX, "") == run("update", "app.plugins", *options)
            fresh = written.replace("written", "fresh")
            assert (0, fresh, "") == run("check", "app.plugins", *options)
            assert (0, TestList.ALL, "") == run("list", "app.plugins", *options)
            outcome = run("explain", "app.plugins.hello", *options)
            first, _, path = outcome.out.splitlines()[:3]
            assert (0, "app.plugins.hello: fresh") == (outcome.status, first)
            assert f"  path     {plugins}/hello.py" == path
            assert not (image / "var").exists()
            Tree(plugins.parent.parent).declare("app.plugins")
            outcome = run("update", *options)  # of all packages: nothing else goes
            assert written.replace("written", "unchanged") in outcome.out
            assert "removed" not in outcome.out
            assert (plugins / CACHE).exists()
            third = Tree(image / "elsewhere").dropin("third")
            outcome = run("explain", third, *options)
            assert (0, "app.plugins.third: unseen") == (outcome.status, outcome.out.splitlines()[0])
            assert "does not import from /elsewhere\n" in outcome.out
            assert f"  path     {third}\n" in outcome.out
            assert 2 == run("explain", "/etc/passwd", *options).status  # which is not in there
            outcome = run("clean", *options)
            assert f"removed: {plugins / CACHE}\n" in outcome.out  # and what the system has itself
            assert (0, "") == (outcome.status, outcome.err)
            shutil.rmtree(plugins.parent.parent / "app-1.dist-info")
            assert before == (plugins.stat().st_mtime_ns, snapshot(image / "opt"))


@pytest.mark.processes
class TestNoProc:
    """A chroot in which /proc is not mounted."""

    def test_root(self, app: Tree, plugins: Path) -> None:
        """Root's command does nothing there, and says what to do."""
        if os.geteuid() != 0:
            pytest.skip("only root needs it")
        hidden = ["unshare", "--mount", "sh", "-c", 'umount -l /proc && exec "$@"', "sh"]
        command = [*hidden, sys.executable, "-B", "-m", "dropin_cache", "update"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert (5, "") == (done.returncode, done.stdout)
        assert done.stderr == (
            "dropin-cache: error: /proc is not mounted, so nothing was looked at\n"
            "  Mount it (mount -t proc proc /proc), or run from outside: "
            "update-dropin-cache --root DIR\n"
        )


@pytest.mark.processes
class TestSettled:
    """What root's command does not take over from whoever called it."""

    pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="users want their own")

    def test_relative_paths(self, app: Tree, plugins: Path) -> None:
        """Paths are meant from where the caller was, though the command goes elsewhere."""
        relative = os.path.relpath(sys.executable, app.path)
        options = ("app.plugins", "--path", ".", "--python", relative)
        outcome = run("update", *options, cwd=app.path)
        assert (0, "") == (outcome.status, outcome.err)
        assert outcome.out.startswith(f"written: {plugins} ")
        options = ("--path", app.path, "--sandbox", "auto")
        outcome = run("explain", "app.plugins.hello", *options, cwd=plugins)
        assert outcome.out.startswith("app.plugins.hello: fresh\n")
        outcome = run("explain", "./hello.py", *options, cwd=plugins)
        assert f"  path     {plugins}/hello.py\n" in outcome.out

    def test_mask(self, app: Tree, plugins: Path, public_path: Path) -> None:
        """The mode mask is that of a login, so that what is made can be read."""
        on(app, "update", preexec_fn=lambda: os.umask(0o077))
        assert 0o755 == Path("/var/cache/dropin-cache").stat().st_mode & 0o777
        assert 0o644 == (plugins / CACHE).stat().st_mode & 0o777

    def test_directory(self, same_process: None) -> None:
        """Whatever goes on, no file system of the caller's is kept busy."""
        assert 2 == cli.main(["check", "--path", "no/such/directory"])
        assert "/" == os.getcwd()

    def test_path(self, app: Tree, plugins: Path) -> None:
        """Programs are not looked for where the caller has some."""
        program = app.write("bin/python3", "#!/bin/sh\nexit 3\n")
        program.chmod(0o755)
        env = {"PATH": f"{program.parent}:{os.environ['PATH']}"}
        outcome = on(app, "check", "--python", "python3", "--json", env=env)
        assert str(program) not in outcome.out + outcome.err

    def test_directory_gone(self, app: Tree, plugins: Path) -> None:
        """The caller's directory need not be there any more."""
        # A script, as commands are: with -c, Python 3.13.0 cannot import socket in such a place.
        program = app.write(
            "bin/update",
            f"""
            import os, sys, tempfile
            with tempfile.TemporaryDirectory() as place:
                os.chdir(place)
            from dropin_cache.cli import main
            sys.exit(main(["update", "app.plugins", "--path", {str(app.path)!r}]))
            """,
        )
        command = [sys.executable, "-B", program]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
        assert (0, "") == (done.returncode, done.stderr)


class TestStart:
    """What comes before anything is loaded."""

    def test_nothing_to_do(self, monkeypatch: pytest.MonkeyPatch, same_process: None) -> None:
        """A trigger ends where nothing has changed since the last one."""
        monkeypatch.delenv("DROPIN_CACHE_UPDATE_BYPASS", raising=False)
        monkeypatch.setattr(_quick, "hold", lambda: True)
        monkeypatch.setitem(sys.modules, "dropin_cache.commands", None)  # it cannot be loaded
        assert 0 == cli.main(["update", "--trigger"])

    def test_unlimited(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """Where limits are not to be asked for, nobody complains of them."""

        def denied(_: int) -> NoReturn:
            raise PermissionError

        monkeypatch.setattr(resource, "getrlimit", denied)
        with pytest.raises(SystemExit):
            cli.main(["run", "--help"])
        assert "usage: dropin-cache run" in capsys.readouterr().out


@pytest.mark.processes
class TestMain:
    """The ways into the commands, and out of them."""

    def test_update_dropin_cache(self, app: Tree, plugins: Path) -> None:
        """`update-dropin-cache` is `dropin-cache update`."""
        code = "import sys\nfrom dropin_cache.cli import main_update\nsys.exit(main_update())"
        done = run_python(code, "app.plugins", "--path", str(app.path))
        expected = f"written: {plugins} (app.plugins: 2 modules, 2 plugins)\n" + IN_SANDBOX
        assert (0, expected, "") == (done.returncode, done.stdout, done.stderr)

    @pytest.mark.parametrize("quiet", [[], ["-q"], ["--quiet"]])
    def test_check_is_quick(
        self, same_process: None, monkeypatch: pytest.MonkeyPatch, quiet: list[str]
    ) -> None:
        """Where a check need not look again, that is all, unless VIRTUAL_ENV is set."""
        asked: list[bool] = []
        answers = [3, None]

        def checked(*, quiet: bool) -> int | None:
            asked.append(quiet)
            return answers.pop(0)

        monkeypatch.setattr(_quick, "checked", checked)
        monkeypatch.setattr(commands, "main", lambda *_: 99)
        monkeypatch.delenv("VIRTUAL_ENV", raising=False)
        assert 3 == cli.main(["check", *quiet])
        assert 99 == cli.main(["check", *quiet])
        monkeypatch.setenv("VIRTUAL_ENV", "/x")
        assert 99 == cli.main(["check", *quiet])
        assert [bool(quiet)] * 2 == asked

    def test_hook_is_quick(self) -> None:
        """`hook status` loads little of the project, and nothing of the way to an update."""
        program = """
            import sys
            from dropin_cache.cli import main
            main(["hook", "status"])
            print(*(name for name in sys.modules if name.startswith("dropin_cache")))
            """
        loaded = run_python(program).stdout.splitlines()[-1].split()
        assert len(loaded) <= 28, loaded

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

    def test_in_process(
        self, app: Tree, same_process: None, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """`main` returns the exit status and leaves the signals as they were."""
        numbers = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)
        before = [signal.getsignal(number) for number in numbers]
        assert 1 == cli.main(["check", "app.plugins", "--path", str(app.path)])
        assert 2 == cli.main(["check", "missing.plugins", "--path", str(app.path)])
        assert before == [signal.getsignal(number) for number in numbers]
        assert capsys.readouterr().out.startswith("missing: ")

    def test_user(self, capsys: pytest.CaptureFixture[str]) -> None:
        """For an ordinary user nothing is changed in the process."""
        import resource  # noqa: F401, PLC0415 - an ordinary user may not reach root's interpreter

        before = os.getcwd(), os.environ["PATH"], os.umask(0o027)
        try:
            with unprivileged():
                assert 2 == cli.main(["check", "--path", "no/such/directory"])
            assert before == (os.getcwd(), os.environ["PATH"], before[2])
            assert 0o027 == os.umask(before[2])
        finally:
            os.umask(before[2])
        message = "dropin-cache: error: cannot use the directory no/such/directory: "
        assert capsys.readouterr().err.startswith(message)

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
        line = f"written: {plugins} (app.plugins: 2 modules, 2 plugins, 1 broken)\n" + IN_SANDBOX
        assert (
            0,
            "" if ">&-" in closed.replace("2>&-", "") else line,
            "" if "2>&-" in closed else BROKEN,
        ) == (done.returncode, done.stdout, done.stderr)
        assert (plugins / CACHE).is_file()

    @pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
    def test_signal(self, app: Tree, plugins: Path, bad: Path, number: int) -> None:
        """A signal ends the command, its child and nothing else."""
        endless(bad)
        before = snapshot(plugins)
        process = start("update", "app.plugins", "--path", app.path)
        wait_for_reader(begun(bad))
        process.send_signal(number)
        outcome = finish(process)
        assert (128 + number, "") == (outcome.status, outcome.out)
        assert before == snapshot(plugins)

    def test_ignored_signal(self, app: Tree, bad: Path) -> None:
        """What was told to ignore a signal, as by nohup, ignores it."""
        endless(bad)
        bad.write_text(bad.read_text().replace("while True: pass", "import time\ntime.sleep(1)"))
        process = start(
            "update",
            "app.plugins",
            "--path",
            app.path,
            preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN),
        )
        wait_for_reader(begun(bad))
        process.send_signal(signal.SIGHUP)
        assert 0 == finish(process).status

    def test_impatience(self, app: Tree, bad: Path) -> None:
        """Pressing Ctrl-C again and again does not save the child."""
        endless(bad)
        process = start("update", "app.plugins", "--path", app.path)
        wait_for_reader(begun(bad))
        while process.poll() is None:
            process.send_signal(signal.SIGINT)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(0.1)
        finish(process)
