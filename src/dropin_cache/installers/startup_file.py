"""The start-up file of an environment, which makes pip update the caches when it ends.

The module site has every interpreter of the environment process it:

- Up to Python 3.17 it is `dropin-cache.pth`. Its one line asks whether an argument of the process
  is "install" or "uninstall", and that is all it does in nearly every process. If one is, it
  executes `pip_hook` from its path.
- Python 3.18 passes over such lines. For it there is `dropin-cache.start` (PEP 829), which names a
  function. That must be in a module of its own, because importing one of this package imports all
  of it; so the line from above is in `_dropin_cache_start.py` beside it. Python 3.15 knows such
  files, too, but loads some thirty modules to find the function, at each start.

Where interpreters of several versions share the directory, each has what it needs; those that know
`.start` files pass over the line of the other where there is one.
"""

from __future__ import annotations

import contextlib
import errno
import os
import sys
import sysconfig
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

from dropin_cache.errors import NotWrittenError, UntrustedError
from dropin_cache.installers import pip_hook
from dropin_cache.update.files.reading import read_file

if TYPE_CHECKING:
    from dropin_cache.update.files.trusted import Files

ENABLED, DISABLED, OUTDATED = "enabled", "disabled", "outdated"

_MAX_SIZE = 1 << 16  # bytes; ours have less than one thousand
_PTH, _START, _MODULE = pip_hook.NAMES
_NEEDS_START_FILES = (3, 18)

# A process that has no arguments yet, because it is another program's, has no "argv".
_TEST = '{"install", "uninstall"}.isdisjoint(getattr(sys, "argv", ()))'
# Whatever is wrong, such as that the package is gone, is no reason to disturb a Python that starts.
_ACTION = """\
try:
    with open({source}, "rb") as file:
        code = compile(file.read(), {source}, "exec")
    names = {{"__name__": "dropin_cache.installers.pip_hook"}}
    exec(code, names)
    names["watch"]({site}, {source})
except Exception:
    pass
"""
_MODULE_TEXT = '''\
"""Written by "dropin-cache hook enable"; "dropin-cache hook disable" removes it."""

import sys


def start():
    {line}
'''


class Status(NamedTuple):
    """What there is of the start-up file.

    Attributes:
        state: One of the words above.
        path: The file; of several, the one that this interpreter processes.
    """

    state: str
    path: str

    @property
    def outdated(self) -> bool:
        """Whether there is something else than `enable` would write."""
        return self.state == OUTDATED


# `hook status` is to be quick, and needs neither the rules of trust nor the configuration that says
# which groups they accept. So `enable` and `disable` import these when they are called.


def enable() -> Status:
    """Write the start-up file of the running interpreter's environment, if it is not there.

    Raises:
        NotWrittenError: It cannot be written.
        UntrustedError: Others than root could change it.
    """
    from dropin_cache.update.files.atomic import replace_file  # noqa: PLC0415 - see above

    site, wanted = _site(), _wanted()
    with _opened(site) as (files, directory):
        for name, data in wanted.items():
            if _read(os.path.join(site, name)) != data:
                with _reported(os.path.join(site, name)):
                    # Such a date means that the next pip has something to do: see `pip_hook`.
                    replace_file(directory, name, data, finish=_undated)
        if not _is_shared(site):
            others = [name for name in pip_hook.NAMES if name not in wanted]
            _remove(files, site, directory, others)
    return status()


def disable() -> Status:
    """Remove what `enable` has written.

    Raises:
        NotWrittenError, UntrustedError: As for `enable`.
    """
    site = _site()
    if any(os.path.lexists(os.path.join(site, name)) for name in pip_hook.NAMES):
        with _opened(site) as (files, directory):
            _remove(files, site, directory, pip_hook.NAMES)
    return status()


