"""An installer is run, and what it has changed is updated."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import textwrap
import threading
import time
import venv

import pytest

from command_line import no_process_left, run, start, unprivileged, wait_for
from conftest import NOBODY
from dropin_cache import commands
from dropin_cache.commands import actions
from dropin_cache.installers import candidates, sites
from dropin_cache.installers import run as installer_run
from dropin_cache.update.report import Request
from installs import CACHE, Place, dropin

# A shell acts upon a signal when its command has ended. It ends, whatever happens here.
WAIT = "for _ in $(seq 600); do sleep 0.1; done"
FAILED = "dropin-cache: warning: plugin caches were not updated: ModuleNotFoundError: "


def needs_root():
    """Skip a test that only root can make."""
    if os.geteuid() != 0:
        pytest.skip("needs root")


@pytest.fixture
def place(tmp_path):
    """An environment with an application."""
    with no_process_left():
        yield Place(tmp_path)


def unpacking(place, *names, status=0):
    """Return a command that installs drop-ins in an environment, in its own way."""
    files = {str(place.site / path): text for name in names for path, text in dropin(name).items()}
    program = f"""
    import sys
    print("installing")
    for path, text in {files!r}.items():
        open(path, "w").write(text)
    sys.exit({status})
    """
    return [sys.executable, "-c", textwrap.dedent(program)]


@pytest.mark.processes
class TestStatus:
    """How it ends."""

    @pytest.mark.parametrize("status", [0, 1, 7, 255])
    def test_status(self, status):
        """It ends as the command does."""
        assert (status, "", "") == run("run", "--", "sh", "-c", f"exit {status}")

    def test_signal(self):
        """A command that a signal ends makes it end as a shell would."""
        assert (128 + 9, "", "") == run("run", "--", "sh", "-c", "kill -9 $$")

    @pytest.mark.parametrize(("name", "status"), [("/nonexistent", 127), ("/", 126)])
    def test_missing(self, name, status):
        """A command that cannot be run is an error, with the status that shells have for it."""
        outcome = run("run", "--", name)

        assert (status, "") == outcome[:2]
        assert outcome.err.startswith(f"dropin-cache: error: cannot run {name}: ")

    def test_usage(self):
        """There has to be a command."""
        outcome = run("run")

        assert 2 == outcome.status
        message = "dropin-cache: error: the following arguments are required: COMMAND\n"
        assert outcome.err.startswith(message)

    @pytest.mark.parametrize("arguments", [["--trigger"], ["-h"], ["--", "--python", "-x"]])
    def test_arguments(self, arguments):
        """Whatever stands behind the dashes is the command's."""
        outcome = run("run", "--", "sh", "-c", 'echo "$@"', "sh", *arguments)

        assert (0, " ".join(arguments) + "\n", "") == outcome

    @pytest.mark.parametrize(
        "arguments", [["--python", "/x"], ["--path=y", "-h"], ["--", "--trigger"], ["run", "--"]]
    )
    @pytest.mark.parametrize("dashes", [[], ["--"]], ids=["plain", "dashes"])
    def test_words(self, dashes, arguments):
        """Everything behind the command is its own, with dashes in front of it or without."""
        outcome = run("run", *dashes, "sh", "-c", 'echo "$@"', "sh", *arguments)

        assert (0, " ".join(arguments) + "\n", "") == outcome

    @pytest.mark.parametrize("given", ["/nonexistent", "nonexistent", "/etc/passwd", "empty", "."])
    def test_python(self, tmp_path, given):
        """An interpreter that is not there is a mistake, and nothing is run."""
        (tmp_path / "empty").mkdir()
        outcome = run("run", "--python", given, "touch", "ran", cwd=tmp_path)

        assert (2, "") == outcome[:2]
        path = (
            os.path.normpath(tmp_path / given / "bin/python") if given in {".", "empty"} else given
        )
        assert outcome.err.startswith(f"dropin-cache: error: cannot use the interpreter {path}: ")
        assert ["empty"] == os.listdir(tmp_path)

    @pytest.mark.parametrize(
        "option", ["--python=/bin/true", "--python=/nonexistent/bin/python", "--path=/nonexistent"]
    )
    def test_unusable(self, tmp_path, option):
        """What cannot be used is a mistake, and nothing is run."""
        outcome = run("run", option, "touch", "ran", cwd=tmp_path)

        assert (2, "") == outcome[:2]
        assert outcome.err.startswith("dropin-cache: error: cannot use the ")
        assert [] == os.listdir(tmp_path)

    def test_untrusted(self, tmp_path):
        """Root relies on no directory that others can change, and runs nothing then."""
        needs_root()
        (tmp_path / "open").mkdir()
        (tmp_path / "open").chmod(0o777)
        venv.create(tmp_path / "open/venv", symlinks=True)
        outcome = run("run", "--python", tmp_path / "open/venv", "touch", "ran", cwd=tmp_path)

        assert (4, "") == outcome[:2]
        assert ["open"] == os.listdir(tmp_path)

    @pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
    def test_passed_on(self, tmp_path, number):
        """Whoever asks it to end asks the command."""
        program = f"trap 'echo caught; exit 5' TERM HUP; : >{tmp_path}/up; {WAIT}"
        process = start("run", "--", "sh", "-c", program)
        wait_for(tmp_path / "up")
        process.send_signal(number)

        assert (("caught\n", ""), 5) == (process.communicate(timeout=60), process.returncode)

    def test_early(self):
        """A signal is not lost that comes when the command runs and is not known here yet."""
        with installer_run._signals_passed_on() as pass_to:
            os.kill(os.getpid(), signal.SIGTERM)
            process = subprocess.Popen(["sleep", "60"])
            pass_to(process)

            assert -signal.SIGTERM == process.wait(timeout=60)

    def test_interrupt(self, tmp_path):
        """A key that interrupts is for the command to act upon; it sends a signal to both."""
        program = f"trap 'exit 6' INT; : >{tmp_path}/up; {WAIT}"
        process = start("run", "--", "sh", "-c", program, start_new_session=True)
        wait_for(tmp_path / "up")
        os.killpg(process.pid, signal.SIGINT)

        assert (("", ""), 6) == (process.communicate(timeout=60), process.returncode)

    def test_ignored(self, tmp_path):
        """A signal that nohup has it ignore, the command ignores."""
        program = (
            'trap "" HUP; exec "$0" -m dropin_cache run -- sh -c "kill -HUP \\$\\$; echo here"'
        )
        done = subprocess.run(
            ["sh", "-c", program, sys.executable], check=False, capture_output=True, text=True
        )

        assert (0, "here\n", "") == (done.returncode, done.stdout, done.stderr)

    def test_environment(self, tmp_path):
        """The command runs as it would without: its directory, its variables, its file modes."""
        program = 'pwd; echo "$PATH $VALUE"; umask'
        outcome = run(
            "run", "--", "/bin/sh", "-c", program, cwd=tmp_path, umask=0o027,
            env={"PATH": "/somewhere", "VALUE": "x"},
        )  # fmt: skip

        assert (0, f"{tmp_path}\n/somewhere x\n0027\n", "") == outcome


