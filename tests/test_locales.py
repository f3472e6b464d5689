"""The locale decides nothing: the same files make the same caches, and the same words."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import command_line
from conftest import Tree, missing
from dropin_cache import cli
from updates import own

pytestmark = pytest.mark.processes

_ASCII = {"LC_ALL": "POSIX", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
_UTF8 = {"LC_ALL": "C.UTF-8"}


@pytest.fixture(scope="module")
def latin(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The environment of a locale with another encoding."""
    localedef = shutil.which("localedef")
    if localedef is None:
        missing("localedef")
    place = tmp_path_factory.mktemp("locales")
    command = [localedef, "-c", "-i", "POSIX", "-f", "ISO-8859-1", place / "xx.ISO-8859-1"]
    if subprocess.run(command, check=False, capture_output=True).returncode > 1:
        pytest.skip("this machine has no definitions of locales")
    return {"LC_ALL": "xx.ISO-8859-1", "LOCPATH": str(place)}


@pytest.fixture
def site(tree: Tree) -> Tree:
    """An application with names and texts in several scripts."""
    tree.application()
    for name in ("été", "пример", "例"):
        tree.dropin(name)
        with (tree.path / f"app/plugins/{name}.py").open("a", encoding="utf-8") as file:
            file.write(f'"""Ünïcode: {name}"""\nimport daten_ä\nopen(daten_ä.DATEN).close()\n')
    tree.write(
        "daten_ä.py", "import os\nDATEN = os.path.join(os.path.dirname(__file__), 'ß.txt')\n"
    )
    tree.write("ß.txt", "")
    own(tree, "été")
    return tree


def outcome(site: Tree, env: dict[str, str], *arguments: str) -> tuple[int, str, str, bytes]:
    """Update from nothing in an environment; return what came of it, and the cache."""
    cache = site.path / "app/plugins/dropin.cache"
    cache.unlink(missing_ok=True)
    command = [sys.executable, "-B", "-m", "dropin_cache", "update", "--force", "-v"]
    done = subprocess.run(
        [*command, "app.plugins", "--path", str(site.path), *arguments],
        env={**os.environ, **env},
        capture_output=True,
        check=False,
    )
    data = cache.read_bytes() if cache.exists() else b""
    return done.returncode, done.stdout.decode(), done.stderr.decode(), data


needs_start = pytest.mark.skipif(
    sys.version_info < (3, 10), reason="Python 3.9 does not tell how it was started"
)


@needs_start
class TestUpdate:
    """Updates in several locales."""

    def test_ascii(self, site: Tree) -> None:
        """Where the locale knows no letters but those of English."""
        expected = outcome(site, _UTF8)
        assert (0, True) == (expected[0], b"3 modules" in expected[1].encode())
        assert expected == outcome(site, _ASCII)

    def test_latin(self, site: Tree, latin: dict[str, str]) -> None:
        """Where each byte is a letter."""
        assert outcome(site, _UTF8) == outcome(site, latin)

    def test_errors(self, site: Tree) -> None:
        """What is told of a broken module is the same."""
        site.write("app/plugins/kaputt_ö.py", "raise ValueError('größer')\n")
        expected = outcome(site, _UTF8, "--strict")
        assert (3, True) == (expected[0], "größer" in expected[2])
        assert expected == outcome(site, _ASCII, "--strict")

    def test_path(self, site: Tree) -> None:
        """So is that of a directory whose name is no text."""
        other = Tree(Path(os.fsdecode(os.fsencode(site.path) + b"-\xe9")))
        shutil.copytree(site.path, other.path)
        found = [outcome(other, env, "-q")[0] for env in (_UTF8, _ASCII)]
        assert [2, 2] == found  # -q and -v are not for one command
        found = [outcome(other, env)[3] for env in (_UTF8, _ASCII)]
        assert found[0] == found[1] != b""

    def test_asked_for(self, site: Tree) -> None:
        """Who tells Python not to use UTF-8 gets that, and an end."""
        command = [sys.executable, "-X", "utf8=0", "-m", "dropin_cache", "--version"]
        env = {**os.environ, "LC_ALL": "POSIX", "PYTHONCOERCECLOCALE": "0"}
        done = subprocess.run(command, env=env, check=False, capture_output=True, timeout=60)
        assert 0 == done.returncode


class TestHere:
    """How the program is started again."""

    @pytest.mark.parametrize(
        ("encoding", "options", "started", "again"),
        [
            ("utf-8", {}, ["python", "-m", "x"], False),
            ("latin-1", {}, ["python", "-m", "x"], True),
            ("latin-1", {"utf8": "0"}, ["python", "-m", "x"], False),
            ("latin-1", {}, [], False),
        ],
    )
    def test_again(
        self,
        monkeypatch: pytest.MonkeyPatch,
        encoding: str,
        options: dict[str, str],
        started: list[str],
        again: bool,
    ) -> None:
        """That happens once, and only where it is needed and possible."""
        calls: list[list[str]] = []
        monkeypatch.setattr(os, "execv", lambda _program, command: calls.append(command))
        monkeypatch.setattr(sys, "getfilesystemencoding", lambda: encoding)
        monkeypatch.setattr(sys, "_xoptions", options)
        monkeypatch.setattr(sys, "orig_argv", started, raising=False)
        cli._require_utf8()
        expected = [[sys.executable, "-X", "utf8", "-m", "x"]] if again else []
        assert expected == calls


@pytest.mark.skipif(os.geteuid() != 0, reason="the other test is for who runs this")
@needs_start
def test_ordinary_user(public_path: Path) -> None:
    """For ordinary users, who have no sandbox, it is the same."""
    user = command_line.account(public_path)
    tree = Tree(command_line.give_away(public_path / "home" / "tree"))
    tree.application()
    tree.dropin("été")
    for path in tree.path.rglob("*"):
        os.chown(path, *[os.stat(tree.path).st_uid] * 2)
    caches = []
    for env in (_UTF8, _ASCII):
        assert (
            0 == user.run("update", "app.plugins", "--force", "--path", tree.path, env=env).status
        )
        caches.append((tree.path / "app/plugins/dropin.cache").read_bytes())
    assert caches[0] == caches[1]
    assert "été".encode() in caches[0]