def status() -> Status:
    """Tell whether the start-up file is there, and is what `enable` would write."""
    site, wanted = _site(), _wanted()
    path = os.path.join(site, _START if _START in wanted else _PTH)
    if not any(os.path.lexists(os.path.join(site, name)) for name in pip_hook.NAMES):
        return Status(DISABLED, path)
    counting = wanted if _is_shared(site) else pip_hook.NAMES
    as_wanted = all(_read(os.path.join(site, name)) == wanted.get(name) for name in counting)
    return Status(ENABLED if as_wanted else OUTDATED, path)


def contents(site: str, version: tuple[int, int]) -> dict[str, bytes]:
    """Return the files to write, by name; what names another comes after it.

    Args:
        site: The directory to write them in.
        version: That of the interpreter whose directory it is.
    """
    source = _unlinked(os.path.abspath(pip_hook.__file__))
    # As ASCII, since a .pth file may be read in any encoding; the backslashes mean the characters.
    action = _ACTION.format(source=ascii(source), site=ascii(site))
    line = f"{_TEST} or exec({action!a}, {{}})"
    pth = {_PTH: f"import sys; {line}\n".encode("ascii")}
    start = {
        _MODULE: _MODULE_TEXT.format(line=line).encode("ascii"),
        _START: f"{_MODULE[:-3]}:start\n".encode("ascii"),
    }
    if version < _NEEDS_START_FILES:
        return pth
    return {**pth, **start} if _is_shared(site) else start


def _is_shared(site: str) -> bool:
    """Tell whether interpreters of other versions may process what is in a directory, too."""
    return not any(part.startswith("python3.") for part in site.split(os.sep))


def _wanted() -> dict[str, bytes]:
    return contents(_site(), (sys.version_info[0], sys.version_info[1]))


def _site() -> str:
    """Return where pip installs into the running interpreter's environment."""
    return _unlinked(_purelib())


def _purelib() -> str:
    return os.path.abspath(sysconfig.get_path("purelib"))


def _unlinked(path: str) -> str:
    """Return a path in the directory of packages by the name it has in all environments.

    Several may have a link to one directory. What is in there may be links to anywhere.
    """
    site = _purelib()
    inside = os.path.commonpath((site, path)) == site
    return os.path.realpath(site) + path[len(site) :] if inside else path


@contextlib.contextmanager
def _opened(site: str) -> Iterator[tuple[Files, int]]:
    """Open the directory by the rules of trust: what it has is run by every Python of root's."""
    from dropin_cache.update.report import Request  # noqa: PLC0415 - see above
    from dropin_cache.update.session import open_session  # noqa: PLC0415 - see above

    with open_session(Request()) as session, contextlib.ExitStack() as stack:
        with _reported(site):
            descriptor = session.files.directory(site)
        stack.callback(os.close, descriptor)
        yield session.files, descriptor


def _remove(files: Files, site: str, directory: int, names: Sequence[str]) -> None:
    from dropin_cache.update.files.atomic import remove_file, sync  # noqa: PLC0415 - see above

    removed = False
    for name in names:
        with _reported(os.path.join(site, name)):
            removed = remove_file(directory, name) or removed
    if removed:
        with _reported(site):
            sync(directory)
    if _MODULE in names:
        _remove_compiled(files, site)


def _remove_compiled(files: Files, site: str) -> None:
    """Remove what interpreters have made of the module; it does nothing without that."""
    from dropin_cache.update.files.atomic import prune, remove_file  # noqa: PLC0415 - see above

    place = os.path.join(site, pip_hook.BYTECODE)
    with contextlib.suppress(OSError, UntrustedError), contextlib.ExitStack() as stack:
        directory = files.directory(place)
        stack.callback(os.close, directory)
        for name in filter(pip_hook.is_compiled, files.names(place)):
            remove_file(directory, name)
        prune(files, site, place)


@contextlib.contextmanager
def _reported(path: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise NotWrittenError(path, error.errno or errno.EIO) from error


def _undated(descriptor: int) -> None:
    os.utime(descriptor, (0, 0))


def _read(path: str) -> bytes | None:
    with contextlib.suppress(OSError):
        return read_file(path, _MAX_SIZE, follow=False)
    return None
