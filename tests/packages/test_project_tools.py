"""The real poetry, pdm, pipx and hatch behind `dropin-cache run`: environments in many places."""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Callable

import pytest
import zope.interface

import dropin_cache
from command_line import Outcome, run
from installs import APPLICATION, CACHE, ENTRY_POINTS, dropin, wheel
from roots import cache

TOOLS = ("hatch", "pdm", "hishel<2", "pipx", "poetry")  # pdm has no use for hishel 2

pytestmark = [pytest.mark.long, pytest.mark.xdist_group("project tools")]


@pytest.fixture(scope="session")
def tools() -> Path:
    """The programs of an environment with all of them, made once."""
    key = hashlib.sha256(repr((TOOLS, sys.version_info[:2])).encode()).hexdigest()[:12]
    directory = cache() / f"tools-{key}"
    with directory.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (directory / "whole").exists():
            shutil.rmtree(directory, ignore_errors=True)
            subprocess.run([sys.executable, "-m", "venv", directory], check=True)
            pip = [directory / "bin" / "python", "-m", "pip", "install", "-q"]
            subprocess.run([*pip, *TOOLS], check=True)
            (directory / "whole").touch()
    return directory / "bin"


@pytest.fixture
def wheels(tmp_path: Path) -> Path:
    """A directory with an application, a plugin for it, and what they need, for any Python."""
    directory = tmp_path / "wheels"
    for name, module, place in (
        ("dropin-cache", dropin_cache, "dropin_cache"),
        ("zope-interface", zope.interface, "zope/interface"),
    ):
        top = Path(module.__file__).parent
        files = {
            f"{place}/{path.relative_to(top)}": path.read_text(encoding="utf-8")
            for path in sorted(top.rglob("*.py"))
            if "tests" not in path.parts
        }
        wheel(directory, name, files)
    starting = f"{ENTRY_POINTS}[console_scripts]\napp = app:main\n"
    wheel(directory, "app", APPLICATION, entry_points=starting)
    wheel(directory, "hello", dropin("hello"))
    return directory


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """The directory of a project."""
    directory = tmp_path / "project"
    directory.mkdir()
    return directory


@pytest.fixture
def installing(tools: Path, tmp_path: Path, project: Path) -> Callable[..., Outcome]:
    """Run a tool by our command, in the project, with all its places below a directory."""
    home = tmp_path / "home"

    def installing(name: str, *arguments: str | Path) -> Outcome:
        env = {
            "HOME": str(home),
            **{f"XDG_{each}_HOME": str(home / each) for each in ("CACHE", "CONFIG", "DATA")},
            "PIP_NO_INDEX": "1",
            "PDM_CHECK_UPDATE": "0",
            "PIP_CONFIG_FILE": os.devnull,
            **dict.fromkeys(("VIRTUAL_ENV", "PIP_FIND_LINKS", "POETRY_CACHE_DIR"), ""),
        }
        env = {**os.environ, **env}
        for each in [each for each, value in env.items() if not value]:
            del env[each]
        return run("run", "--", tools / name, *arguments, cwd=project, env=env)

    return installing


def cached(directory: Path) -> list[str]:
    """Return the plugin modules in the one cache of the application below a directory."""
    (file,) = directory.rglob(f"app/plugins/{CACHE}")
    return sorted(
        {each.decode() for each in re.findall(rb"app\.plugins\.(\w+)", file.read_bytes())}
    )


def paths(wheels: Path) -> dict[str, Path]:
    """Return the wheels by the names of their distributions."""
    return {path.name.partition("-")[0].replace("_", "-"): path for path in wheels.glob("*.whl")}


class TestLife:
    """A plugin comes with its application, and another one later."""

    @pytest.mark.parametrize("inside", ["false", "true"])
    def test_poetry(
        self,
        installing: Callable[..., Outcome],
        wheels: Path,
        project: Path,
        tmp_path: Path,
        inside: str,
    ) -> None:
        """In the directory that poetry keeps for environments, or in the project's own."""
        place = project if inside == "true" else tmp_path / "home"
        lines = [f'{name} = {{path = "{path}"}}\n' for name, path in paths(wheels).items()]
        (project / "pyproject.toml").write_text(
            "[tool.poetry]\npackage-mode = false\n[tool.poetry.dependencies]\n"
            f'python = ">=3.9"\n{"".join(lines)}'
        )
        (project / "poetry.toml").write_text(f"[virtualenvs]\nin-project = {inside}\n")
        done = installing("poetry", "install", "-n")
        assert 0 == done.status, done
        assert ["hello"] == cached(place), done
        done = installing("poetry", "remove", "-n", "hello")
        assert (0, []) == (done.status, list(place.rglob(f"app/plugins/{CACHE}"))), done

    def test_pdm(
        self, installing: Callable[..., Outcome], wheels: Path, project: Path, tmp_path: Path
    ) -> None:
        """In the project."""
        lines = "".join(f'"{name} @ file://{path}",\n' for name, path in paths(wheels).items())
        (project / "pyproject.toml").write_text(
            '[project]\nname = "x"\nversion = "1"\nrequires-python = ">=3.9"\n'
            f"dependencies = [\n{lines}]\n[tool.pdm]\ndistribution = false\n"
        )
        done = installing("pdm", "install", "-q")
        assert 0 == done.status, done
        assert ["hello"] == cached(project)
        done = installing("pdm", "remove", "-q", "hello")
        assert (0, []) == (done.status, list(project.rglob(f"app/plugins/{CACHE}"))), done

    def test_pipx(self, installing: Callable[..., Outcome], wheels: Path, tmp_path: Path) -> None:
        """In the directory that pipx keeps for environments."""
        files = paths(wheels)
        application = str(files.pop("app"))
        done = installing("pipx", "install", "--python", sys.executable, application)
        assert 0 == done.status, done
        done = installing("pipx", "inject", "app", *files.values())
        assert 0 == done.status, done
        assert ["hello"] == cached(tmp_path / "home")
        done = installing("pipx", "uninject", "app", "hello")
        assert (0, []) == (done.status, list(tmp_path.rglob(f"app/plugins/{CACHE}"))), done

    def test_hatch(
        self, installing: Callable[..., Outcome], wheels: Path, project: Path, tmp_path: Path
    ) -> None:
        """In the directory that hatch keeps for environments."""
        lines = "".join(f'"{name} @ file://{path}",\n' for name, path in paths(wheels).items())
        (project / "pyproject.toml").write_text(
            '[project]\nname = "x"\nversion = "1"\n[tool.hatch.envs.default]\n'
            f"skip-install = true\ndependencies = [\n{lines}]\n"
        )
        done = installing("hatch", "env", "create")
        assert 0 == done.status, done
        assert ["hello"] == cached(tmp_path / "home")
