"""Finding the environments that a command may change, by where they lie."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from dropin_cache.installers import candidates
from dropin_cache.installers.candidates import chosen, interpreter_in, kept


def make(path: Path) -> str:
    """Make what looks like an environment."""
    (path / "bin").mkdir(parents=True)
    (path / "bin" / "python").touch(mode=0o755)
    return str(path)


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home of its own, and no variable that says anything of environments."""
    names = {name for names, _, _ in candidates._KEPT for name in names}
    for name in (*names, *candidates._CHOSEN, "XDG_CACHE_HOME", "XDG_DATA_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    work = tmp_path / "project" / "src"
    work.mkdir(parents=True)
    monkeypatch.chdir(work)
    return tmp_path


class TestKept:
    """Environments that installers keep."""

    @pytest.mark.parametrize(
        "place",
        [
            ".cache/pypoetry/virtualenvs/app-x1-py3.11",
            ".local/share/virtualenvs/app-x1",
            ".virtualenvs/app",
            ".local/share/pipx/venvs/app",
            ".local/pipx/venvs/app",
            ".local/share/uv/tools/app",
            ".local/share/hatch/env/virtual/app/x1/app",
            ".local/share/pdm/venvs/app-x1-3.11",
        ],
    )
    def test_default(self, home: Path, place: str) -> None:
        """Each installer has a place, below the home where nothing else is said."""
        assert [make(home / place)] == kept()

    @pytest.mark.parametrize(
        ("variable", "inside"),
        [
            ("POETRY_CACHE_DIR", "virtualenvs/app"),
            ("POETRY_VIRTUALENVS_PATH", "app"),
            ("WORKON_HOME", "app"),
            ("PIPX_HOME", "venvs/app"),
            ("PIPX_GLOBAL_HOME", "venvs/app"),
            ("UV_TOOL_DIR", "app"),
            ("HATCH_DATA_DIR", "env/virtual/app/x1/app"),
            ("HATCH_ENV_TYPE_VIRTUAL_PATH", "app"),
            ("XDG_CACHE_HOME", "pypoetry/virtualenvs/app"),
            ("XDG_DATA_HOME", "uv/tools/app"),
        ],
    )
    def test_variable(
        self, home: Path, variable: str, inside: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Variables put the places elsewhere; what glob would take for patterns is a name."""
        monkeypatch.setenv(variable, str(home / "[else]where"))
        assert [make(home / "[else]where" / inside)] == kept()

    def test_conda(self, home: Path) -> None:
        """There is a list of conda's; what is gone does not count."""
        made = make(home / "miniconda" / "envs" / "app")
        (home / ".conda").mkdir()
        (home / ".conda" / "environments.txt").write_text(f"{made}\n{home}/gone\n")
        assert [made] == kept()

    @pytest.mark.skipif(os.geteuid() != 0, reason="only root can give directories away")
    @pytest.mark.parametrize(
        "place", [".local/share/pipx", ".virtualenvs", ".local/share/hatch", "", ".local/share"]
    )
    def test_of_another_user(self, home: Path, place: str) -> None:
        """Root looks into no store of another user's, who may have left any number in it."""
        for inside in ("pipx/venvs/app", "hatch/env/virtual/app/x1/app"):
            make(home / ".local/share" / inside)
        make(home / ".virtualenvs/app")
        before = set(kept())
        os.chown(home / place, 65534, 65534)
        mine = {each for each in before if not each.startswith(str(home / place))}
        assert (3, mine) == (len(before), set(kept()))

    @pytest.mark.skipif(os.geteuid() != 0, reason="only root can give directories away")
    def test_link_of_another_user(self, home: Path) -> None:
        """Nor does root follow the link that another user has left in the place of one."""
        make(home / "elsewhere" / "app")
        (home / ".virtualenvs").symlink_to(home / "elsewhere")
        assert [str(home / ".virtualenvs" / "app")] == kept()
        os.chown(home / ".virtualenvs", 65534, 65534, follow_symlinks=False)
        assert [] == kept()

    @pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
    def test_conda_of_another_user(self, home: Path) -> None:
        """Nor does root take another user's list of environments for its own."""
        self.test_conda(home)
        os.chown(home / ".conda" / "environments.txt", 65534, 65534)
        assert [] == kept()

    def test_conda_unreadable(self, home: Path) -> None:
        """A list that is no file counts as none."""
        (home / ".conda" / "environments.txt").mkdir(parents=True)
        assert [] == kept()

    def test_no_environment(self, home: Path) -> None:
        """What has no interpreter is none."""
        (home / ".virtualenvs" / "app").mkdir(parents=True)
        assert [] == kept()


class TestChosen:
    """Environments that a command is about."""

    @pytest.mark.parametrize("variable", candidates._CHOSEN)
    def test_variable(self, home: Path, variable: str, monkeypatch: pytest.MonkeyPatch) -> None:
        """Some are chosen by a variable."""
        monkeypatch.setenv(variable, make(home / "env"))
        assert [str(home / "env")] == chosen(["true"])

    @pytest.mark.parametrize(
        "command",
        [
            ["uv", "pip", "install", "--python", "{0}/env", "x"],
            ["uv", "pip", "install", "--python={0}/env/bin/python", "x"],
            ["{0}/env/bin/pip", "install", "x"],
            ["{0}/env/bin/python", "-m", "pip", "install", "x"],
            ["pip", "--python", "../../env", "install", "x"],
        ],
        ids=["directory", "interpreter", "program", "module", "relative"],
    )
    def test_named(self, home: Path, command: list[str]) -> None:
        """Others the command itself names."""
        made = make(home / "env")
        assert [made] == chosen([word.format(home) for word in command])

    @pytest.mark.parametrize(
        "command",
        [["uv", "--project", "{0}/other", "sync"], ["poetry", "--directory={0}/other", "install"]],
    )
    def test_project(self, home: Path, command: list[str]) -> None:
        """So is that of a project which the command names."""
        made = make(home / "other" / ".venv")
        assert [made] == chosen([word.format(home) for word in command])

    def test_here(self, home: Path) -> None:
        """That of the project in which the command runs comes from above."""
        made = make(home / "project" / ".venv")
        assert [made] == chosen(["uv", "sync"])

    def test_any_words(self) -> None:
        """Words may be anything."""
        words = ["-", "--", "=", "/", "a" * 5000 + "/", "--x=", "x=y", "for x in a/b; do :; done"]
        assert [] == [each for each in chosen(words) if each != "/"]

    def test_interpreter(self) -> None:
        """The interpreter of an environment has one place."""
        assert "/srv/env/bin/python" == interpreter_in("/srv/env")
