"""What packages are told of a release: tools/release.py."""

from __future__ import annotations

import re
import runpy
import shutil
import subprocess
from pathlib import Path

import pytest

from conftest import missing

TREE = Path(__file__).resolve().parents[1]
TOOL = runpy.run_path(str(TREE / "tools" / "release.py"))
spell, main = TOOL["spell"], TOOL["main"]

# As PEP 440 sorts them.
IN_ORDER = ("1.0.0.dev1", "1.0.0a1", "1.0.0b2.dev1", "1.0.0b2", "1.0.0rc1", "1.0.0", "1.0.0.post1")
CHANGES = """# Changelog

## [Unreleased]

### Added

- Not yet.

## [1.0.0] - 2026-12-01

Words.

### Added

- One `thing`, which is long enough to need a second line in the place where it is going to stand,
  100%.
- Two.

### Fixed

- Three.

## [1.0.0rc1] - 2026-11-07

### Added

- Four.
"""


class TestSpell:
    """The version, as dpkg and RPM want it."""

    @pytest.mark.parametrize(
        ("version", "expected"),
        [
            ("1.0.0", "1.0.0"),
            ("1.0.0rc1", "1.0.0~rc1"),
            ("1.0.0.dev1", "1.0.0~~dev1"),
            ("1.0.0b2.dev1", "1.0.0~b2~~dev1"),
            ("1.0.0.post1", "1.0.0+post1"),
        ],
    )
    def test_spelling(self, version, expected):
        """What comes before the final version has a tilde in front."""
        assert expected == spell(version)

    def test_no_version(self):
        """Anything else is an error."""
        with pytest.raises(SystemExit, match=r"1\.0-rc1 is no version"):
            spell("1.0-rc1")

    @pytest.mark.processes
    def test_order_of_dpkg(self):
        """Dpkg sorts them as Python does."""
        if shutil.which("dpkg") is None:
            missing("dpkg")
        for earlier, later in zip(IN_ORDER, IN_ORDER[1:]):
            command = ["dpkg", "--compare-versions", spell(earlier), "lt", spell(later)]
            assert 0 == subprocess.run(command, check=False, timeout=60).returncode, later

    @pytest.mark.processes
    def test_order_of_rpm(self):
        """So does RPM."""
        if shutil.which("rpm") is None:
            missing("rpm")
        for earlier, later in zip(IN_ORDER, IN_ORDER[1:]):
            macro = f"%{{lua:print(rpm.vercmp('{spell(earlier)}', '{spell(later)}'))}}"
            command = ["rpm", "--eval", macro]
            done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=60)
            assert "-1" == done.stdout.strip(), later


class TestChangelogs:
    """What is made of CHANGELOG.md."""

    releases = TOOL["read_releases"](CHANGES)

    def test_debian(self):
        """Debian's has a signature, and what is not released is left out."""
        expected = """\
dropin-cache (1.0.0-1) unstable; urgency=medium

  * Added:
    - One thing, which is long enough to need a second line in the place where
      it is going to stand, 100%.
    - Two.
  * Fixed:
    - Three.

 -- Somebody <a@example.org>  Tue, 01 Dec 2026 12:00:00 +0000

dropin-cache (1.0.0~rc1-1) unstable; urgency=medium

  * Added:
    - Four.

 -- Somebody <a@example.org>  Sat, 07 Nov 2026 12:00:00 +0000
"""
        assert expected == TOOL["print_debian"](self.releases, "Somebody <a@example.org>")

    def test_rpm(self):
        """RPM's has no macros in it."""
        expected = """\
* Tue Dec 01 2026 Somebody <a@example.org> - 1.0.0-1
- Added:
  * One thing, which is long enough to need a second line in the place where
    it is going to stand, 100%%.
  * Two.
- Fixed:
  * Three.

* Sat Nov 07 2026 Somebody <a@example.org> - 1.0.0~rc1-1
- Added:
  * Four.
"""
        assert expected == TOOL["print_rpm"](self.releases, "Somebody <a@example.org>")

    def test_arch(self):
        """Arch's has the version as Python spells it."""
        printed = TOOL["print_arch"](self.releases)

        assert ["1.0.0-1, 2026-12-01", "1.0.0rc1-1, 2026-11-07"] == re.findall(
            r"^\d.*", printed, re.MULTILINE
        )


class TestFiles:
    """The files of this release."""

    @pytest.mark.parametrize("wanted", ["debian", "control", "spec", "recipe", "arch"])
    def test_filled(self, wanted):
        """Nothing is left to be filled in, but for what the build of the package does."""
        printed = main([wanted])

        assert set() == set(re.findall(r"@[A-Z_]+@", printed)) - {"@SITE@", "@TRIGGER@"}

    def test_version(self):
        """All have the version of pyproject.toml."""
        version = main(["version"]).rstrip()

        assert f"\n%global upstream_version {version}\n" in main(["spec"])
        assert f"\nVersion:        {spell(version)}\n" in main(["spec"])
        assert main(["debian"]).startswith(f"dropin-cache ({spell(version)}-1) ")
        assert f"\npkgver={version}\n" in main(["recipe"])

    def test_one_home_page(self):
        """The placeholder stands in one place."""
        page = TOOL["read_field"]((TREE / "pyproject.toml").read_text("utf-8"), "Homepage")
        parts = ("*", ".github/**/*", "debian/*", "docs/*.md", "hooks/**/*", "rpm/*", "src/**/*.py")
        files = [file for part in parts for file in TREE.glob(part) if file.is_file()]

        assert ["pyproject.toml"] == [
            file.name for file in files if page.encode() in file.read_bytes()
        ]

    def test_unknown(self):
        """A word that it does not know shows how it is used."""
        with pytest.raises(SystemExit, match="Prints what packages are told"):
            main(["nonsense"])
