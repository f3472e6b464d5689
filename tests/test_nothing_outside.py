"""Images that lead out of themselves: with `--root`, nothing of this machine is looked at."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from command_line import bare_environment, mounted_image
from conftest import Tree, missing

pytestmark = [
    pytest.mark.processes,
    pytest.mark.skipif(os.geteuid() != 0, reason="only root is kept in an image"),
]

PLUGINS = "opt/site/app/plugins"


@pytest.fixture
def outside(public_path: Path) -> Path:
    """A directory outside of any image, with what somebody may want to have read."""
    outside = public_path / "outside"
    (outside / "app/plugins").mkdir(parents=True)
    (outside / "pack").mkdir()
    (outside / "info").mkdir()
    for name in ("notes", "extra.py", "pack/__init__.py", "app/plugins/evil.py", "info/a.list"):
        (outside / name).write_text("secret = 1\n")
    return outside


@pytest.fixture
def image(public_path: Path, outside: Path, tmp_path: Path) -> Iterator[Path]:
    """An image with an application whose files lead outside."""
    tree = Tree(tmp_path / "site")
    tree.application()
    tree.dropin("hello")
    found = bare_environment(tmp_path / "environment").site
    for name in ("zope", "dropin_cache"):
        shutil.copytree(found / name, tree.path / name)
    with mounted_image(public_path / "image") as place:
        shutil.copytree(tree.path, place / "opt/site")
        (place / "opt/site").chmod(0o755)
        yield place


def plant(image: Path, links: dict[str, Path]) -> None:
    """Make symbolic links in an image."""
    for name, target in links.items():
        (image / name).parent.mkdir(parents=True, exist_ok=True)
        (image / name).symlink_to(target)


def looked_at(tmp_path: Path, outside: Path, *arguments: object) -> list[str]:
    """Run a command; return its calls that have opened, or asked about, what is outside."""
    strace = shutil.which("strace") or missing("strace")
    trace = tmp_path / "trace"
    command = [strace, "-f", "-y", "-qq", "-e", "trace=%file", "-o", str(trace), sys.executable]
    command += ["-B", "-m", "dropin_cache", *map(str, arguments)]
    subprocess.run(command, check=False, capture_output=True, timeout=300)
    opened = re.compile(rf'(AT_FDCWD[^,]*, |\()"{re.escape(str(outside))}|= \d+<{outside}')
    lines = trace.read_text(errors="replace").splitlines()
    assert lines
    return [line for line in lines if opened.search(line)]


class TestLinks:
    """Symbolic links out of an image."""

    @pytest.mark.parametrize(
        "start",
        [
            "",
            pytest.param("/../../..", marks=pytest.mark.long),
            pytest.param("/proc/self/root", marks=pytest.mark.long),
        ],
    )
    def test_everywhere(self, image: Path, outside: Path, tmp_path: Path, start: str) -> None:
        """No command follows one, whatever has the link in its place."""
        away = Path(f"{start}{outside}")
        links = {
            f"{PLUGINS}/extra.py": away / "extra.py",
            f"{PLUGINS}/pack": away / "pack",
            f"{PLUGINS}/dropin.cache": away / "notes",
            "opt/site/a.dist-info": away,
            "opt/site/b.dist-info/RECORD": away / "notes",
            "opt/site/b.dist-info/METADATA": away / "notes",
            "opt/site/b.dist-info/entry_points.txt": away / "notes",
            "opt/site/b.dist-info/direct_url.json": away / "notes",
            "etc/dropin-cache": away,
            "etc/group": away / "notes",
            "var/lib/dpkg/info": away / "info",
            "var/lib/rpm": away,
        }
        plant(image, links)
        options = ("--root", image, "--path", "/opt/site", "--python", "/usr/bin/python3")
        for command in ("update", "list", "clean"):
            packages = () if command == "clean" else ("app.plugins",)
            assert [] == looked_at(tmp_path, outside, command, *options, *packages), command

    def test_directories(self, image: Path, outside: Path, tmp_path: Path) -> None:
        """Nor does one follow a directory on the way, or one that is to be updated."""
        shutil.rmtree(image / "opt/site/app")
        plant(image, {"opt/site/app": outside / "app", "opt/more": outside})
        for path in ("/opt/site", "/opt/more"):
            options = ("--root", image, "--path", path, "--python", "/usr/bin/python3")
            assert [] == looked_at(tmp_path, outside, "update", *options, "app.plugins")
        assert not (outside / "app/plugins/dropin.cache").exists()

    def test_tracing(self, outside: Path, tmp_path: Path) -> None:
        """What is looked at would be seen."""
        assert looked_at(tmp_path, outside, "list", "--path", outside)
