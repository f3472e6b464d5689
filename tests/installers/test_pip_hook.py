"""pip sees to the caches when it ends: real pips in real environments."""

from __future__ import annotations

import json
import os
import shutil
import signal
import site
import subprocess
import sys
import textwrap

import pytest

from command_line import no_process_left, unprivileged
from dropin_cache._encode import encode
from dropin_cache.errors import NotWrittenError
from dropin_cache.installers import pip_hook, startup_file
from installs import APPLICATION, CACHE, Place, dropin

PTH, START, MODULE = pip_hook.NAMES


@pytest.fixture
def place(tmp_path):
    """An environment in which the hook is not enabled yet."""
    with no_process_left():
        yield Place(tmp_path)


@pytest.fixture
def hooked(place):
    """An environment in which it is."""
    for name, data in startup_file.contents(str(place.site), sys.version_info[:2]).items():
        (place.site / name).write_bytes(_at(place, data))
        os.utime(place.site / name, (0, 0))
    return place


def _at(place, data):
    """Return the content of a start-up file as the package of an environment would write it."""
    source = place.site / "dropin_cache" / "installers" / "pip_hook.py"
    return data.replace(pip_hook.__file__.encode(), str(source).encode())


def written(place, modules):
    """Return the line that tells of a cache."""
    noun = "module" if modules == 1 else "modules"
    plural = "" if modules == 1 else "s"
    return (
        f"dropin-cache: written: {place.plugins} "
        f"(app.plugins: {modules} {noun}, {modules} plugin{plural})\n"
    )


@pytest.mark.processes
class TestCommand:
    """dropin-cache hook."""

    def test_life(self, place):
        """It is disabled, enabled, and disabled again, and says where the file is."""
        file = place.site / PTH
        actions = ("status", "enable", "status", "enable", "disable", "status", "disable")
        found = [(place.command("hook", action), file.exists()) for action in actions]

        off, on = ((0, f"{state}: {file}\n", "") for state in ("disabled", "enabled"))
        expected = [(off, False), *[(on, True)] * 3, *[(off, False)] * 3]
        assert expected == found

    def test_mode(self, hooked):
        """Everybody may read the file, only its owner may write it, and nothing else is left."""
        names = {path.name for path in hooked.site.iterdir() if "dropin" in path.name}

        assert 0o100644 == (hooked.site / PTH).stat().st_mode
        assert {PTH, "dropin_cache"} == {each for each in names if "info" not in each}

    @pytest.mark.parametrize("change", ["another", "more"])
    def test_outdated(self, hooked, change):
        """What is not what this version writes is outdated, until it is enabled anew."""
        if change == "another":
            (hooked.site / PTH).write_text("import sys\n")
        else:
            (hooked.site / "dropin-cache.start").write_text("os:getcwd\n")
        told = hooked.command("hook", "status")
        hooked.command("hook", "enable")

        assert (0, f"outdated: {hooked.site / PTH}\n") == told[:2]
        assert "To write it again: dropin-cache hook enable" in told.err
        assert hooked.command("hook", "status").out.startswith("enabled: ")

    def test_linked(self, place, tmp_path):
        """Where the directory of packages is a link, what pip installs in it is cached, too."""
        place.site.rename(tmp_path / "shared")
        place.site.symlink_to(tmp_path / "shared")
        enabled = place.command("hook", "enable").out
        done = place.pip("install", "--no-deps", place.wheel("one"))

        assert f"enabled: {tmp_path / 'shared' / PTH}\n" == enabled
        assert written(place, 1) == done.err
        seen = (tmp_path / "shared" / PTH).stat().st_mtime_ns
        assert pip_hook.date_of(str(tmp_path / "shared")) == seen

    def test_unwritable(self, place):
        """What is in the way is told, with an exit status."""
        (place.site / PTH).mkdir()
        outcome = place.command("hook", "enable")

        assert 5 == outcome.status
        assert f"dropin-cache: error: cannot write {place.site / PTH}: " in outcome.err

    def test_missing(self, place):
        """So is a directory that is not there."""
        program = f"""
        import sys, sysconfig
        from dropin_cache import cli
        sysconfig.get_path = lambda name: {str(place.site / "gone")!r}
        sys.exit(cli.main(["hook", "enable"]))
        """
        outcome = place.run("-c", textwrap.dedent(program))

        assert 5 == outcome.status
        assert "gone: No such file or directory" in outcome.err

    @pytest.mark.skipif(os.geteuid() != 0, reason="only root has rules of trust")
    def test_untrusted(self, place):
        """Root writes no file that every process runs where others can change it."""
        place.site.chmod(0o777)
        outcome = place.command("hook", "enable")

        assert (4, False) == (outcome.status, (place.site / PTH).exists())
        assert f"{place.site} can be written by others" in outcome.err


