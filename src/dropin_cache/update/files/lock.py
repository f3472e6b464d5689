"""Keep other writers of a directory out, without letting anybody interfere with that."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import stat
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Callable

from dropin_cache._scan import CACHE_NAME
from dropin_cache.errors import LockTimeoutError, NotWrittenError, UntrustedError
from dropin_cache.update.files import locations
from dropin_cache.update.files.rules import user_in_words
from dropin_cache.update.files.trusted import Files

if TYPE_CHECKING:
    import filelock

_NO_SOFT_LOCKS = (3, 30)  # the first release of filelock that can be told to make none
_NO_FLOCK = "the file system does not support locks"
_DESCRIPTORS = "/proc/self/fd"
_PAUSE = 0.05  # seconds between looks at a lock that another process has


def load() -> None:
    """Load what takes locks, before there is any hurry; taking one tells what is missing."""
    with contextlib.suppress(ImportError):
        import filelock  # noqa: F401, PLC0415 - most runs write nothing, and it takes as long to load as they do


@contextlib.contextmanager
def lock(directory: int, path: str, timeout: float) -> Iterator[None]:
    """Hold the lock of a directory.

    Args:
        directory: Its descriptor.
        path: What is to be written, for errors.
        timeout: How long to wait for other writers, seconds; 0 for not at all.

    Raises:
        LockTimeoutError: Another process kept the lock.
        NotWrittenError: There is no place for a lock.
    """
    try:
        # By identity, because one directory can have several paths.
        status = os.fstat(directory)
    except OSError as error:
        raise NotWrittenError(path, error.errno or errno.EIO) from error
    with contextlib.ExitStack() as held:
        try:
            held.enter_context(_held(f"{status.st_dev:x}-{status.st_ino:x}", path, timeout))
        except NotWrittenError as nowhere:
            # Services, containers and builders often have no home that they can write in, and
            # somebody may have left anything below /run/lock.
            held.enter_context(_held_inside(directory, path, timeout, nowhere))
        yield


@contextlib.contextmanager
def _held(name: str, path: str, timeout: float) -> Iterator[None]:
    """Hold the lock of a name; the rest is as for `lock`."""
    import filelock  # noqa: PLC0415 - see above

    with contextlib.ExitStack() as cleanup:
        try:
            locks, descriptor = _open_directory()
            cleanup.callback(quietly, os.close, descriptor)
            held = _new_lock(os.path.join(_unmistakable(locks, descriptor), f"{name}.lock"))
            _acquire(held, timeout, locks, descriptor)
        except filelock.Timeout as error:
            raise LockTimeoutError(path, timeout) from error
        except OSError as error:
            reason = f"no place for a lock: {error.strerror} ({error.filename})"
            raise NotWrittenError(
                path, error.errno or errno.EIO, reason, NotWrittenError.LOCKS
            ) from error
        except UntrustedError as error:
            reason = f"no place for a lock: {error.problem} ({error.component})"
            raise NotWrittenError(path, errno.EPERM, reason, NotWrittenError.LOCKS) from error
        cleanup.callback(quietly, held.release)
        yield


@contextlib.contextmanager
def _held_inside(
    directory: int, path: str, timeout: float, nowhere: NotWrittenError
) -> Iterator[None]:
    """Hold the lock of a directory on a file in that, which goes with it.

    A lock on the directory itself would need no file. But whoever can open a file or directory for
    reading can lock it, and keep others waiting for ever; this file only its user can open.
    """
    name = f".{CACHE_NAME}.{os.geteuid()}.lock"
    deadline = time.monotonic() + timeout
    while True:
        try:
            descriptor = _locked_inside(directory, name)
        except OSError:
            raise nowhere from None
        if descriptor is not None:
            break
        if time.monotonic() >= deadline:
            raise LockTimeoutError(path, timeout)
        time.sleep(_PAUSE)
    try:
        yield
    finally:
        quietly(os.unlink, name, dir_fd=directory)
        quietly(os.close, descriptor)


def _locked_inside(directory: int, name: str) -> int | None:
    """Return a descriptor of a file that is made if need be, and locked; None if others have it."""
    # Unlike filelock this truncates nothing: it may be a link that others who can write here made.
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    descriptor = os.open(name, flags, 0o600, dir_fd=directory)
    try:
        status = os.fstat(descriptor)
        if status.st_uid == os.geteuid() and stat.S_ISREG(status.st_mode):
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # Whoever had it has removed it meanwhile: another file may bear the name.
            if os.path.samestat(status, os.stat(name, dir_fd=directory, follow_symlinks=False)):
                descriptor, held = -1, descriptor
                return held
            return None
        raise PermissionError(errno.EPERM, "not a file of this user", name)
    except (BlockingIOError, FileNotFoundError):
        return None
    finally:
        quietly(os.close, descriptor)


def obstacles() -> Iterator[str]:
    """Say what keeps root's locks from the place where they should be.

    Everybody can be in /run/lock before root has been there. Nothing of that is in the way of a
    run, but somebody may want to know who it was.
    """
    place = locations.LOCK_DIRECTORIES[0]
    with contextlib.suppress(OSError):
        status = os.lstat(place)
        if os.geteuid() == 0 and not (stat.S_ISDIR(status.st_mode) and _is_private(status)):
            owner = user_in_words(status.st_uid)
            yield (
                f"{place} of {owner} is not for root alone, so root's locks are elsewhere; "
                f"to remove it: rm -r {place}"
            )


def quietly(undo: Callable[..., object], *arguments: object, **options: object) -> None:
    """Undo what served only to do something else: by now that is done, or has failed itself."""
    with contextlib.suppress(OSError):
        undo(*arguments, **options)


def _new_lock(name: str) -> filelock.BaseFileLock:
    import filelock  # noqa: PLC0415 - see above

    # Where flock is not to be had, a lock that survives its process is worse than an error. Older
    # releases do not know the word, and complain twice about an object made with it.
    version = tuple(int(part) for part in filelock.__version__.split(".")[:2])
    if version >= _NO_SOFT_LOCKS:
        return filelock.FileLock(name, fallback_to_soft=False)
    return filelock.FileLock(name)


def _acquire(held: filelock.BaseFileLock, timeout: float, locks: str, descriptor: int) -> None:
    import filelock  # noqa: PLC0415 - see above

    try:
        # filelock before 3.21 takes every refusal for another writer, and waits.
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        held.acquire(timeout=timeout)
    except filelock.Timeout:
        raise
    except NotImplementedError as error:  # filelock before 3.30
        raise OSError(errno.ENOSYS, _NO_FLOCK, locks) from error
    except OSError as error:
        words = _NO_FLOCK if error.errno == errno.ENOSYS else error.strerror
        raise OSError(error.errno, words, locks) from error


def _open_directory() -> tuple[str, int]:
    """Open the first possible directory for locks, made if need be; return path and descriptor.

    Nobody else can enter it: filelock up to 4.2.0 truncates whatever it finds under the name of
    the lock, so a link that somebody planted there would empty the link's target.
    """
    opened = _open_as_root if os.geteuid() == 0 else _open_as_user
    *candidates, last = locations.lock_directories()
    for locks in candidates:
        # Somebody may have left anything under that name: it is not touched, and not needed.
        with contextlib.suppress(OSError, UntrustedError):
            return locks, opened(locks)
    return last, opened(last)


def _open_as_user(locks: str) -> int:
    os.makedirs(os.path.dirname(locks), mode=0o755, exist_ok=True)
    with contextlib.suppress(FileExistsError):
        os.mkdir(locks, 0o700)
    # A FIFO or a link planted here is no directory, and so is not opened at all.
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
    return _require_private(os.open(locks, flags), locks)


def _open_as_root(locks: str) -> int:
    """Open a directory for root's locks, the way to which only root can change.

    In /run/lock everybody may have been before us, and have left anything under that name.
    """
    files = Files(enforced=True)
    try:
        descriptor = files.directory(locks)
    except FileNotFoundError:
        # By its path: what it is in may be open to all, and sticky, as only a way may be.
        with contextlib.suppress(FileExistsError):
            os.mkdir(locks, 0o700)
        descriptor = files.directory(locks)
    return _require_private(descriptor, locks)


def _require_private(descriptor: int, locks: str) -> int:
    """Return the descriptor, or close it and raise OSError if others can enter the directory."""
    if not _is_private(os.fstat(descriptor)):
        os.close(descriptor)
        raise PermissionError(errno.EPERM, "not a directory of this user alone", locks)
    return descriptor


def _is_private(status: os.stat_result) -> bool:
    return status.st_uid == os.geteuid() and not stat.S_IMODE(status.st_mode) & 0o077


def _unmistakable(locks: str, descriptor: int) -> str:
    """Return a path of a directory that stays the same whoever renames what lies on the way.

    filelock takes nothing but a path. A user's home may lie where others can write, in /tmp for
    one. Where there is no /proc, the path is as good as the way there; root's is checked.
    """
    path = f"{_DESCRIPTORS}/{descriptor}"
    with contextlib.suppress(OSError):
        if os.path.samestat(os.stat(path), os.fstat(descriptor)):
            return path
    return locks
