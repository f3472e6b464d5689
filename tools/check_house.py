"""Checks what the linters cannot: which rooms of the house open files, and what stands alone.

docs/architecture.md has the house. A room opens files only if it is listed here, and creates or
changes them only if it is listed for that. Renaming and removing is for ruff to find (TID251), who
imports whom for import-linter. Exits with 1 if anything is wrong.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

PACKAGE = Path(__file__).resolve().parent.parent / "src" / "dropin_cache"
READ, WRITE = "open files", "open files for writing"

# By the beginning of a file's path, the longest counts.
ROOMS = {
    "": set(),
    "_cachefile.py": {READ},
    "_scan.py": {READ},
    "_caller.py": {READ},  # in /proc
    "_quick.py": {READ},
    "commands/terminal.py": {READ, WRITE},  # /dev/null, for descriptors that are closed
    "installers/pip_hook.py": {READ},  # stands alone
    "update/discovery/": {READ},
    "update/importing/": {READ},  # in /proc
    "update/sandbox/user_namespaces.py": {READ, WRITE},  # likewise: the maps of users
    "update/sandbox/": {READ},  # likewise
    "update/files/": {READ, WRITE},
    "update/payload/": {READ, WRITE},  # inside of the sandbox, to prove that it cannot
}

# On the standard library alone, but for the modules that are named.
ALONE: dict[str, tuple[str, ...]] = {
    "_caller.py": (),
    "_quick.py": ("dropin_cache._colour",),
    "_arguments.py": (),
    "_colour.py": (),
    "installers/pip_hook.py": (),
    # An interpreter that has no zope.interface has no plugins.
    "update/payload/": ("dropin_cache.update.payload", "dropin_cache._describe", "zope.interface"),
}

_WRITING_FLAGS = {"O_CREAT", "O_WRONLY", "O_RDWR", "O_APPEND", "O_TRUNC", "O_TMPFILE"}
_FUNCTIONS = {"open", "io.open", "io.FileIO", "os.open"}


def main() -> int:
    """Print what is wrong, a line each, and return the exit status."""
    found = [
        f"{file}:{line}: {problem}"
        for file in sorted(PACKAGE.rglob("*.py"))
        for line, problem in problems(file.relative_to(PACKAGE).as_posix(), file.read_text("utf-8"))
    ]
    print("\n".join([*found, f"The house: {len(found)} problems."]))
    return 1 if found else 0


def problems(name: str, text: str) -> Iterator[tuple[int, str]]:
    """Yield what is wrong with a module: the number of the line, and what it is.

    Args:
        name: Its path in the package.
        text: Its source.
    """
    allowed = ROOMS[max((room for room in ROOMS if name.startswith(room)), key=len)]
    others = [modules for room, modules in ALONE.items() if name.startswith(room)]
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Call) and ast.unparse(node.func) in _FUNCTIONS:
            kind = WRITE if _writes(node) else READ
            if kind not in allowed:
                yield node.lineno, f"this room does not {kind}"
        if others and isinstance(node, (ast.Import, ast.ImportFrom)):
            for module in _imported(node):
                if not _is_standard(module) and not module.startswith(others[0] or ("?",)):
                    yield node.lineno, f"stands alone, and imports {module}"


def _writes(call: ast.Call) -> bool:
    """Tell whether a call opens a file for writing."""
    arguments = [*call.args[1:], *(each.value for each in call.keywords if each.arg)]
    modes = [each.value for each in arguments if isinstance(each, ast.Constant)]
    return any(_is_flag(node) for each in arguments for node in ast.walk(each)) or any(
        isinstance(mode, str) and set(mode) & set("wax+") for mode in modes
    )


def _imported(node: ast.Import | ast.ImportFrom) -> list[str]:
    if isinstance(node, ast.ImportFrom):
        return ["." * node.level + (node.module or "")]
    return [each.name for each in node.names]


def _is_standard(module: str) -> bool:
    # Python 3.9 does not know; then this is seen with a later one.
    known = getattr(sys, "stdlib_module_names", None)
    return known is None or module.partition(".")[0] in known


def _is_flag(node: ast.AST) -> bool:
    return isinstance(node, ast.Attribute) and node.attr in _WRITING_FLAGS


if __name__ == "__main__":
    sys.exit(main())
