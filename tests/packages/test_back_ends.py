"""What docs/plugins.md says of build back ends: plugin modules in wheels, and editable installs."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from installs import Place

GUIDE = Path(__file__).resolve().parents[2] / "docs" / "plugins.md"
BACK_ENDS = {
    "setuptools": ("setuptools>=61", "setuptools.build_meta"),
    "hatchling": ("hatchling", "hatchling.build"),
    "flit": ("flit_core>=3.8", "flit_core.buildapi"),
    "poetry-core": ("poetry-core>=2", "poetry.core.masonry.api"),
    "uv_build": ("uv_build>=0.8", "uv_build"),
    "pdm-backend": ("pdm-backend", "pdm.backend"),
}
PLUGIN = """
from zope.interface import implementer
from dropin_cache import IPlugin
@implementer(IPlugin)
class Plugin: pass
steelPlate = Plugin()
"""

pytestmark = [pytest.mark.long, pytest.mark.xdist_group("back ends")]


def documented() -> dict[str, str]:
    """Return the configuration that the guide has for each back end."""
    rows = re.findall(r"^\| ([\w-]+) \| (`\[tool.*) \|$", GUIDE.read_text("utf-8"), re.MULTILINE)
    return {name: "\n".join(re.findall(r"`([^`]+)`", cell)) for name, cell in rows}


def project(directory: Path, back_end: str, configuration: str, source: str = "src") -> Path:
    """Write the guide's project; flit's has nothing but the plugin module."""
    requirement, module = BACK_ENDS[back_end]
    files = {
        f"{source}/matsim/plugins/steelplate.py": PLUGIN,
        f"{source}/matsim/plugins/dropin.cache": "left behind",
        f"{source}/steelworks/__init__.py": "",
        "pyproject.toml": f'[build-system]\nrequires = ["{requirement}"]\n'
        f'build-backend = "{module}"\n[project]\nname = "steelworks"\nversion = "1.0"\n'
        f'description = "Plates."\n{configuration}\n',
    }
    for name, text in files.items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return directory


def pip(*arguments: object) -> None:
    """Run the pip of the tests, which fetches back ends from where it usually does."""
    command = [sys.executable, "-m", "pip", "-q", *map(str, arguments)]
    env = {**os.environ, "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    subprocess.run(command, check=True, env=env)


def found(place: Place) -> tuple[list[str], str]:
    """Return the plugin modules in caches after an update, and what an application finds."""
    done = place.command("update", "-q", "matsim.plugins")
    assert 0 == done.status, done
    code = "import matsim.plugins as p, dropin_cache as d; print(*d.getCache(p))"
    return sorted(place.run("-c", code).out.split()), done.err


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """An environment with the application."""
    place = Place(tmp_path / "place")
    plugins = place.site / "matsim/plugins"
    plugins.mkdir(parents=True)
    (plugins.parent / "__init__.py").touch()
    (plugins / "__init__.py").write_text(
        "from dropin_cache import pluginPackagePaths\n"
        "__path__.extend(pluginPackagePaths(__name__))\n"
    )
    return place


def test_documented() -> None:
    """The guide has them all."""
    assert set(BACK_ENDS) == set(documented())


@pytest.fixture(scope="module")
def build(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory from which `python -m build` can be imported."""
    directory = tmp_path_factory.mktemp("build")
    pip("install", "-t", directory, "build")
    return directory


@pytest.mark.parametrize("back_end", BACK_ENDS)
def test_wheel(tmp_path: Path, back_end: str) -> None:
    """A wheel of the tree has the plugin module, no package of the application's, and no cache."""
    source = project(tmp_path / "project", back_end, documented()[back_end])
    pip("wheel", "--no-deps", "-w", tmp_path / "dist", source)
    assert expected(back_end, "matsim") == content(tmp_path / "dist")


@pytest.mark.parametrize("back_end", BACK_ENDS)
def test_release(tmp_path: Path, build: Path, back_end: str) -> None:
    """So has one that is made of an sdist, for a plugin of Twisted's."""
    configuration = documented()[back_end].replace("matsim", "twisted")
    source = project(tmp_path / "project", back_end, configuration)
    (source / "src/matsim").rename(source / "src/twisted")
    command = [sys.executable, "-m", "build", "-o", str(tmp_path / "dist"), str(source)]
    subprocess.run(command, check=True, env={**os.environ, "PYTHONPATH": str(build)})
    assert expected(back_end, "twisted") == content(tmp_path / "dist")


def expected(back_end: str, application: str) -> set[str]:
    """Return what a wheel is to have: with flit, the code has one of its own."""
    code = set() if back_end == "flit" else {"steelworks/__init__.py"}
    return {f"{application}/plugins/steelplate.py", *code}


def content(directory: Path) -> set[str]:
    """Return the files of the wheel in a directory but for its metadata."""
    (file,) = directory.glob("*.whl")
    names = zipfile.ZipFile(file).namelist()
    return {name for name in names if ".dist-info/" not in name and not name.endswith("/")}


@pytest.mark.parametrize("back_end", BACK_ENDS)
def test_editable(tmp_path: Path, place: Place, back_end: str) -> None:
    """With a directory src, the plugin module of an editable install is found and cached."""
    source = project(tmp_path / "project", back_end, documented()[back_end])
    pip("install", "--no-deps", "--no-warn-script-location", "-t", place.site, "-e", source)
    assert (["steelplate"], "") == found(place)
    assert b"left behind" != (source / "src/matsim/plugins/dropin.cache").read_bytes()


@pytest.mark.parametrize("compatible", [False, True])
def test_flat(tmp_path: Path, place: Place, compatible: bool) -> None:
    """Without it, setuptools has a finder, by which no library finds it; there is a way out."""
    packages = '[tool.setuptools]\npackages = ["steelworks", "matsim.plugins"]\n'
    source = project(tmp_path / "project", "setuptools", packages, source=".")
    way_out = ["--config-settings", "editable_mode=compat"] if compatible else []
    pip("install", "--no-deps", "-t", place.site, *way_out, "-e", source)
    assert ((["steelplate"] if compatible else []), "") == found(place)