@pytest.mark.processes
class TestUpdate:
    """What it does about it."""

    @pytest.mark.parametrize("status", [0, 3])
    def test_python(self, place, status):
        """The environment whose interpreter is named is updated, also when the command fails."""
        command = unpacking(place, "hello", status=status)
        outcome = run("run", "--python", place.environment.python, "--", *command)
        line = f"written: {place.plugins} (app.plugins: 1 module, 1 plugin)\n"

        assert (status, "installing\n", line) == outcome
        assert ["hello"] == place.cached()

    def test_unchanged(self, place):
        """Where nothing has changed, nothing is looked after."""
        place.unpack(place.wheel("hello"))
        outcome = run("run", "--python", place.environment.python, "--", "true")

        assert ((0, "", ""), []) == (outcome, place.cached())

    @pytest.mark.parametrize("variable", [*candidates._CHOSEN, None])
    def test_found(self, place, variable):
        """Without a name it is the environment that an installer would take."""
        options = {"env": {variable: str(place.environment.path)}}
        if variable is None:
            project = place.wheels / "project"
            (project / "src").mkdir(parents=True)
            (project / ".venv").symlink_to(place.environment.path)
            options = {"cwd": project / "src"}
        run("run", "--", *unpacking(place, "hello"), **options)

        assert ["hello"] == place.cached()

    @pytest.mark.parametrize("kind", ["environment", "relative", "name"])
    def test_ways_to_name_it(self, place, kind):
        """An environment is named by its directory, too, or by a program on PATH."""
        options = {"cwd": place.environment.path.parent}
        name = place.environment.path if kind == "environment" else place.environment.path.name
        if kind == "name":
            name = "python"
            options["env"] = {"PATH": f"{place.environment.path}/bin:{os.environ['PATH']}"}
        outcome = run("run", "--python", name, "--", *unpacking(place, "hello"), **options)

        assert (0, ["hello"]) == (outcome.status, place.cached())

    @pytest.mark.parametrize(
        ("variable", "inside"),
        [
            ("POETRY_CACHE_DIR", "virtualenvs/app-x-py3"),
            ("WORKON_HOME", "app-x"),
            ("PIPX_HOME", "venvs/app"),
            ("UV_TOOL_DIR", "app"),
        ],
    )
    def test_kept(self, place, tmp_path, variable, inside):
        """Or it is one that an installer keeps where it keeps all of them."""
        (tmp_path / "kept" / inside).parent.mkdir(parents=True)
        (tmp_path / "kept" / inside).symlink_to(place.environment.path)
        command = [*unpacking(place, "hello")[:2], "import os, sys; os.mkdir(sys.argv[1]);"]
        command[-1] += unpacking(place, "hello")[2]
        information = str(place.site / "hello-1.dist-info")
        outcome = run("run", "--", *command, information, env={variable: str(tmp_path / "kept")})

        assert (0, ["hello"]) == (outcome.status, place.cached())

    def test_nothing_found(self, tmp_path):
        """Where an installer has changed nothing that is known, there is a word about it."""
        (tmp_path / "poetry").write_text("#!/bin/sh\n")
        (tmp_path / "poetry").chmod(0o755)
        env = dict.fromkeys(candidates._CHOSEN, "")
        outcome = run("run", tmp_path / "poetry", cwd=tmp_path, env={**env, "HOME": str(tmp_path)})

        assert (0, "") == outcome[:2]
        assert outcome.err.startswith("dropin-cache: info: nothing has changed in ")
        assert "dropin-cache run --python ENVIRONMENT -- poetry" in outcome.err

    def test_own(self, place):
        """One is the environment that it belongs to itself."""
        command = unpacking(place, "hello")
        outcome = place.command("run", "--", *command)

        assert (0, ["hello"]) == (outcome.status, place.cached())

    def test_made(self, place, tmp_path):
        """The command may be what makes the environment."""
        place.unpack(place.wheel("hello"))
        shutil.move(place.environment.path, tmp_path / "later")
        outcome = run("run", "--", "mv", "later", ".venv", cwd=tmp_path)
        inside = place.plugins.relative_to(place.environment.path)

        assert (0, "") == outcome[:2]
        assert (tmp_path / ".venv" / inside / CACHE).exists()

    def test_overwritten(self, place):
        """A file that is overwritten leaves no trace in the date of any directory."""
        place.unpack(place.wheel("hello"))
        options = ["--python", place.environment.python]
        run("update", *options)
        before = place.cached()
        text = (place.plugins / "hello.py").read_text().replace("hello = ", "renamed = ")
        command = [
            sys.executable,
            "-c",
            f"open({str(place.plugins / 'hello.py')!r}, 'w').write({text!r})",
        ]
        run("run", *options, "--", *command)

        assert ["hello"] == before == place.cached()
        assert b"renamed" in (place.plugins / CACHE).read_bytes()

    def test_path(self, place, tmp_path):
        """So is a directory that is on no interpreter's path."""
        command = ["sh", "-c", f"mkdir -p {tmp_path}/more/app/plugins && cp $0 $1"]
        (tmp_path / "mine.py").write_text(dropin("mine")["app/plugins/mine.py"])
        more = tmp_path / "more" / "app" / "plugins"
        (tmp_path / "more").mkdir()
        run(
            "run", "--python", place.environment.python, "--path", tmp_path / "more", "--",
            *command, tmp_path / "mine.py", more / "mine.py",
        )  # fmt: skip

        assert (more / CACHE).exists()

    def test_without_zope(self, place):
        """An environment that cannot have plugins is left alone."""
        shutil.rmtree(place.site / "zope")

        assert (0, "installing\n", "") == run(
            "run", "--python", place.environment.python, "--", *unpacking(place, "hello")
        )

    def test_lost(self, place):
        """Where an installer removes zope.interface, too, our cache goes with what held plugins."""
        place.unpack(place.wheel("hello"))
        twisted = place.site / "twisted" / "plugins"
        twisted.mkdir(parents=True)
        options = ["--python", place.environment.python]
        assert 0 == run("update", *options).status
        shutil.copy(place.plugins / CACHE, twisted)
        names = ["zope", "app/__init__.py", "app/interfaces.py", "app-1.dist-info"]
        names += ["hello-1.dist-info", "app/plugins/hello.py", "app/plugins/__init__.py"]
        removing = ["rm", "-r", *(str(place.site / name) for name in names)]
        outcome = run("run", *options, "--", *removing)

        assert (0, "") == outcome[:2]
        assert {"removed"} == {line.partition(":")[0] for line in outcome.err.splitlines()}
        assert [] == [name for name in ("app", "twisted") if (place.site / name).exists()]
        assert (0, "", "") == run("run", *options, "--", "touch", str(place.site / "x"))

    def test_system_site_packages(self, place):
        """One that has its packages from elsewhere can have them."""
        shutil.rmtree(place.site / "zope")
        file = place.environment.path / "pyvenv.cfg"
        file.write_text(file.read_text().replace("packages = false", "packages = true"))

        assert installer_run._may_have_plugins(place.environment.python)
        assert not installer_run._may_have_plugins("/nonexistent/bin/python")

    def test_isolation(self, place):
        """The update is a new process, which is isolated as this one is."""
        program = "import sys; from dropin_cache.cli import main; sys.exit(main())"
        path = f"import sys; sys.path.append({str(place.site)!r}); {program}"
        outcome = place.run("-IS", "-c", path, "run", "--", *unpacking(place, "hello"))

        assert (0, ["hello"]) == (outcome.status, place.cached())

    def test_itself(self, place):
        """The command may remove this project."""
        command = ["rm", "-r", str(place.site / "dropin_cache"), str(place.site / "filelock")]
        outcome = place.command("run", "--", *command)

        assert (0, "", f"{FAILED}No module named 'dropin_cache'\n") == outcome


