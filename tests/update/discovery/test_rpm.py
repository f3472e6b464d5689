"""What rpm(8) is asked, and what becomes of its answers."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from command_line import no_process_left
from conftest import run_python
from dropin_cache.update.discovery import rpm
from dropin_cache.update.files.trusted import Files

pytestmark = pytest.mark.processes


def tool(directory: Path, name: str, program: str) -> str:
    """Write a shell script and return its path."""
    path = directory / name
    path.write_text(f"#!/bin/sh\n{program}\n")
    path.chmod(0o755)
    return str(path)


@pytest.fixture
def system(tmp_path: Path) -> Path:
    """A system with a database of RPM's, which is for rpm alone to understand."""
    (tmp_path / "var/lib/rpm").mkdir(parents=True)
    (tmp_path / "var/lib/rpm/rpmdb.sqlite").touch()
    return tmp_path


def ask(system: Path, *paths: str, image: bool = False) -> dict[str, str]:
    """Ask who has files."""
    with Files(enforced=False, root=str(system)) as files:
        reader = rpm.Reader((), os.geteuid(), os.getegid())
        return rpm.owners(paths, files, image=image, reader=reader)


class TestTool:
    """The tool that is asked."""

    @pytest.mark.parametrize("image", [False, True])
    @pytest.mark.parametrize(
        "program",
        [
            None,
            "exit 3",
            "printf 'no\\t/app.py\\n'; exit 2",
            "printf 'a\\033b\\t/app.py\\n'",
            "printf 'a\\033b\\n'",
            "kill -9 $$",
        ],
    )
    def test_failing(
        self, system: Path, program: str | None, image: bool, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """One that is missing, fails or prints nonsense answers nothing."""
        path = str(system / "rpm") if program is None else tool(system, "rpm", program)
        monkeypatch.setattr(rpm, "_RPM", path)

        assert {} == ask(system, "/app.py", image=image)

    def test_hanging(self, system: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """One that hangs is ended."""
        monkeypatch.setattr(rpm, "_TIMEOUT", 0.2)
        monkeypatch.setattr(rpm, "_RPM", tool(system, "rpm", "exec sleep infinity"))

        with no_process_left():
            assert {} == ask(system, "/app.py")

    def test_surroundings(self, system: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Nothing of the caller's gets to it: no variables, no directory, no input."""
        script = tool(
            system,
            "rpm",
            '[ -z "$VALUE$HOME" ] && [ "$LC_ALL" = C ] && [ "$(pwd)" = / ] && ! read -r line &&'
            " echo app",
        )
        program = (
            "from dropin_cache.update.discovery import rpm\n"
            "from dropin_cache.update.files.trusted import Files\n"
            f"rpm._RPM = {script!r}\n"
            f"files = Files(enforced=False, root={str(system)!r})\n"
            "print(rpm.owners(['/app.py'], files, image=False))\n"
        )
        monkeypatch.setenv("VALUE", "x")
        monkeypatch.setenv("LC_ALL", "C.UTF-8")
        done = run_python(program, input="a line\n")

        assert "{'/app.py': 'app'}\n" == done.stdout

    @pytest.mark.parametrize("image", [False, True])
    def test_no_database(self, system: Path, image: bool, monkeypatch: pytest.MonkeyPatch) -> None:
        """Where RPM has no database it is not asked, because it would make one."""
        (system / "var/lib/rpm/rpmdb.sqlite").unlink()
        monkeypatch.setattr(rpm, "_RPM", tool(system, "rpm", f"touch {system}/asked"))

        assert {} == ask(system, "/app.py", image=image)
        assert not (system / "asked").exists()


class TestBatches:
    """Many files of this machine, asked about at once."""

    @pytest.fixture
    def log(self, system: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        """The log of a tool that says in which package a file is.

        It says two lines of what is called `shared`, as RPM does of a file of two, and logs
        its command lines.
        """
        program = f"""
        while [ "$1" != -- ]; do shift; done; shift
        echo $# >> {system}/log
        for file; do
            case $file in
                *shared*) echo one; echo two;;
                *none*) echo "file $file is not owned by any package";;
                *) echo "of${{file##*/}}";;
            esac
        done
        """
        monkeypatch.setattr(rpm, "_RPM", tool(system, "rpm", program))
        return system / "log"

    def test_one_by_one_in_order(self, system: Path, log: Path) -> None:
        """RPM is asked in batches, and each answer is that of its file."""
        paths = [f"/usr/lib/{'none' if number % 7 == 0 else number}.py" for number in range(300)]
        paths = list(dict.fromkeys(paths))
        expected = {path: f"of{os.path.basename(path)}" for path in paths if "none" not in path}

        assert expected == ask(system, *paths)
        assert ["256", str(len(paths) - 256)] == log.read_text().split()

    def test_several(self, system: Path, log: Path) -> None:
        """Where a file has several owners, all are told, and the others get their own."""
        paths = ["/usr/a.py", "/usr/shared.py", "/usr/b.py", "/usr/none"]
        expected = {"/usr/a.py": "ofa.py", "/usr/shared.py": "one, two", "/usr/b.py": "ofb.py"}

        assert expected == ask(system, *paths)
        assert ["4", "1", "1", "1", "1"] == log.read_text().split()


class TestImage:
    """Files of an image."""

    @pytest.fixture(autouse=True)
    def _tool(self, system: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """A tool that lists what packages have, and spoils its database."""
        program = """
        printf 'one\\t/a.py\\ntwo\\t/a.py\\ntwo\\t/b\\tc.py\\n'
        echo spoilt > "$2/rpmdb.sqlite"; touch "$2/rpmdb.sqlite-shm"
        """
        monkeypatch.setattr(rpm, "_RPM", tool(system, "rpm", program))

    def test_packages(self, system: Path) -> None:
        """Each file has all packages that list it."""
        expected = {"/a.py": "one, two", "/b\tc.py": "two"}

        assert expected == ask(system, "/a.py", "/b\tc.py", "/c.py", image=True)

    def test_no_copy(self, system: Path) -> None:
        """Of what cannot be copied, or without a user who may read the copy, nothing is known."""
        with Files(enforced=False, root=str(system)) as files:
            assert {} == rpm.owners(["/a.py"], files, image=True, reader=None)
        (system / "var/lib/rpm/rpmdb.sqlite").unlink()
        (system / "var/lib/rpm/rpmdb.sqlite").mkdir()
        assert {} == ask(system, "/a.py", image=True)

    @pytest.mark.parametrize("more", ["rpmdb.sqlite-wal", "Index.db", "Packages.db"])
    def test_copy(self, system: Path, more: str) -> None:
        """The tool has a copy, with all that belongs to it, and nothing is written in the image."""
        place = system / "var/lib/rpm"
        (place / more).write_text("more")
        ask(system, "/a.py", image=True)

        assert {"rpmdb.sqlite", more} == set(os.listdir(place))
        assert "" == (place / "rpmdb.sqlite").read_text()
