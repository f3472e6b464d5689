"""What root's process has from its caller, and must not heed."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from command_line import no_process_left
from dropin_cache import _caller
from dropin_cache.installers import pip_hook
from hostile_callers import TREE, environment, opened_by_root, packaged, traced

ROOT = os.geteuid() == 0
needs_root = pytest.mark.skipif(not ROOT, reason="others keep what they have from their caller")

FORGET = """
import ctypes, os, sys
from dropin_cache import _caller
directory = _caller.forget(command={command})
print(directory, os.getcwd(), oct(os.umask(0)))
print(*sorted(os.environ))
for name in ("OPENSSL_CONF", "HOME", "COLUMNS"):
    print(ctypes.CDLL(None).getenv(name.encode()) != 0, end=" ")
print(*sorted(name for name in sys.modules if name.startswith("dropin_cache")))
"""


def forgotten(directory: Path, *, command: bool = False) -> list[str]:
    """Begin with a few variables, in a directory; return what is there afterwards."""
    variables = {"OPENSSL_CONF": "x", "HOME": "/x", "COLUMNS": "80", "": "x", "PATH": "/x"}
    variables["LD_LIBRARY_PATH"] = os.environ.get("LD_LIBRARY_PATH", "")
    os.umask(mask := os.umask(0o022))
    done = subprocess.run(
        [sys.executable, "-B", "-c", FORGET.format(command=command)],
        env=variables,
        cwd=directory,
        preexec_fn=lambda: os.umask(0o077),
        capture_output=True,
        text=True,
        check=False,
    )
    assert os.umask(mask) == mask
    assert "" == done.stderr
    return done.stdout.splitlines()


@pytest.mark.processes
class TestForget:
    """Beginning as a login would."""

    @needs_root
    def test_root(self, tmp_path: Path) -> None:
        """Root keeps a short list of variables, and has a directory, mask and path of its own."""
        place, names, *rest = forgotten(tmp_path)
        assert f"{tmp_path} / 0o22" == place
        # The interpreter itself may set one, PEP 538.
        assert ["", "COLUMNS", "PATH"] == [n for n in names.split(" ") if n != "LC_CTYPE"]
        assert ["False False True dropin_cache dropin_cache._caller"] == rest

    @needs_root
    def test_command(self, tmp_path: Path) -> None:
        """For a command that is to be run, all that changes is that libraries see no variables."""
        place, names, *rest = forgotten(tmp_path, command=True)
        assert f"{tmp_path} 0o77" == place.strip()
        assert {"COLUMNS", "HOME", "OPENSSL_CONF", "PATH"} <= set(names.split())
        assert ["False False False dropin_cache dropin_cache._caller"] == rest

    def test_user(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Others keep everything."""
        monkeypatch.setattr(os, "geteuid", lambda: 1000)
        before = dict(os.environ), os.getcwd()
        assert "" == _caller.forget(command=False)
        assert before == (dict(os.environ), os.getcwd())

    @needs_root
    def test_directory_gone(self, tmp_path: Path) -> None:
        """Where the working directory is gone, relative paths lead nowhere."""
        (tmp_path / "gone").mkdir()
        code = "import os\nos.rmdir(os.getcwd())\nfrom dropin_cache import _caller\n"
        code += "print(_caller.forget(command=False))"
        done = subprocess.run(
            [sys.executable, "-B", "-I", "-c", code],
            cwd=tmp_path / "gone",
            capture_output=True,
            text=True,
            check=True,
        )
        assert "/nonexistent\n" == done.stdout

    @needs_root
    def test_directory_kept(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Who cannot leave it stays, and relative paths are what they were."""

        def refuse(_: str) -> None:
            raise PermissionError

        monkeypatch.setattr(os, "chdir", refuse)
        assert "" == _caller._leave()

    def test_hook(self) -> None:
        """What pip's hook starts begins with the same variables."""
        assert _caller.KEPT == pip_hook._KEPT


@pytest.mark.processes
@needs_root
class TestPersonality:
    """personality(2), which goes through sudo."""

    @pytest.mark.parametrize(
        "options", [["--32bit"], ["--uname-2.6"], ["--addr-no-randomize", "--read-implies-exec"]]
    )
    def test_given_up(self, options: list[str]) -> None:
        """Another one is given up, and so are its parts."""
        code = "from dropin_cache import _caller\n_caller.forget(command=False)\n"
        code += "print(open('/proc/self/personality').read(), end='')"
        setarch = shutil.which("setarch")
        if setarch is None:
            pytest.skip("setarch is missing")
        machine = os.uname().machine
        done = subprocess.run(
            [setarch, machine, *options, sys.executable, "-B", "-c", code],
            capture_output=True,
            text=True,
            check=True,
        )
        assert "00000000\n" == done.stdout

    def test_no_proc(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Without /proc nothing is done."""

        def missing(*_: object) -> int:
            raise FileNotFoundError

        monkeypatch.setattr(os, "open", missing)
        _caller._be_native()


@pytest.mark.processes
@needs_root
class TestVariables:
    """Variables that name something to libraries, programs and Python."""

    @pytest.fixture
    def hostile(self, tmp_path: Path) -> tuple[Path, dict[str, str]]:
        """A directory that all of them name."""
        directory = tmp_path / "hostile"
        directory.mkdir()
        return directory, environment(directory)

    @pytest.mark.parametrize("start", ["packaged", "isolated"])
    def test_nothing_opened(
        self, tmp_path: Path, hostile: tuple[Path, dict[str, str]], start: str
    ) -> None:
        """None of it is looked at, with a package's command and with `python -I -m`."""
        directory, variables = hostile
        isolated = [sys.executable, "-I", "-B", "-m", "dropin_cache"]
        command = [str(packaged(tmp_path))] if start == "packaged" else isolated
        log = tmp_path / "log"
        log.mkdir()
        with no_process_left():
            done = subprocess.run(
                [*traced(log, variables), *command, "check", "--json", "no.such.package"],
                cwd=directory,
                capture_output=True,
                text=True,
                check=False,
                timeout=120,
            )
        assert done.returncode in {0, 1, 2}, done.stderr
        looked = [each for each in opened_by_root(log) if str(directory) in each.path]
        assert [] == looked

    def test_seen(self, tmp_path: Path, hostile: tuple[Path, dict[str, str]]) -> None:
        """That the trace would show it, and that a library of C would heed it, is so."""
        directory, variables = hostile
        log = tmp_path / "log"
        log.mkdir()
        os.unlink(directory / "fifo")
        code = "import hashlib; hashlib.new('md5')"
        command = [*traced(log, variables), sys.executable, "-I", "-c", code]
        subprocess.run(command, check=True, capture_output=True, timeout=120)
        if f"{directory}/fifo" not in [each.path for each in opened_by_root(log)]:
            pytest.skip("this interpreter's hashlib does not use libcrypto")

    def test_conversion(self, tmp_path: Path) -> None:
        """What converts characters for the interpreter itself, gconv(7), is not the caller's."""
        locale = Path("/usr/lib/locale/C.utf8")
        if not (locale / "LC_CTYPE").exists():
            pytest.skip("the C library has no locale to copy")
        shutil.copytree(locale, tmp_path / "xx")
        kind = tmp_path / "xx" / "LC_CTYPE"
        kind.write_bytes(kind.read_bytes().replace(b"UTF-8", b"EVILC"))
        rules = "module INTERNAL EVILC// EVIL 1\nmodule EVILC// INTERNAL EVIL 1\n"
        (tmp_path / "gconv-modules").write_text(rules)
        variables = {"LOCPATH": str(tmp_path), "GCONV_PATH": str(tmp_path), "LC_ALL": "xx"}
        found = {}
        for name, command in {
            "bare": [sys.executable, "-ISc", "pass"],
            "packaged": [str(packaged(tmp_path)), "--version"],
        }.items():
            (log := tmp_path / name).mkdir()
            subprocess.run([*traced(log, variables), *command], check=False, capture_output=True)
            found[name] = [each.path for each in opened_by_root(log) if "EVIL.so" in each.path]
        if not found["bare"]:
            pytest.skip("this C library has no such modules")
        assert [] == found["packaged"]

    def test_another_library(self, tmp_path: Path) -> None:
        """A variable that names an executable brings no other standard library, also with -I."""
        (tmp_path / "bin").mkdir()
        (tmp_path / "bin" / "python3").symlink_to(sys.executable)
        (tmp_path / "pyvenv.cfg").write_text(f"home = {tmp_path / 'home' / 'bin'}\n")
        version = ".".join(map(str, sys.version_info[:2]))
        library = tmp_path / "home" / "lib" / f"python{version}"
        (library / "encodings").mkdir(parents=True)
        (library / "os.py").write_text("")
        (library / "encodings" / "__init__.py").write_text("this runs as root\n")
        for name in ("PYTHONEXECUTABLE", "__PYVENV_LAUNCHER__"):
            done = subprocess.run(
                [str(packaged(tmp_path)), "--version"],
                env={**os.environ, name: str(tmp_path / "bin" / "python3")},
                capture_output=True,
                text=True,
                check=False,
            )
            assert (0, "") == (done.returncode, done.stderr), name

    def test_time_zone(self, tmp_path: Path) -> None:
        """The file of a time zone, which may be a FIFO, is not opened."""
        os.mkfifo(tmp_path / "fifo")
        subprocess.run(
            [str(packaged(tmp_path)), "--version"],
            env={**os.environ, "TZ": f":{tmp_path}/fifo"},
            check=True,
            capture_output=True,
            timeout=60,
        )

    def test_first_line(self) -> None:
        """Kernels before 5.1 read 127 bytes of a script's first line, and know no more of it."""
        for name in ("dropin-cache", "update-dropin-cache"):
            first = (TREE / "hooks" / "bin" / name).read_bytes().splitlines()[0]
            assert len(first) < 127