class TestSites:
    """Directories of packages."""

    def test_sites(self, tmp_path):
        """They are found whatever the version; a link is no second one."""
        for name in ("lib/python3.9/site-packages", "lib/python3/dist-packages", "lib/other/x"):
            (tmp_path / name).mkdir(parents=True)
        (tmp_path / "lib/python3.txt").touch()
        (tmp_path / "lib64").symlink_to("lib")

        expected = [f"{tmp_path}/lib/{each}" for each in ("python3.9/site", "python3/dist")]
        assert sorted(f"{each}-packages" for each in expected) == sites.sites(str(tmp_path))

    def test_system(self):
        """What the system's interpreter imports may also be below /usr/local."""
        found = {path.split("/lib")[0] for path in sites.sites("/usr")}

        assert found <= {"/usr", "/usr/local"}

    def test_snapshot(self, tmp_path):
        """Caches and compiled files count for nothing; what vanishes is no error."""
        for name in ("a/b.py", "a/__pycache__/b.pyc", f"a/{CACHE}"):
            (tmp_path / name).parent.mkdir(exist_ok=True, parents=True)
            (tmp_path / name).write_text("x")

        found = sites.snapshot([str(tmp_path), str(tmp_path / "nonexistent")])
        assert [str(tmp_path / "a/b.py")] == list(found)

    def test_image(self):
        """An image has nobody who installs at the same time."""
        assert [] == sites.everywhere(Request(root="/srv/image"))

    def test_everywhere(self, place):
        """Otherwise it is what the interpreters have, and what is named."""
        request = Request(pythons=(place.environment.python,), paths=("/srv/python",))

        assert [str(place.site), "/srv/python"] == sites.everywhere(request)
        assert set(sites.sites(sites.prefix_of(sys.executable))) <= set(sites.everywhere(Request()))


