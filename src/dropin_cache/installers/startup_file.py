"""The start-up file of an environment, which makes pip update the caches when it ends.

The module site has every interpreter of the environment process it:

- Up to Python 3.14 it is `dropin-cache.pth`. Its one line asks whether an argument of the process
  is "install" or "uninstall", and that is all it does in nearly every process. If one is, it
  executes `pip_hook` from its path.
- From Python 3.15 on it is `dropin-cache.start` (PEP 829), which names a function. That must be in
  a module of its own, because importing one of this package imports all of it; so the line from
  above is in `_dropin_cache_start.py` beside it.

Where interpreters of several versions share the directory, there are all of them; the interpreters
that know `.start` files then pass over the line of the other.
"""

from __future__ import annotations

import contextlib
import errno
import os
import sys
import sysconfig
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from dropin_cache.errors import NotWrittenError
from dropin_cache.installers import pip_hook
from dropin_cache.update.files.reading import read_file

ENABLED, DISABLED, OUTDATED = "enabled", "disabled", "outdated"

_MAX_SIZE = 1 << 16  # bytes; ours have less than one thousand
_PTH, _START, _MODULE = pip_hook.NAMES
_HAS_START_FILES = (3, 15)

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
    with _opened(site) as directory:
        for name, data in wanted.items():
            if _read(os.path.join(site, name)) != data:
                with _reported(os.path.join(site, name)):
                    # Such a date means that the next pip has something to do: see `pip_hook`.
                    replace_file(directory, name, data, finish=_undated)
        _remove(site, directory, set(pip_hook.NAMES) - set(wanted))
    return status()


def disable() -> Status:
    """Remove what `enable` has written.

    Raises:
        NotWrittenError, UntrustedError: As for `enable`.
    """
    site = _site()
    if any(os.path.lexists(os.path.join(site, name)) for name in pip_hook.NAMES):
        with _opened(site) as directory:
            _remove(site, directory, pip_hook.NAMES)
    return status()


def status() -> Status:
    """Tell whether the start-up file is there, and is what `enable` would write."""
    site, wanted = _site(), _wanted()
    name = _START if _START in wanted and sys.version_info >= _HAS_START_FILES else _PTH
    path = os.path.join(site, name)
    if not any(os.path.lexists(os.path.join(site, name)) for name in pip_hook.NAMES):
        return Status(DISABLED, path)
    present = {name: _read(os.path.join(site, name)) for name in pip_hook.NAMES}
    as_wanted = present == {**dict.fromkeys(pip_hook.NAMES), **wanted}
    return Status(ENABLED if as_wanted else OUTDATED, path)


def contents(site: str, version: tuple[int, int]) -> dict[str, bytes]:
    """Return the files to write, by name.

    Args:
        site: The directory to write them in.
        version: That of the interpreter whose directory it is.
    """
    source = os.path.abspath(pip_hook.__file__)
    # As ASCII, since a .pth file may be read in any encoding; the backslashes mean the characters.
    action = _ACTION.format(source=ascii(source), site=ascii(site))
    line = f"{_TEST} or exec({action!a}, {{}})"
    pth = {_PTH: f"import sys; {line}\n".encode("ascii")}
    start = {
        _START: f"{_MODULE[:-3]}:start\n".encode("ascii"),
        _MODULE: _MODULE_TEXT.format(line=line).encode("ascii"),
    }
    if "python{}.{}".format(*version) not in site.split(os.sep):
        return {**pth, **start}  # another version may be looking here tomorrow
    return start if version >= _HAS_START_FILES else pth


def _wanted() -> dict[str, bytes]:
    return contents(_site(), (sys.version_info[0], sys.version_info[1]))


def _site() -> str:
    """Return where pip installs into the running interpreter's environment."""
    return os.path.abspath(sysconfig.get_path("purelib"))


@contextlib.contextmanager
def _opened(site: str) -> Iterator[int]:
    """Open the directory by the rules of trust: what it has is run by every Python of root's."""
    from dropin_cache.update.report import Request  # noqa: PLC0415 - see above
    from dropin_cache.update.session import open_session  # noqa: PLC0415 - see above

    with open_session(Request()) as session, contextlib.ExitStack() as stack:
        with _reported(site):
            descriptor = session.files.directory(site)
        stack.callback(os.close, descriptor)
        yield descriptor


def _remove(site: str, directory: int, names: Iterable[str]) -> None:
    from dropin_cache.update.files.atomic import remove_file, sync  # noqa: PLC0415 - see above

    removed = False
    for name in names:
        with _reported(os.path.join(site, name)):
            removed = remove_file(directory, name) or removed
    if removed:
        with _reported(site):
            sync(directory)


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
