"""Failures of the system, and what it has to say of a path: only the latter is an answer."""

from __future__ import annotations

import contextlib
import errno
from collections.abc import Iterator

from dropin_cache.errors import DropinCacheError

# That it is not there, closed, or not what was thought. Anything else may be gone the next time.
_ANSWERS = frozenset(
    (
        errno.ENOENT,
        errno.ENOTDIR,
        errno.EISDIR,
        errno.EACCES,
        errno.EPERM,
        errno.ELOOP,
        errno.ENAMETOOLONG,
        errno.EINVAL,
        errno.ENOEXEC,
    )
)


def is_failure(error: BaseException | None) -> bool:
    """Tell whether the system has failed: nothing follows from that for what was asked about."""
    return isinstance(error, OSError) and error.errno not in _ANSWERS


@contextlib.contextmanager
def passing_over() -> Iterator[None]:
    """Pass over what is not there or closed, and not what the system fails to look at."""
    try:
        yield
    except OSError as error:
        if is_failure(error):
            raise


def exit_code_of(error: DropinCacheError) -> int:
    """Return the exit status for an error: a failure of the system is nobody's mistake."""
    return DropinCacheError.exit_code if is_failure(error.__cause__) else error.exit_code
