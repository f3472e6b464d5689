"""Follows the links inside a site of HTML files: check_links.py DIRECTORY.

Every file that a page names has to be there, and every place in a page. Links to elsewhere are not
followed. Exits with 1 if anything is wrong.
"""

from __future__ import annotations

import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit


class Page(HTMLParser):
    """A page: what it links to, and the places in it.

    Attributes:
        links: The targets, as they are written.
        places: The names that stand behind a number sign.
    """

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.places: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note what a tag says."""
        for name, value in attrs:
            if value is None:
                continue
            if name == "id" or (tag == "a" and name == "name"):
                self.places.add(value)
            elif name in {"href", "src"}:
                self.links.append(value)


def problems(directory: Path) -> list[str]:
    """Return a line for each link of a site that leads nowhere."""
    pages = {
        file: Page(file.read_text(encoding="utf-8")) for file in sorted(directory.rglob("*.html"))
    }
    found = []
    for file, page in pages.items():
        for link in sorted(set(page.links)):
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            path = unquote(parts.path)
            target = (file.parent / path).resolve() if path else file
            target = target / "index.html" if target.is_dir() else target
            name = file.relative_to(directory)
            if not target.is_file():
                found.append(f"{name}: no such file: {link}")
            elif target in pages and unquote(parts.fragment) not in pages[target].places | {""}:
                found.append(f"{name}: no such place: {link}")
    return found


def main() -> int:
    """Print what is wrong, a line each, and return the exit status."""
    found = problems(Path(sys.argv[1]).resolve())
    print("\n".join([*found, f"Links of the site: {len(found)} problems."]))
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