class TestOthers:
    """Environments that are somebody else's, or lead out of themselves."""

    @pytest.fixture
    def venv(self, public_path):
        """Another user's environment above root's directory, in one like /tmp."""
        needs_root()
        public_path.chmod(0o1777)
        site = public_path / ".venv/lib/python3.11/site-packages"
        for directory in (site, public_path / ".venv/bin", public_path / "build"):
            directory.mkdir(parents=True)
        (public_path / ".venv/bin/python").touch(0o755)
        (site / "x.py").touch()
        for path in (public_path / ".venv", *(public_path / ".venv").rglob("*")):
            os.chown(path, NOBODY, NOBODY)
        return public_path / ".venv"

    @pytest.mark.parametrize(
        "part",
        ["pyvenv.cfg", "lib", "lib/python3.11", "lib/python3.11/site-packages", "bin/python", ""],
    )
    @pytest.mark.parametrize("kind", ["fifo", "link", "proc", "socket"])
    def test_of_another_user(self, venv, monkeypatch, part, kind):
        """Whatever that user puts there, root neither looks at it nor waits for it."""
        planted = venv / part
        if planted.is_dir():
            shutil.rmtree(planted)
        else:
            planted.unlink(missing_ok=True)
        if kind == "fifo":
            os.mkfifo(planted)
        elif kind == "socket":
            with socket.socket(socket.AF_UNIX) as server:
                server.bind(str(planted))
        else:
            planted.symlink_to("/" if kind == "link" else f"/proc/{os.getpid()}/root")
        os.chown(planted, NOBODY, NOBODY, follow_symlinks=False)
        monkeypatch.chdir(venv.parent / "build")
        monkeypatch.setenv("VIRTUAL_ENV", str(venv))

        assert str(venv / "bin/python") not in installer_run._look([], ["true"], [])
        assert [] == sites.sites(str(venv))
        assert {} == sites.snapshot([str(venv / "lib/python3.11/site-packages"), str(venv)])

    @pytest.mark.processes
    def test_run(self, venv):
        """The command runs, and nothing else happens."""
        os.mkfifo(venv / "pyvenv.cfg", 0o666)
        site = venv / "lib/python3.11/site-packages"
        program = f"touch {site}/y.py; exit 3"
        outcome = run("run", "--", "sh", "-c", program, cwd=venv.parent / "build")

        assert (3, "", "") == outcome

    @pytest.mark.parametrize("place", ["", "bin"])
    def test_changed_by_others(self, venv, place):
        """Root's own environment is none if others can change it."""
        for path in (venv, *venv.rglob("*")):
            os.chown(path, 0, 0)
        assert sites.is_own(str(venv))
        (venv / place).chmod(0o777)
        assert not sites.is_own(str(venv))

    @pytest.mark.parametrize("owner", [0, 1, NOBODY])
    def test_of_users(self, venv, owner):
        """For a user it is what is this user's, or root's; another could have anything run."""
        for path in (venv, *venv.rglob("*")):
            os.chown(path, owner, owner)
        with unprivileged():
            assert (owner != 1) == sites.is_own(str(venv))
            assert not sites.is_own(str(venv / "missing"))

    @pytest.mark.parametrize("target", ["/", "..", ".", "/proc/self/root"])
    def test_links_inside(self, tmp_path, target):
        """Below a directory of packages, links are not followed."""
        (tmp_path / "site").mkdir()
        (tmp_path / "site/a.py").touch()
        (tmp_path / "site/link").symlink_to(target)
        os.mkfifo(tmp_path / "site/fifo")

        found = sites.snapshot([str(tmp_path / "site")])
        assert {str(tmp_path / "site" / name) for name in ("a.py", "link", "fifo")} == set(found)

    def test_deep(self, tmp_path):
        """What lies too deep is passed over, and takes no descriptors."""
        deep = tmp_path / "/".join(["d"] * 200)
        deep.mkdir(parents=True)
        (deep / "x.py").touch()

        assert {} == sites.snapshot([str(tmp_path)])

    @pytest.mark.parametrize(("limit", "value"), [("_MAX_FILES", 3), ("_MAX_TIME", -1)])
    def test_too_many(self, tmp_path, monkeypatch, limit, value):
        """There is an end to looking, and then it is said that there may be more."""
        for number in range(9):
            (tmp_path / f"{number}.py").touch()
        monkeypatch.setattr(sites, limit, value)

        found = sites.snapshot([str(tmp_path)])
        assert sites.CUT_SHORT in found
        assert len(found) <= 4


