"""The packages in docs/examples, which docs/packaging.md shows: the distributions' checks pass."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

import rpm_support
from debian_support import BUILDER, Debian, built_packages

EXAMPLES = Path(__file__).resolve().parents[2] / "docs" / "examples"


@pytest.fixture(scope="module")
def builder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Debian]:
    """A system with the add-on, and the examples in /srv/examples."""
    debian = Debian(BUILDER)
    try:
        debian.add(built_packages(tmp_path_factory))
        files = map(debian.file, ("dh-dropin-cache", "python3-dropin-cache"))
        debian.root.run("dpkg", "-i", *map(str, files))
        debian.root.copy(EXAMPLES, "/srv/examples")
        yield debian
    finally:
        debian.close()


class TestDebian:
    """As Debian builds them."""

    @pytest.mark.parametrize("name", ["matsim", "matsim-steel"])
    def test_lintian(self, builder: Debian, name: str) -> None:
        """Lintian has nothing to say about source and package."""
        place = f"/srv/examples/{name}"
        builder.root.run("sh", "-c", f"cd {place} && dpkg-buildpackage -d -us -uc")
        command = f"cd /srv/examples && lintian --allow-root -EvIL +pedantic {name}_1.0_*.changes"
        done = builder.root.run("sh", "-c", command)
        assert [] == [
            line for line in done.out.splitlines() if line[:2] in {"E:", "W:", "I:", "P:"}
        ]


class TestRpm:
    """As RPM builds them."""

    def test_rpmlint(self, tmp_path_factory: pytest.TempPathFactory) -> None:
        """Rpmlint has nothing to say about the spec file."""
        with rpm_support.started() as root:
            for file in rpm_support.our_packages(tmp_path_factory).glob("*-macros-*"):
                root.copy(file, "/srv/macros.rpm")
            root.run(*rpm_support.RPM, "--nodeps", "--install", "/srv/macros.rpm")
            root.copy(EXAMPLES / "matsim", "/srv/matsim")
            command = "cd /srv/matsim && rpmlint --rpmlintrc matsim.rpmlintrc matsim.spec"
            done = root.run("sh", "-c", command, status=None)
        *remarks, summary = done.out.strip().splitlines()
        assert [] == [line for line in remarks if "matsim.spec:" in line]
        assert " 0 errors, 0 warnings" in summary
