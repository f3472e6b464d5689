"""Environments with a pip, and distributions to install in them without a network."""

from __future__ import annotations

import base64
import hashlib
import os
import re
import shutil
import subprocess
import sys
import textwrap
import zipfile
from importlib import metadata
from pathlib import Path
from typing import Any

from command_line import Outcome, bare_environment
from conftest import missing
from environments import Environment

CACHE = "dropin.cache"

APPLICATION = {
    "app/__init__.py": "",
    "app/interfaces.py": """
from zope.interface import Interface

class IGreeter(Interface):
    "Greets."
""",
    "app/plugins/__init__.py": """
from dropin_cache import pluginPackagePaths

__path__.extend(pluginPackagePaths(__name__))
""",
}
ENTRY_POINTS = "[dropin_cache.packages]\napp = app.plugins\n"


def dropin(name: str) -> dict[str, str]:
    """Return the file of a distribution that brings one drop-in with one plugin."""
    text = f"""
from zope.interface import implementer
from dropin_cache import IPlugin
from app.interfaces import IGreeter

@implementer(IPlugin, IGreeter)
class Plugin:
    "The plugin of {name}."

{name} = Plugin()
"""
    return {f"app/plugins/{name}.py": text}


def wheel(  # noqa: PLR0913, PLR0917 - all that a wheel has
    directory: Path,
    name: str,
    files: dict[str, str],
    version: str = "1",
    entry_points: str = "",
    requires: tuple[str, ...] = (),
) -> Path:
    """Write a wheel, as its specification has it.

    https://packaging.python.org/en/latest/specifications/binary-distribution-format/
    """
    stem = f"{name.replace('-', '_')}-{version}"
    info = f"{stem}.dist-info"
    required = "".join(f"Requires-Dist: {each}\n" for each in requires)
    contents = {
        **files,
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{required}",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: tests\n"
        "Root-Is-Purelib: true\nTag: py3-none-any\n",
    }
    if entry_points:
        contents[f"{info}/entry_points.txt"] = entry_points
    lines = []
    for path, text in contents.items():
        digest = hashlib.sha256(text.encode()).digest()
        encoded = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
        lines.append(f"{path},sha256={encoded},{len(text.encode())}\n")
    contents[f"{info}/RECORD"] = "".join([*lines, f"{info}/RECORD,,\n"])
    directory.mkdir(parents=True, exist_ok=True)
    file = directory / f"{stem}-py3-none-any.whl"
    with zipfile.ZipFile(file, "w") as archive:
        for path, text in contents.items():
            archive.writestr(path, text)
    return file


class Place:
    """An environment that has this project, an application with plugins, and this Python's pip.

    Attributes:
        environment: It.
        wheels: A directory with distributions.
        plugins: The directory of the application's plugins.
    """

    def __init__(self, path: Path) -> None:
        """Make it, below a directory."""
        self.environment: Environment = bare_environment(path / "env")
        self.site = self.environment.site
        self.wheels = path / "wheels"
        self.plugins = self.site / "app" / "plugins"
        self._add("filelock")
        information = Path(str(metadata.distribution("dropin-cache")._path))
        shutil.copytree(information, self.site / information.name)
        self._record(information.name)
        self._link("pip")
        self._measure()
        self.unpack(wheel(self.wheels, "app", APPLICATION, entry_points=ENTRY_POINTS))

    def unpack(self, file: Path) -> None:
        """Install a wheel without pip."""
        with zipfile.ZipFile(file) as archive:
            archive.extractall(self.site)

    def wheel(self, name: str, files: dict[str, str] | None = None, **options: Any) -> Path:
        """Write a wheel; it has a drop-in of its name if nothing else is said."""
        return wheel(self.wheels, name, dropin(name) if files is None else files, **options)

    def run(self, *command: str, **options: Any) -> Outcome:
        """Run a command with the environment's interpreter."""
        env = {"PIP_NO_INDEX": "1", "PIP_DISABLE_PIP_VERSION_CHECK": "1", "NO_COLOR": "1"}
        env.update(PIP_CONFIG_FILE=os.devnull, PIP_ROOT_USER_ACTION="ignore")
        options["env"] = {**os.environ, **env, **options.pop("env", {})}
        done = subprocess.run(
            [self.environment.python, *map(str, command)],
            check=False,
            capture_output=True,
            text=True,
            timeout=300,
            **options,
        )
        return Outcome(done.returncode, done.stdout, done.stderr)

    def pip(self, *arguments: Any, **options: Any) -> Outcome:
        """Run pip."""
        return self.run("-m", "pip", *arguments, **options)

    def script(self, name: str, code: str) -> str:
        """Write a program into the environment's directory of programs."""
        path = self.environment.path / "bin" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(code))
        return str(path)

    def like_pip(self, file: Path, name: str = "pip", **options: Any) -> Outcome:
        """Run what is called pip, and unpacks a wheel; that is quicker than the real one."""
        code = f"""
        import zipfile
        zipfile.ZipFile({str(file)!r}).extractall({str(self.site)!r})
        """
        return self.run(self.script(name, code), "install", **options)

    def command(self, *arguments: Any, **options: Any) -> Outcome:
        """Run the command of this project, with the working directory out of the way."""
        return self.run("-I", "-m", "dropin_cache", *arguments, **options)

    def cached(self) -> list[str]:
        """Return the drop-ins that the application's cache has."""
        try:
            data = (self.plugins / CACHE).read_bytes()
        except FileNotFoundError:
            return []
        return sorted(name.decode() for name in set(re.findall(rb"app\.plugins\.(\w+)", data)))

    def _add(self, name: str) -> None:
        (source,) = __import__(name).__path__
        shutil.copytree(source, self.site / name, ignore=shutil.ignore_patterns("__pycache__"))

    def _record(self, information: str) -> None:
        """List the files of this project, as pip does; there are fewer where it lies in place."""
        places = (self.site / "dropin_cache", self.site / information)
        files = [file for place in places for file in place.rglob("*") if file.is_file()]
        lines = [f"{file.relative_to(self.site)},,\n" for file in files]
        (self.site / information / "RECORD").write_text("".join(lines))

    def _link(self, name: str) -> None:
        try:
            (source,) = __import__(name).__path__
        except ImportError:
            missing(name)
        (self.site / name).symlink_to(source)

    def _measure(self) -> None:
        """Have its interpreters measured, where the tests are; those in a sandbox cannot be."""
        if "coverage" in sys.modules:
            self._link("coverage")
            program = (
                "try:\n import coverage\n coverage.process_startup()\nexcept Exception:\n pass"
            )
            (self.site / "a-coverage.pth").write_text(f"import sys; exec({program!r})\n")