@pytest.mark.processes
class TestSettle:
    """dropin-cache update --settle."""

    def test_quiet(self, place):
        """It updates once where nothing happens meanwhile."""
        place.unpack(place.wheel("hello"))
        outcome = run("update", "--settle=0.1", "-q", "--python", place.environment.python)

        assert ((0, "", ""), ["hello"]) == (outcome, place.cached())

    def test_busy(self, place):
        """It updates again what has come meanwhile, and tells of each time."""
        place.unpack(place.wheel("hello"))
        process = start("update", "--settle=1", "--python", place.environment.python)
        deadline = time.monotonic() + 60
        while ["hello"] != place.cached():
            assert time.monotonic() < deadline
            time.sleep(0.01)
        place.unpack(place.wheel("world"))
        out, err = process.communicate(timeout=60)

        assert (0, "") == (process.returncode, err)
        assert ["1 module", "2 modules"] == [
            line.split(": ")[2].split(",")[0]
            for line in out.splitlines()
            if line.startswith("written: ")
        ]
        assert ["hello", "world"] == place.cached()

    def test_again(self, place, monkeypatch):
        """It updates once more if something has been installed meanwhile."""
        seen = iter([0, 1, 1])
        monkeypatch.setattr(sites, "snapshot", lambda _: {"/module.py": (next(seen), 0, 0)})
        place.unpack(place.wheel("hello"))

        command = ["update", "--settle=0.1", "-q", "--python", place.environment.python]

        assert 0 == commands.main(command)
        assert [] == list(seen)

    def test_application(self, place):
        """It does not wait for an application that writes where packages are."""
        place.unpack(place.wheel("hello"))
        log = place.site / "application.log"
        ended = threading.Event()

        def write():
            while not ended.wait(0.05):
                with log.open("a") as file:
                    file.write("x\n")

        writer = threading.Thread(target=write)
        writer.start()
        try:
            outcome = run("update", "--settle=0.3", "-q", "--python", place.environment.python)
        finally:
            ended.set()
            writer.join()

        assert ((0, "", ""), ["hello"]) == (outcome, place.cached())

    def test_bounded(self, place, monkeypatch):
        """It ends some time, even where something is installed again and again."""
        seen = iter(range(10**9))
        monkeypatch.setattr(sites, "snapshot", lambda _: {"/module.py": (next(seen), 0, 0)})
        monkeypatch.setattr(actions, "_LONGEST_SETTLING", 0)
        place.unpack(place.wheel("hello"))
        command = ["update", "--settle=0.1", "-q", "--python", place.environment.python]

        assert 0 == commands.main(command)
        assert next(seen) > 1
