"""What an interpreter is, and what had a say in how it started. Runs in the child."""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

_MAX_TEXT = 1 << 20  # characters of a .pth file
_MAX_MISSING = 50_000  # characters of paths; one can take twelve bytes in an answer


def about_the_interpreter() -> dict[str, Any]:
    """Return what the answer to "start" has of the interpreter; see `program`."""
    files = _files_of_loaded_modules()
    try:
        import zope.interface  # noqa: PLC0415 - whether it is there is the answer
    except ImportError:
        zope = False
    else:
        zope = True
    path = [entry for entry in sys.path if isinstance(entry, str)]
    return {
        "version": list(sys.version_info[:2]),
        "zope": zope,
        "path": path,
        "files": [*files, *_not_there(path)],
    }


def _files_of_loaded_modules() -> list[str]:
    """List the files that everything in this process has been loaded from."""
    files = (getattr(module, "__file__", None) for module in list(sys.modules.values()))
    return sorted({file for file in files if type(file) is str and file.startswith("/")})


def _not_there(path: list[str]) -> list[str]:
    """List what would have a say in how this interpreter starts, and is not there."""
    missing: dict[str, None] = {}
    room = _MAX_MISSING
    for each in map(os.path.abspath, _looked_for(path)):
        if each not in missing and not os.path.exists(each):
            room -= len(each)
            if room < 0:
                break
            missing[each] = None
    return list(missing)


def _looked_for(path: list[str]) -> Iterator[str]:
    """List what the module site looks for: its directories, and what .pth files name."""
    import site  # noqa: PLC0415 - it has run by now

    own = [site.getusersitepackages()] if site.ENABLE_USER_SITE else []
    own += site.getsitepackages()
    yield from own
    for place in dict.fromkeys([*own, *path]):
        for name in _names_in(place):
            if name.endswith(".pth"):
                for line in _text_of(os.path.join(place, name)).lstrip("\ufeff").splitlines():
                    yield from _named_by(line, place, path)


def _named_by(line: str, place: str, path: list[str]) -> list[str]:
    """List the paths that a line of a .pth file is about."""
    if not line.strip() or line.startswith("#"):
        return []
    if not line.startswith(("import ", "import\t")):
        return [os.path.join(place, line.rstrip())]
    words = line[7:].replace(",", " ").replace(";", " ").replace(".", " ").split()
    if not words or words[0] in sys.modules:
        return []
    return [os.path.join(root, name) for root in path for name in (words[0], f"{words[0]}.py")]


def _names_in(directory: str) -> list[str]:
    try:
        return os.listdir(directory)
    except OSError:  # an archive, or not there
        return []


def _text_of(file: str) -> str:
    try:
        # A FIFO in its place would have no text either, and without that flag no end.
        descriptor = os.open(file, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with open(descriptor, encoding="utf-8", errors="replace") as text:
            content = text.read(_MAX_TEXT + 1)
    except OSError:
        return ""
    return content if len(content) <= _MAX_TEXT else ""
