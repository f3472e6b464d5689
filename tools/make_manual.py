"""Makes the manual page dropin-cache(7) from docs/administration.md.

    make_manual.py [FILE]

Prints it, or writes it to FILE. Understands as much of Markdown as that document uses: headings,
paragraphs, lists, tables of two columns, code, links and comments, which are left out. The tests
compare the page that is checked in with what this makes.
"""

from __future__ import annotations

import re
import sys
import textwrap
from pathlib import Path

TREE = Path(__file__).resolve().parent.parent
SOURCE = TREE / "docs" / "administration.md"
DATED_AS = TREE / "hooks" / "man" / "dropin-cache.1"

HEAD = """\
.\\" Made from docs/administration.md by tools/make_manual.py.
{date}
.Dt DROPIN-CACHE 7
.Os
.Sh NAME
.Nm dropin-cache
.Nd keeping the plugin caches of Python packages fresh
.Sh DESCRIPTION
"""
TAIL = """\
.Sh SEE ALSO
.Xr dropin-cache 1 ,
.Xr dropin-cache.conf 5 ,
.Xr update-dropin-cache 8
"""


def convert(text: str, date: str) -> str:
    """Return the page.

    Args:
        text: The document, which begins with its title.
        date: A line of mdoc that says when it was changed last.
    """
    lines = [line for part in _split(text)[1:] for line in _convert_part(part)]
    kept = [
        line
        for before, line in zip([".Sh", *lines], lines)
        # A section begins with a paragraph as it is.
        if line != ".Pp" or not before.startswith((".Sh", ".Ss"))
    ]
    return HEAD.format(date=date) + "\n".join(kept) + "\n" + TAIL


def _split(text: str) -> list[str]:
    """Return the parts of a document: what stands between empty lines, and code as a whole."""
    parts = [""]
    is_code = False
    for line in text.splitlines():
        if line.startswith("<!--"):
            continue
        is_code ^= line.startswith("```")
        if line or is_code:
            parts[-1] += f"{line}\n"
        elif parts[-1]:
            parts.append("")
    return [part.rstrip("\n") for part in parts if part]


def _convert_part(part: str) -> list[str]:
    if part.startswith("```"):
        code = [_guard(_escape(line)) for line in part.splitlines()[1:-1]]
        return [".Bd -literal -offset indent", *code, ".Ed"]
    if part.startswith("#"):
        level, _, title = part.partition(" ")
        return [f".Sh {title.upper()}" if level == "##" else f".Ss {title}"]
    if part.startswith("| "):
        rows = [row.strip("|").split("|") for row in part.splitlines()[2:]]
        items = [[f".It {_inline(head)}", *_wrap(text)] for head, text in rows]
        return [".Bl -tag -width Ds", *(line for item in items for line in item), ".El"]
    if part.startswith("- "):
        items = [[".It", *_wrap(item)] for item in re.split(r"^- ", part, flags=re.MULTILINE)[1:]]
        return [".Bl -bullet", *(line for item in items for line in item), ".El"]
    return [".Pp", *_wrap(part)]


def _wrap(text: str) -> list[str]:
    """Begin each sentence on a line of its own, as is usual in manual pages."""
    sentences = re.split(r"(?<=[.!?]) (?=[A-Z`[])", " ".join(text.split()))
    lines = [line for sentence in sentences for line in textwrap.wrap(_inline(sentence), 78)]
    return [_guard(line) for line in lines]


def _inline(text: str) -> str:
    """Return a text with code in bold, and the names of files behind links."""
    text = re.sub(r"\[([^\]]+)\]\(([^)]+)\)", r"\1 (\2)", text.strip())
    return re.sub(r"`([^`]+)`", r"\\fB\1\\fR", _escape(text))


def _escape(line: str) -> str:
    return line.replace("\\", "\\e").replace("-", "\\-")


def _guard(line: str) -> str:
    """Return a line that is no request: one may begin with a full stop."""
    return f"\\&{line}" if line.startswith((".", "'")) else line


def main() -> None:
    """Print the page, or write it."""
    date = DATED_AS.read_text(encoding="ascii").partition("\n")[0]
    page = convert(SOURCE.read_text(encoding="utf-8"), date)
    if len(sys.argv) > 1:
        Path(sys.argv[1]).write_text(page, encoding="ascii")
    else:
        sys.stdout.write(page)


if __name__ == "__main__":
    main()
