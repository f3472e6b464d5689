"""Find out which modules a drop-in depends on. Runs in the child, on the standard library.

A module that is loaded once serves all who import it, so what is new in `sys.modules` after an
import tells half the story. This records every import statement that is executed: who imports what,
also where the module has been there before, and also in vain.
"""

from __future__ import annotations

import builtins
import functools
import importlib
import itertools
import operator
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

MISSING = False
"""In a report, stands in the place of the file of a module that was looked for in vain."""


class ImportGraph:
    """Who imports whom, since `install`."""

    def __init__(self) -> None:
        self._imports: dict[str, set[str]] = {}
        self._reported: dict[str, tuple[Any, int]] = {}
        self._unreported: set[str] = set()
        self._imported: set[str] = set()
        self._failed: dict[str, Any] = {}

    def install(self) -> None:
        """Begin to record."""
        import_statement, import_module = builtins.__import__, importlib.import_module

        def recording_import(
            name: str,
            globals: Any = None,  # noqa: A002 - the names are those of __import__
            locals: Any = None,  # noqa: A002
            fromlist: Any = (),
            level: int = 0,
        ) -> Any:
            # Who calls __import__() as a function need not say who it is.
            importing = globals or sys._getframe(1).f_globals  # noqa: SLF001 - as below
            importer = None if _is_ours(importing) else importing.get("__name__")
            absolute = _absolute(name, importing, level)
            try:
                result = import_statement(name, globals, locals, fromlist, level)
            except BaseException as error:
                self._note_failure(importer, absolute, error)
                raise
            found = [item for item in fromlist or () if _can_be_module(absolute, item, result)]
            self._note(importer, [absolute, *(f"{absolute}.{item}" for item in found)])
            return result

        def recording_import_module(name: str, package: str | None = None) -> Any:
            importing = sys._getframe(1).f_globals  # noqa: SLF001 - there is no other way
            importer = None if _is_ours(importing) else importing.get("__name__")
            try:
                result = import_module(name, package)
            except BaseException as error:
                short = name.lstrip(".")
                level = len(name) - len(short)
                absolute = _absolute(short, {"__package__": package}, level)
                self._note_failure(importer, absolute, error)
                raise
            self._note(importer, [getattr(result, "__name__", None)])
            return result

        builtins.__import__ = recording_import
        importlib.import_module = recording_import_module

    def attribute(self, module: str, newest: str) -> None:
        """Blame `module` for what was loaded, without any import statement, after `newest`.

        The names that were there before are not so much as touched: each process that imports a
        drop-in would get a copy of its own of the memory that they are in.
        """
        # Other threads may go on importing, but not while this runs, which is no code of Python.
        newer = functools.partial(operator.is_not, newest)
        loaded = set(itertools.takewhile(newer, reversed(sys.modules)))
        self._note(module, loaded - self._imported - {module})

    def report(self) -> dict[str, list[Any]]:
        """Return what is new since the last report: module -> [its file, what it imports].

        The file is None for a module that has none, and `MISSING` for one that is not there.
        """
        news = {}
        touched, self._unreported = self._unreported, set()
        touched.update(*(self._imports.get(name, ()) for name in touched))
        for name in touched:
            imports = self._imports.get(name, set())
            state = _file_of(name) or self._failed.get(name, _file_of(name)), len(imports)
            if self._reported.get(name) != state:
                self._reported[name] = state
                news[name] = [state[0], sorted(imports)]
        return news

    def _note_failure(self, importer: Any, imported: str, error: BaseException) -> None:
        """Note what an import failed for: modules that fail do not stay in `sys.modules`."""
        names: list[Any] = [imported]
        if isinstance(error, ImportError):
            names.append(error.name)
        if isinstance(error, SyntaxError):  # nothing of the module has run
            self._failed.setdefault(imported, _path_or_none(error.filename))
        step = error.__traceback__
        while step is not None:
            scope, step = step.tb_frame.f_globals, step.tb_next
            name, file = scope.get("__name__"), _path_or_none(scope.get("__file__"))
            if type(name) is str and file is not None and scope is not globals():
                names.append(name)
                self._failed[name] = file
        self._note(importer, names)

    def _note(self, importer: Any, imported: Iterable[Any]) -> None:
        # Whatever a module has put into its __name__, or into sys.modules.
        names = {name for name in imported if type(name) is str}
        for name in list(names):
            while "." in name:  # the packages above are imported with it
                name = name.rpartition(".")[0]  # noqa: PLW2901 - it climbs
                names.add(name)
        if type(importer) is str:
            self._imports.setdefault(importer, set()).update(names - {importer})
            self._unreported.add(importer)  # also if this is no news: what it imports may be
            self._imported |= names


def files_of_loaded_modules() -> list[str]:
    """List the files that everything in this process has been loaded from."""
    files = {_file_of(name) for name in list(sys.modules)}
    return sorted(file for file in files if isinstance(file, str))


def without_frames_of_ours(error: Any) -> Any:
    """Take our own frames out of a `traceback.TracebackException` and those it goes on about."""
    ours = files_of_loaded_modules.__code__.co_filename  # there is no __file__ in the child
    each = error
    while each is not None:
        kept = [frame for frame in each.stack if frame.filename != ours]
        each.stack[:] = kept
        each = each.__cause__ or each.__context__
    return error


def _is_ours(importing: Any) -> bool:
    """Tell whether a module is one that this child was handed; a drop-in may have it, too.

    The program itself imports every drop-in, which says nothing, and more with each of them.
    """
    name = importing.get("__name__")
    ours = type(name) is str and (name == "__main__" or name.startswith("dropin_cache."))
    return ours and importing.get("__spec__") is None


def _absolute(name: str, importing: Any, level: int) -> str:
    """Return the full name of what a module calls `name`, as PEP 328 has it."""
    if level == 0:
        return name
    package = importing.get("__package__")
    if type(package) is not str:
        package = str(importing.get("__name__"))
        if "__path__" not in importing:
            package = package.rpartition(".")[0]
    above = package.rsplit(".", level - 1)[0]
    return f"{above}.{name}" if name else above


def _can_be_module(package: str, item: str, result: Any) -> bool:
    """Tell whether an item of `from package import item` is a module, or perhaps a missing one."""
    if f"{package}.{item}" in sys.modules:
        return True
    try:
        return item.isidentifier() and hasattr(result, "__path__") and item not in vars(result)
    except BaseException:  # noqa: BLE001 - as in _file_of
        return False


def _file_of(name: str) -> Any:
    """Return the file of a module: a path, or None, or `MISSING`."""
    if name not in sys.modules:
        return MISSING
    try:
        # Past all __getattr__: asking a lazy module for anything can load it.
        facts = object.__getattribute__(sys.modules[name], "__dict__")
        file = getattr(facts.get("__loader__"), "archive", None) or facts.get("__file__")
    except BaseException:  # noqa: BLE001 - anything can sit in sys.modules and raise anything
        return None
    return _path_or_none(file)


def _path_or_none(file: Any) -> Any:
    return file if type(file) is str and file.startswith("/") else None
