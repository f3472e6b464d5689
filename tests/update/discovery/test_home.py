"""Which directories are a plugin package's own."""

from __future__ import annotations

from pathlib import Path

import pytest

from dropin_cache.update.discovery.home import Home
from dropin_cache.update.files.trusted import Files


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """An import root with the package, which has a directory and two links in it."""
    plugins = tmp_path / "site" / "app" / "plugins"
    (plugins / "flat" / "deep").mkdir(parents=True)
    (tmp_path / "elsewhere" / "inner").mkdir(parents=True)
    (plugins / "out").symlink_to(tmp_path / "elsewhere")
    (plugins / "within").symlink_to("flat")
    (tmp_path / "other").symlink_to("site")
    return tmp_path / "site"


def root_of(site: Path, directory: str, *allowed: str, links: bool = False) -> str | None:
    """Return the import root of a directory, both relative to what is above the site."""
    top = site.parent
    with Files(enforced=False) as files:
        home = Home(files, [str(top / path) for path in allowed])
        roots = [str(top / "missing"), str(site)]
        found = home.import_root("app.plugins", roots, f"{top}/{directory}", links=links)
    return found and found[len(str(top)) + 1 :]


class TestImportRoot:
    """The import root of a directory."""

    @pytest.mark.parametrize(
        "directory",
        [
            "site/app/plugins",
            "site/app/plugins/flat",
            "site/app/plugins/flat/deep",
            "site/app/plugins/within/deep",
            "site/app/plugins/flat/../flat",
            "other/app/plugins/flat",  # the same by another path, as realpath() tells it
        ],
    )
    def test_own(self, site: Path, directory: str) -> None:
        """What is at or below the package's directory is its own."""
        assert "site" == root_of(site, directory)

    @pytest.mark.parametrize(
        "directory",
        [
            "site",
            "site/app",
            "site/app/plugins2",
            "site/app/plugins/../../..",
            "site/app/plugins/out",
            "site/app/plugins/out/inner",
            "site/app/plugins/missing",
            "elsewhere",
            "missing",
            "",
        ],
    )
    def test_foreign(self, site: Path, directory: str) -> None:
        """What is not, is not; nor what a link in there leads to."""
        assert None is root_of(site, directory)

    def test_links(self, site: Path) -> None:
        """For who follows links anyway, they do no harm."""
        assert "site" == root_of(site, "site/app/plugins/out/inner", links=True)
        assert None is root_of(site, "elsewhere", links=True)

    def test_missing_root(self, site: Path) -> None:
        """A directory that is not there yet is the package's by its path."""
        assert "missing" == root_of(site, "missing/app/plugins")

    @pytest.mark.parametrize("directory", ["elsewhere", "elsewhere/inner", "site/app/plugins/out"])
    def test_allowed(self, site: Path, directory: str) -> None:
        """What is allowed counts as the first root's that has the package."""
        assert "site" == root_of(site, directory, "nowhere", "elsewhere")
        assert None is root_of(site, directory, "nowhere", "elsewhere/inner/more")

    def test_allowed_without_package(self, site: Path) -> None:
        """Where no root has the package, nothing is anybody's."""
        for path in (site / "app").rglob("*"):
            path.unlink() if path.is_symlink() else None
        (site / "app").rename(site / "gone")
        assert None is root_of(site, "elsewhere", "elsewhere")
