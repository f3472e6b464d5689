"""Notes what an import looks at. Runs in the child, on the standard library.

Python says so itself: audit events (PEP 578) tell which files are opened and which directories are
listed, and a finder at the front of `sys.meta_path`, which finds nothing, is asked for each module
before the others are. So modules, modules that are looked for in vain, `find_spec`,
`importlib.metadata`, data files and listings all count, and the import statement stays what it is.

Whatever the code that is observed does to these notes changes what is known of that code alone.
"""

from __future__ import annotations

import contextlib
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

# Where the import system lists directories for itself: the finder's notes say what for.
_IMPORT_SYSTEM = "<frozen importlib._bootstrap_external>"
_BYTECODE = "/__pycache__/"
_MAX_NOTES = 20_000  # of each kind; the update then takes it that anything may count


class Observation:
    """What has been looked at since `install`, and has not been reported yet."""

    def __init__(self) -> None:
        self._files: set[str] = set()
        self._listed: set[str] = set()
        self._names: set[tuple[str, int]] = set()
        self._paths: dict[tuple[str, ...], int] = {}
        self._news: dict[str, list[Any]] = _nothing()
        self._paused = False

    def install(self) -> None:
        """Begin to note."""
        sys.addaudithook(self._note_event)
        sys.meta_path.insert(0, self)

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """Note nothing meanwhile: what is looked at now, no import depends on."""
        self._paused = True
        try:
            yield
        finally:
            self._paused = False

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> None:  # noqa: ARG002
        """Note that a module is looked for, and leave finding it to others."""
        searched = tuple(each for each in (sys.path if path is None else path) if type(each) is str)
        if searched not in self._paths:
            self._paths[searched] = len(self._paths)
            self._news["paths"].append(searched)
        if type(name) is str:
            self._note("names", self._names, (name, self._paths[searched]))

    def report(self) -> dict[str, list[Any]]:
        """Return what is new since the last report.

        Returns:
            "files": paths that were opened. "listed": directories that were listed. "paths": search
            paths, numbered from 0 in the order in which they are reported. "names": pairs of a
            module's name and the number of the search path it was looked for on.
        """
        news, self._news = self._news, _nothing()
        return news

    def _note_event(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open":
            self._note_path("files", self._files, arguments[0])
        elif event == "import":
            # An extension module's file, else None.
            self._note_path("files", self._files, arguments[1])
        elif (
            event in {"os.listdir", "os.scandir"}
            # This frame's caller: what is written in C has no frame.
            and sys._getframe(1).f_code.co_filename != _IMPORT_SYSTEM  # noqa: SLF001
        ):
            path = "." if arguments[0] is None else arguments[0]
            self._note_path("listed", self._listed, path)

    def _note_path(self, kind: str, notes: set[str], path: Any) -> None:
        if type(path) is bytes:
            path = path.decode(sys.getfilesystemencoding(), "surrogateescape")
        elif type(path) is not str:
            # Path objects; not descriptors, which have been opened before.
            path = getattr(path, "__fspath__", str)() if not isinstance(path, int) else ""
        if type(path) is str and path:
            self._note(kind, notes, _source_of(path))

    def _note(self, kind: str, notes: set[Any], note: Any) -> None:
        if not self._paused and note not in notes and len(notes) < _MAX_NOTES:
            notes.add(note)
            self._news[kind].append(note)


def _nothing() -> dict[str, list[Any]]:
    return {"files": [], "listed": [], "paths": [], "names": []}


def _source_of(path: str) -> str:
    """Return the source file of a compiled one, which anybody may write who imports the source."""
    directory, found, name = path.rpartition(_BYTECODE)
    return f"{directory}/{name.partition('.')[0]}.py" if found and name.endswith(".pyc") else path