@pytest.mark.processes
class TestPip:
    """What pip leaves behind."""

    def test_install_and_uninstall(self, hooked):
        """The cache is right after each of them, and pip says one line more."""
        steps = []
        for arguments in (
            ["install", "-q", hooked.wheel("hello")],
            ["install", "-q", hooked.wheel("hello"), hooked.wheel("world")],
            ["uninstall", "-q", "-y", "hello"],
            ["uninstall", "-q", "-y", "world"],
        ):
            outcome = hooked.pip(*arguments)
            steps.append((outcome, hooked.cached()))
        removed = f"dropin-cache: removed: {hooked.plugins} (app.plugins: 0 modules, 0 plugins)\n"

        assert [
            ((0, "", written(hooked, 1)), ["hello"]),
            ((0, "", written(hooked, 2)), ["hello", "world"]),
            ((0, "", written(hooked, 1)), ["world"]),
            ((0, "", removed), []),
        ] == steps

    @pytest.mark.parametrize("name", ["pip", "pip3", "pip3.13", "pip.pyz", "pip/__main__.py"])
    def test_programs(self, hooked, name):
        """Programs of these names are pip."""
        (hooked.environment.path / "bin" / name).parent.mkdir(exist_ok=True)
        hooked.like_pip(hooked.wheel("hello"), name)

        assert ["hello"] == hooked.cached()

    @pytest.mark.parametrize("start", [["-Impip"], ["-W", "ignore", "-m", "pip", "-q"]])
    def test_module(self, hooked, start):
        """So is the module of that name, however it is run."""
        hooked.run(*start, "install", "--no-compile", hooked.wheel("hello"))

        assert ["hello"] == hooked.cached()

    def test_foreign(self, hooked):
        """The pip of another environment can be told to work on this one."""
        program = ["-m", "pip", "--python", hooked.environment.python, "install", "-q"]
        environment = {**os.environ, "PIP_NO_INDEX": "1", "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
        command = [sys.executable, *program, hooked.wheel("hello")]
        subprocess.run(command, check=True, env=environment)

        assert ["hello"] == hooked.cached()

    def test_output(self, place):
        """What pip prints on standard output is for somebody else to read."""
        arguments = ["install", "-q", "--report=-", "--dry-run", place.wheel("hello")]
        before = place.pip(*arguments)
        place.command("hook", "enable")
        after = place.pip(*arguments)  # sees to what was there before it was enabled

        assert before[:2] == after[:2]
        assert "hello" == json.loads(after.out)["install"][0]["metadata"]["name"]

    @pytest.mark.parametrize("option", ["--dry-run", "--target=TMP/target", "--prefix=TMP/prefix"])
    def test_elsewhere(self, hooked, tmp_path, option):
        """What goes elsewhere, or nowhere, is nothing to this environment."""
        hooked.like_pip(hooked.wheel("hello"))
        stamp = (hooked.plugins / CACHE).stat()
        option = option.replace("TMP", str(tmp_path))
        outcome = hooked.pip("install", "-q", option, "--no-deps", hooked.wheel("world"))

        assert (0, "") == (outcome.status, outcome.err)
        assert stamp == (hooked.plugins / CACHE).stat()

    @pytest.mark.parametrize("option", ["--ignore-installed", "--force-reinstall"])
    def test_same_version(self, hooked, option):
        """Another build of the version that is installed is noticed, removed first or not."""
        hooked.pip("install", "-q", hooked.wheel("hello"))
        files = dropin("hello")
        files["app/plugins/hello.py"] += "another = Plugin()\n"
        again = hooked.wheel("hello", files)
        outcome = hooked.pip("install", "-q", "--no-deps", option, again)

        line = f"dropin-cache: written: {hooked.plugins} (app.plugins: 1 module, 2 plugins)\n"
        assert (0, "", line) == outcome

    def test_noise(self, hooked):
        """What others print when Python starts or ends is not taken for what the update says."""
        beginning = "sys.stdout.write('!' * 100_000), sys.stderr.write('?' * 100_000)"
        end = "atexit.register(sys.stderr.write, '...')"
        (hooked.site / "noise.pth").write_text(f"import atexit, sys; {beginning}, {end}\n")
        (hooked.site / "broken.pth").write_text("import no_such_module\n")
        outcome = hooked.like_pip(hooked.wheel("hello"))
        quiet = hooked.run(hooked.script("pip", ""), "install")

        assert (quiet.out, quiet.err + written(hooked, 1)) == outcome[1:]
        assert (len(quiet.err) > 100_000, "dropin-cache: " in quiet.err) == (True, False)

    def test_failure(self, hooked):
        """An installation that fails half way leaves a cache of what is there, and its status."""
        (hooked.site / "obstacle.py").mkdir()
        later = hooked.wheel("later", {"obstacle.py": ""}, requires=("good",))
        wheels = [hooked.wheel("good"), later]
        outcome = hooked.pip("install", "-q", *wheels)

        assert 1 == outcome.status
        assert "IsADirectoryError" in outcome.err or "Is a directory" in outcome.err
        assert outcome.err.endswith(written(hooked, 1))
        assert ["good"] == hooked.cached()

    def test_broken(self, hooked):
        """A drop-in that cannot be imported is told in the one line, and stops no other."""
        bad = hooked.wheel("bad", {**dropin("good"), "app/plugins/bad.py": "import nosuch"})
        outcome = hooked.pip("install", "-q", bad)

        assert (0, 1) == (outcome.status, len(outcome.err.splitlines()))
        assert outcome.err.startswith("dropin-cache: warning: app.plugins.bad (of bad) is left out")
        assert outcome.err.endswith(" (and 1 more: dropin-cache check)\n")
        assert ["good"] == hooked.cached()

    def test_failed(self, hooked):
        """An update that cannot run is told in one line too, and made up for by the next pip."""
        (hooked.site / "filelock").rename(hooked.site / "gone")
        outcome = hooked.like_pip(hooked.wheel("hello"))
        before = hooked.cached()
        (hooked.site / "gone").rename(hooked.site / "filelock")
        hooked.run(hooked.script("pip", ""), "install")

        reason = "ModuleNotFoundError: No module named 'filelock'"
        line = f"dropin-cache: warning: plugin caches were not updated: {reason}\n"
        assert (0, "", line) == outcome
        assert ([], ["hello"]) == (before, hooked.cached())

    def test_killed(self, hooked):
        """What a pip that was killed has left undone, the next one does, if it changes nothing."""
        hooked.like_pip(hooked.wheel("hello"))
        hooked.unpack(hooked.wheel("world"))  # that far it has come
        before = hooked.cached()
        hooked.run(hooked.script("pip", ""), "install")

        assert (["hello"], ["hello", "world"]) == (before, hooked.cached())

    def test_interrupted(self, hooked):
        """A pip that is interrupted ends as it would, and what it has installed is cached."""
        program = f"""
        import os, signal
        from pip._internal.cli.main import main
        main(["install", "-q", {str(hooked.wheel("hello"))!r}])
        os.kill(os.getpid(), signal.SIGINT)
        """
        outcome = hooked.run(hooked.script("pip", program), "install")

        assert -signal.SIGINT == outcome.status
        assert outcome.err.endswith(written(hooked, 1))
        assert ["hello"] == hooked.cached()

    def test_children(self, hooked):
        """What pip starts to build in does nothing, and neither does a process that it forks."""
        for name in pip_hook._BUILDING:
            assert (0, "", "") == hooked.like_pip(hooked.wheel("hello"), env={name: "/x"})
        assert [] == hooked.cached()
        script = hooked.script("pip", "import os\nif os.fork():\n    os.wait()\n    os._exit(0)\n")
        assert (0, "", "") == hooked.run(script, "install")
        assert [] == hooked.cached()

    @pytest.mark.parametrize(
        "command",
        [["-c", "pass"], ["-m", "this", "install"], ["PIPX", "install"], ["PIP", "list"]],
        ids=lambda command: command[0].strip("-"),
    )
    def test_others(self, hooked, command):
        """A process that is not pip's, or does not install, does nothing."""
        paths = {name.upper(): hooked.script(name, "") for name in ("pip", "pipx")}
        outcome = hooked.run(*(paths.get(each, each) for each in command))

        assert (0, "") == (outcome.status, outcome.err)
        assert [] == hooked.cached()

    def test_closed(self, hooked):
        """It needs no standard error."""
        hooked.unpack(hooked.wheel("hello"))
        program = ["sh", "-c", 'exec "$0" "$1" install 2>&-', hooked.environment.python]
        script = hooked.script("pip", "")
        done = subprocess.run([*program, script], check=False, stdout=subprocess.PIPE)

        assert (0, b"") == (done.returncode, done.stdout)
        assert ["hello"] == hooked.cached()

    def test_entry_point(self, hooked):
        """A distribution that brings a plugin package of its own only has to declare it."""
        files = {name.replace("app/", "other/"): text for name, text in APPLICATION.items()}
        plugin = dropin("hello")["app/plugins/hello.py"].replace("app.", "other.")
        files["other/plugins/hello.py"] = plugin
        entry = "[dropin_cache.packages]\nanything = other.plugins\n"
        hooked.like_pip(hooked.wheel("other", files, entry_points=entry))
        cache = hooked.site / "other" / "plugins" / CACHE
        cached = cache.exists()
        outcome = hooked.pip("uninstall", "-q", "-y", "other")

        assert (True, False) == (cached, (hooked.site / "other").exists())
        assert outcome.err.startswith("dropin-cache: removed: ")

    def test_editable(self, hooked, tmp_path):
        """An editable installation is a file with a path in it, and that is enough."""
        (tmp_path / "work" / "app" / "plugins").mkdir(parents=True)
        for name, text in dropin("mine").items():
            (tmp_path / "work" / name).write_text(text)
        path = {"__editable__.work.pth": f"{tmp_path / 'work'}\n"}
        hooked.like_pip(hooked.wheel("work", path))

        assert (tmp_path / "work" / "app" / "plugins" / CACHE).exists()


@pytest.mark.processes
class TestReason:
    """Why there was no update, where Python itself does not get that far."""

    @pytest.mark.parametrize(
        ("program", "reason"),
        [
            ("kill -9 $$", "Python was killed by signal 9"),
            ("exit 3", "Python ended with status 3"),
            ("echo noise; echo 'Fatal Python error'; exit 1", "Fatal Python error"),
            ("printf %1000s | tr ' ' x; exit 1", "x" * 200),
        ],
    )
    def test_told(self, tmp_path, monkeypatch, program, reason):
        """It is told in one line of bounded length."""
        interpreter = tmp_path / "python"
        interpreter.write_text(f"#!/bin/sh\n{program}\n")
        interpreter.chmod(0o755)
        monkeypatch.setattr(sys, "executable", str(interpreter))

        line = f"dropin-cache: warning: plugin caches were not updated: {reason}"
        assert (False, [line]) == pip_hook.update("")


class TestUser:
    """The directory of packages that is a user's own."""

    @pytest.mark.parametrize("enabled", [True, False])
    def test_counts(self, monkeypatch, enabled):
        """It counts where Python counts it."""
        monkeypatch.setattr(site, "ENABLE_USER_SITE", enabled)
        monkeypatch.setattr(site, "USER_SITE", "/home/me/site-packages")
        with unprivileged():
            assert ("/home/me/site-packages" if enabled else "") == pip_hook._user_site()

    @pytest.mark.processes
    def test_changed(self, hooked, tmp_path, monkeypatch):
        """What is installed there is cached there, together with what it goes with."""
        own = tmp_path / "site-packages"
        shutil.copytree(hooked.site / "app" / "plugins", own / "app" / "plugins")
        monkeypatch.setattr(pip_hook, "_user_site", lambda: str(own))
        monkeypatch.setattr(sys, "executable", hooked.environment.python)
        before = pip_hook._dates(str(hooked.site))
        (own / "app" / "plugins" / "mine.py").write_text(dropin("mine")["app/plugins/mine.py"])
        (own / "mine-1.dist-info").mkdir()
        (own / "app" / "plugins" / "__init__.py").unlink()
        pip_hook._update(
            str(hooked.site),
            str(hooked.site / "dropin_cache" / "installers" / "pip_hook.py"),
            before,
        )

        assert (own / "app" / "plugins" / CACHE).exists()


@pytest.mark.processes
class TestGone:
    """A start-up file whose package is not there any more."""

    def test_uninstalled(self, hooked):
        """The removal by pip of this package takes along the start-up file and the caches."""
        twisteds = hooked.site / "other" / "plugins" / CACHE
        twisteds.parent.mkdir(parents=True)
        twisteds.write_bytes(b"\x80\x04}.")  # an empty cache, as Twisted would write it
        hooked.like_pip(hooked.wheel("hello"))
        shutil.rmtree(hooked.plugins / "__pycache__", ignore_errors=True)
        (hooked.site / "alone" / "plugins").mkdir(parents=True)
        shutil.copy(hooked.plugins / CACHE, hooked.site / "alone" / "plugins")
        outcome = hooked.pip("uninstall", "-q", "-y", "dropin-cache")
        left = {str(path.relative_to(hooked.site)) for path in hooked.site.rglob(CACHE)}

        assert (0, "", "") == outcome
        assert {f"other/plugins/{CACHE}"} == left
        assert not [path for path in hooked.site.iterdir() if path.name in pip_hook.NAMES]
        assert not (hooked.site / "alone").exists()
        assert (0, "", "") == hooked.run("-c", "pass")

    @pytest.mark.parametrize("what", ["file", "package", "syntax", "error"])
    def test_damaged(self, hooked, what):
        """Whatever has become of the package, nobody notices: not a Python, and not pip."""
        package = hooked.site / "dropin_cache"
        if what == "package":
            shutil.rmtree(package)
        elif what == "file":
            (package / "installers" / "pip_hook.py").unlink()
        else:
            text = {"syntax": "def", "error": "raise RuntimeError"}[what]
            (package / "installers" / "pip_hook.py").write_text(text)

        assert (0, "", "") == hooked.run("-c", "pass")
        assert (0, "", "") == hooked.like_pip(hooked.wheel("hello"))


class TestOrphans:
    """Caches that keep directories of packages which pip has removed, and the tool's own needs."""

    @pytest.mark.processes
    def test_uninstalled_with_zope(self, hooked):
        """They go, whether anything can be updated any more or not."""
        hooked.pip("install", hooked.wheel("hello"))
        assert (hooked.plugins / CACHE).exists()
        shutil.rmtree(hooked.site / "zope")
        outcome = hooked.pip("uninstall", "-y", "hello", "app")

        assert 0 == outcome.status
        assert not (hooked.site / "app").exists()

    @pytest.mark.parametrize("beside", ["one.py", "one", "README"])
    def test_kept(self, tmp_path, beside):
        """What has anything beside it stays, and so does what is not ours."""
        for name in ("a", "b", "c"):
            (tmp_path / name / "plugins").mkdir(parents=True)
            (tmp_path / name / "plugins" / CACHE).write_bytes(encode([]))
        (tmp_path / "a" / "plugins" / beside).mkdir()
        (tmp_path / "b" / "plugins" / CACHE).write_bytes(b"another's")
        pip_hook._remove_caches(str(tmp_path), orphans=True)

        assert ["a", "b"] == sorted(os.listdir(tmp_path))
        assert {CACHE, beside} == set(os.listdir(tmp_path / "a" / "plugins"))
        assert [CACHE] == os.listdir(tmp_path / "b" / "plugins")


class TestOurs:
    """Telling our caches from others."""

    def test_huge(self, tmp_path):
        """A file larger than any cache is none of ours, and is not read to its end."""
        path = tmp_path / CACHE
        path.touch()
        os.truncate(path, 1 << 40)
        descriptor = os.open(tmp_path, os.O_RDONLY)
        try:
            assert not pip_hook._is_ours(CACHE, descriptor)
        finally:
            os.close(descriptor)


class TestStart:
    """What is processed when an interpreter starts."""

    @pytest.mark.processes
    def test_modules(self, place):
        """An interpreter loads no module more than it does for a start-up file with a comment."""
        program = "import sys; print(sorted(sys.modules))"
        (place.site / PTH).write_text("# nothing\n")
        before = place.run("-c", program)
        place.command("hook", "enable")

        assert before == place.run("-c", program)

    @pytest.mark.processes
    def test_names(self, hooked):
        """It leaves no name behind where `site` works."""
        program = "import builtins, __main__; print(dir(__main__), dir(builtins))"

        assert hooked.run("-S", "-c", program) == hooked.run("-S", "-c", program)

    @pytest.mark.parametrize(
        ("version", "site", "expected"),
        [
            ((3, 14), "/v/lib/python3.14/site-packages", [PTH]),
            ((3, 17), "/v/lib/python3.17t/site-packages", [PTH]),
            ((3, 18), "/v/lib/python3.18/site-packages", [MODULE, START]),
            ((3, 17), "/usr/lib/python3/dist-packages", [PTH]),
            ((3, 18), "/usr/lib/python3/dist-packages", [PTH, MODULE, START]),
        ],
    )
    def test_files(self, version, site, expected):
        """Which files there are depends on who may process them; what names another comes last."""
        assert expected == list(startup_file.contents(site, version))

    @pytest.mark.processes
    def test_no_warning(self, hooked):
        """No Python has anything to say about the file, not even to developers."""
        assert (0, "", "") == hooked.run("-X", "dev", "-W", "error", "-c", "pass")

    @pytest.mark.processes
    def test_start_file(self, place):
        """A .start file, processed as PEP 829 has it, does the same, beside a .pth file, too."""
        process_start_files(place)
        files = startup_file.contents(str(place.site), (3, 18))
        for name, data in files.items():
            (place.site / name).write_bytes(_at(place, data))
        quiet = place.run("-c", "pass")
        outcome = place.like_pip(place.wheel("hello"))
        (place.site / PTH).write_bytes(
            _at(place, startup_file.contents(str(place.site), (3, 17))[PTH])
        )
        more = place.like_pip(place.wheel("world"))

        assert (0, "", "") == quiet
        assert (0, "", written(place, 1)) == outcome
        assert (0, "", written(place, 2)) == more
        assert ["hello", "world"] == place.cached()

    @pytest.mark.processes
    def test_half(self, place):
        """At no time while files are written or removed has any Python anything to complain of."""
        process_start_files(place)
        files = startup_file.contents(str(place.site), (3, 18))
        found = []
        for name, data in files.items():
            (place.site / name).write_bytes(_at(place, data))
            found.append(place.run("-c", "pass"))
        for name in pip_hook.NAMES:
            (place.site / name).unlink(missing_ok=True)
            found.append(place.run("-c", "pass"))

        assert [(0, "", "")] * 5 == found

    @pytest.mark.processes
    def test_odd_path(self, tmp_path):
        """The line is ASCII, and right, whatever the characters of the path are."""
        place = Place(tmp_path / 'it\'s "ümläut" \\ {x} %s')
        place.command("hook", "enable")
        outcome = place.like_pip(place.wheel("hello"))

        assert (place.site / PTH).read_bytes().isascii()
        assert (0, "") == (outcome.status, outcome.out)
        assert ["hello"] == place.cached()


def process_start_files(place):
    """Have the interpreter of an environment process .start files, if it does not do so anyway."""
    if sys.version_info < (3, 15):
        emulation = f"""import sys; exec({_EMULATION % str(place.site / "*.start")!r})\n"""
        (place.site / "zz-emulation.pth").write_text(emulation)


# The part of PEP 829 that matters: each line of each file names a callable, which is called.
_EMULATION = """
import glob, pkgutil
for path in sorted(glob.glob(%r)):
    for line in open(path, encoding="utf-8-sig"):
        pkgutil.resolve_name(line.strip())()
"""


def test_environment_of_a_user(monkeypatch):
    """Users' updates have their environment; root's have little of it."""
    monkeypatch.setenv("SOME_VARIABLE", "x")
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert "x" == pip_hook._environment()["SOME_VARIABLE"]
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert "SOME_VARIABLE" not in pip_hook._environment()


class TestInThisProcess:
    """What is written and removed, by an interpreter that needs a .start file."""

    @pytest.fixture
    def site(self, tmp_path, monkeypatch):
        """The directory of packages of such an interpreter."""
        site = tmp_path / "python3.99" / "site-packages"
        site.mkdir(parents=True)
        monkeypatch.setattr(startup_file, "_site", lambda: str(site))
        monkeypatch.setattr(startup_file, "_NEEDS_START_FILES", (3, 0))
        return site

    def test_life(self, site):
        """Twice is no mistake, and what was there for older interpreters goes."""
        (site / PTH).write_text("")
        outdated = startup_file.status()
        startup_file.enable()
        enabled = startup_file.enable()
        present = sorted(os.listdir(site))
        startup_file.disable()
        disabled = startup_file.disable()

        path = str(site / START)
        assert [("outdated", path), ("enabled", path), ("disabled", path)] == [
            outdated,
            enabled,
            disabled,
        ]
        assert (sorted([MODULE, START]), []) == (present, os.listdir(site))

    @pytest.mark.parametrize("obstacle", [MODULE, START])
    def test_obstacle(self, site, obstacle):
        """Where it fails half way, nothing is named that is not there."""
        (site / obstacle).mkdir()
        with pytest.raises(NotWrittenError):
            startup_file.enable()

        assert {obstacle} | {MODULE} == set(os.listdir(site))

    @pytest.mark.parametrize("others", [[], ["six.cpython-399.pyc"]])
    def test_compiled(self, site, others):
        """Nothing that interpreters have compiled stays."""
        startup_file.enable()
        self.compile(site, others)
        startup_file.disable()

        assert others == [path.name for path in site.rglob("*") if path.is_file()]
        assert bool(others) == (site / "__pycache__").exists()

    @pytest.mark.parametrize("others", [[], ["six.cpython-399.pyc"]])
    def test_compiled_of_what_is_gone(self, site, others):
        """Nor does it where the package has gone by other means."""
        startup_file.enable()
        self.compile(site, others)
        pip_hook._remove(str(site))

        assert others == [path.name for path in site.rglob("*") if path.is_file()]
        assert bool(others) == (site / "__pycache__").exists()

    def compile(self, site, others):
        """Do what interpreters do."""
        (site / "__pycache__").mkdir()
        ours = [f"_dropin_cache_start.cpython-399{kind}.pyc" for kind in ("", ".opt-1")]
        for name in [*ours, *others]:
            (site / "__pycache__" / name).write_bytes(b"")

    def test_links(self, tmp_path, monkeypatch):
        """It is the same for all environments that have a link to one directory of packages."""
        (tmp_path / "shared").mkdir()
        states = []
        for name, action in (("a", startup_file.enable), ("b", startup_file.status)):
            (tmp_path / name).symlink_to("shared")
            monkeypatch.setattr(startup_file, "_purelib", lambda name=name: str(tmp_path / name))
            states.append(action())

        assert [("enabled", str(tmp_path / "shared" / PTH))] * 2 == states

    def test_shared(self, tmp_path, monkeypatch):
        """Where several versions share the directory, none removes what another needs."""
        monkeypatch.setattr(startup_file, "_site", lambda: str(tmp_path))
        old = startup_file.enable()
        with monkeypatch.context() as patch:
            patch.setattr(startup_file, "_NEEDS_START_FILES", (3, 0))
            before = startup_file.status()
            new = startup_file.enable()
        again = startup_file.enable()
        present = set(os.listdir(tmp_path))
        startup_file.disable()

        states = [each.state for each in (old, before, new, again)]
        assert ["enabled", "outdated", "enabled", "enabled"] == states
        assert (set(pip_hook.NAMES), []) == (present, os.listdir(tmp_path))


def test_package_that_is_gone(tmp_path):
    """With the package go its start-up files, whichever are there."""
    (tmp_path / PTH).write_text("")
    (tmp_path / "other.pth").write_text("")
    pip_hook._remove(str(tmp_path))
    assert ["other.pth"] == os.listdir(tmp_path)


def test_hook_in_this_process(tmp_path, monkeypatch):
    """Disabling removes what is there, and nothing else; twice is no mistake."""
    monkeypatch.setattr(startup_file, "_site", lambda: str(tmp_path))
    for name in (*pip_hook.NAMES, "other.pth"):
        (tmp_path / name).write_text("")
    startup_file.disable()
    startup_file.disable()
    assert ["other.pth"] == os.listdir(tmp_path)


@pytest.mark.parametrize("user", [0, 1000])
def test_no_colours(monkeypatch, user):
    """What an update prints is read here, so it has none, whatever somebody asks for."""
    monkeypatch.setattr(os, "geteuid", lambda: user)
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "70")
    found = pip_hook._environment()
    assert ("70", False) == (found["COLUMNS"], "FORCE_COLOR" in found)
