"""The sdist and the wheel as `make dist` builds them."""

from __future__ import annotations

import os
import subprocess
import tarfile
import zipfile
from pathlib import Path

import pytest

from release_support import UPSTREAM_VERSION

TREE = Path(__file__).resolve().parents[2]
NAME = f"dropin_cache-{UPSTREAM_VERSION}"

pytestmark = [pytest.mark.long, pytest.mark.xdist_group("dist")]


def git(*arguments: str) -> None:
    """Run git as somebody, without anybody's configuration."""
    somebody = ("-c", "user.name=Somebody", "-c", "user.email=somebody@example.org")
    environment = {"PATH": os.environ["PATH"], "GIT_CONFIG_GLOBAL": "/dev/null"}
    command = ["git", "-c", "safe.directory=*", *somebody, *arguments]
    subprocess.run(command, check=True, env=environment)


def run(tree: Path) -> subprocess.CompletedProcess[str]:
    """Do what `make dist` does."""
    command = ["sh", "tools/work-dir", "dist", "sh", "tools/dist"]
    env = {**os.environ, "DROPIN_CACHE_WORK": f"{tree}.work"}
    return subprocess.run(command, cwd=tree, env=env, check=False, capture_output=True, text=True)


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of this tree, as it is, in a repository."""
    copy = tmp_path_factory.mktemp("release") / "tree"
    git("init", "-q", str(copy))
    git(f"--git-dir={copy}/.git", f"--work-tree={TREE}", "add", "--all")
    git(f"--git-dir={copy}/.git", f"--work-tree={TREE}", "commit", "-q", "-m", "A test")
    git("-C", str(copy), "reset", "-q", "--hard")
    return copy


@pytest.fixture(scope="module")
def built(tree: Path) -> Path:
    """The directory with what was built."""
    done = run(tree)
    assert 0 == done.returncode, done.stdout + done.stderr
    return tree / "dist"


def test_names(built: Path) -> None:
    """There are two files."""
    assert {f"{NAME}.tar.gz", f"{NAME}-py3-none-any.whl"} == {each.name for each in built.iterdir()}


def test_wheel(built: Path) -> None:
    """The wheel has the package and nothing else, with what is no module."""
    names = zipfile.ZipFile(built / f"{NAME}-py3-none-any.whl").namelist()
    assert {"dropin_cache", f"{NAME}.dist-info"} == {name.partition("/")[0] for name in names}
    assert {"dropin_cache/py.typed", "dropin_cache/schema.json"} <= set(names)


def test_sdist(built: Path) -> None:
    """The sdist has what packagers and contributors need."""
    with tarfile.open(built / f"{NAME}.tar.gz") as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {
        "CHANGELOG.md",
        "Makefile",
        "debian/control",
        "docs/administration.md",
        "hooks/man/dropin-cache.7",
        "rpm/dropin-cache.spec",
        "tests/conftest.py",
        "tools/release.py",
    } <= names
    assert not [name for name in names if "__pycache__" in name or name.startswith(".")]


def test_not_reproducible(tree: Path, built: Path) -> None:
    """Where the second build comes out otherwise, nothing is released."""
    before = {each.name: each.stat().st_mtime_ns for each in built.iterdir()}
    tool = tree / "tools" / "dist"
    again = '    build "$place/again"'
    changed = f'    echo "# x" >>"$place/again/src/dropin_cache/errors.py"\n{again}'
    tool.write_text(tool.read_text().replace(again, changed))
    done = run(tree)
    assert 1 == done.returncode
    assert done.stderr.endswith("is not reproducible\n")
    assert before == {each.name: each.stat().st_mtime_ns for each in built.iterdir()}
