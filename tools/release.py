"""Prints what packages are told of a release: its version, its home page, its changelog.

    release.py version [python|debian|rpm]     the version, in the spelling of whoever asks
    release.py debian                          debian/changelog
    release.py control                         debian/control, with the home page
    release.py spec                            the spec file, with version, home page and %changelog
    release.py recipe                          Arch's PKGBUILD, with version and home page
    release.py arch                            Arch's changelog

The version and the home page are in pyproject.toml and nowhere else, the changes in CHANGELOG.md.
tools/deb, tools/rpm and the recipe's users run this when they build packages. Runs on every Python
that this project supports, on its standard library alone.
"""

from __future__ import annotations

import datetime as dt
import re
import sys
import textwrap
from email.utils import format_datetime
from pathlib import Path
from typing import NamedTuple

TREE = Path(__file__).resolve().parent.parent

_HEADING = re.compile(r"## \[(?P<version>[^\]]+)\] - (?P<date>\d{4}-\d\d-\d\d)")
_VERSION = re.compile(r"\d+(\.\d+)*((a|b|rc)\d+)?(\.post\d+)?(\.dev\d+)?")


class Release(NamedTuple):
    """A section of CHANGELOG.md.

    Attributes:
        version: As Python spells it.
        date: At noon, for those that want a time.
        changes: The items below each heading, such as Added or Fixed.
    """

    version: str
    date: dt.datetime
    changes: dict[str, list[str]]


def read_field(text: str, name: str) -> str:
    """Return a field of pyproject.toml. Python 3.9 and 3.10 have no parser for such files."""
    found = re.findall(rf'^{name} = "([^"]*)"', text, re.MULTILINE)
    if len(found) != 1:
        raise SystemExit(f"tools/release.py: error: pyproject.toml has no field {name}, or several")
    return str(found[0])


def spell(version: str) -> str:
    """Spell a version so that dpkg and RPM sort it as Python does: 1.0rc1 comes before 1.0."""
    if not _VERSION.fullmatch(version):
        raise SystemExit(f"tools/release.py: error: {version} is no version as PEP 440 spells them")
    spelt = re.sub(r"(?<=\d)(a|b|rc)", r"~\1", version)
    return spelt.replace(".dev", "~~dev").replace(".post", "+post")


def read_releases(text: str) -> list[Release]:
    """Return what is in CHANGELOG.md, the newest first. What is not yet released is left out."""
    releases = []
    for section in re.split(r"^(?=## )", text, flags=re.MULTILINE)[1:]:
        heading = _HEADING.match(section)
        if heading is not None:
            date = dt.datetime.fromisoformat(f"{heading['date']}T12:00:00+00:00")
            releases.append(Release(heading["version"], date, _read_changes(section)))
    return releases


def _read_changes(section: str) -> dict[str, list[str]]:
    changes = {}
    for part in re.split(r"^### ", section, flags=re.MULTILINE)[1:]:
        kind, _, text = part.partition("\n")
        items = re.findall(r"^- (.*(?:\n  .*)*)", text, re.MULTILINE)
        changes[kind] = [" ".join(item.split()).replace("`", "") for item in items]
    return changes


def _list(changes: dict[str, list[str]], outer: str, inner: str) -> str:
    """Lay the changes out as a list of lists.

    Args:
        changes: As in a release.
        outer: What stands in front of a heading.
        inner: What stands in front of an item.
    """
    lines = []
    for kind, items in changes.items():
        lines.append(f"{outer}{kind}:")
        for item in items:
            wrapper = textwrap.TextWrapper(
                width=78,
                initial_indent=inner,
                subsequent_indent=" " * len(inner),
                break_long_words=False,
                break_on_hyphens=False,
            )
            lines += wrapper.wrap(item)
    return "\n".join(lines)


def print_debian(releases: list[Release], maintainer: str) -> str:
    """Return debian/changelog."""
    return "\n".join(
        f"dropin-cache ({spell(each.version)}-1) unstable; urgency=medium\n\n"
        f"{_list(each.changes, '  * ', '    - ')}\n\n"
        f" -- {maintainer}  {format_datetime(each.date)}\n"
        for each in releases
    )


def print_rpm(releases: list[Release], maintainer: str) -> str:
    """Return what stands below %changelog."""
    texts = []
    for each in releases:
        day, number, month, year, *_ = format_datetime(each.date).replace(",", "").split()
        heading = f"* {day} {month} {number} {year} {maintainer} - {spell(each.version)}-1"
        texts.append(f"{heading}\n{_list(each.changes, '- ', '  * ')}\n".replace("%", "%%"))
    return "\n".join(texts)


def print_arch(releases: list[Release]) -> str:
    """Return the changelog that pacman shows."""
    return "\n".join(
        f"{each.version}-1, {each.date:%Y-%m-%d}\n\n{_list(each.changes, '  * ', '    - ')}\n"
        for each in releases
    )


def fill(text: str, values: dict[str, str]) -> str:
    """Replace the placeholders in a file: @NAME@, as in hooks/bin."""
    for name, value in values.items():
        text = text.replace(f"@{name}@", value)
    return text


def main(arguments: list[str]) -> str:
    """Return what is to be printed."""
    project, control, changes = (
        (TREE / name).read_text(encoding="utf-8")
        for name in ("pyproject.toml", "debian/control", "CHANGELOG.md")
    )
    version = read_field(project, "version")
    releases = read_releases(changes)
    if not releases or releases[0].version != version:
        raise SystemExit(f"tools/release.py: error: CHANGELOG.md does not begin with {version}")
    maintainer = control.partition("\nMaintainer: ")[2].partition("\n")[0]
    values = {
        "UPSTREAM_VERSION": version,
        "VERSION": spell(version),
        "HOMEPAGE": read_field(project, "Homepage"),
        "CHANGELOG": print_rpm(releases, maintainer).rstrip("\n"),
    }
    wanted = " ".join(arguments)
    if wanted in {"version", "version python"}:
        return f"{version}\n"
    if wanted in {"version debian", "version rpm"}:
        return f"{spell(version)}\n"
    if wanted == "debian":
        return print_debian(releases, maintainer)
    if wanted == "arch":
        return print_arch(releases)
    templates = {
        "control": "debian/control",
        "spec": "rpm/dropin-cache.spec",
        "recipe": "hooks/alpm/PKGBUILD",
    }
    if wanted not in templates:
        raise SystemExit(__doc__)
    return fill((TREE / templates[wanted]).read_text(encoding="utf-8"), values)


if __name__ == "__main__":
    sys.stdout.write(main(sys.argv[1:]))
