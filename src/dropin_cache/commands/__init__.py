"""The commands: from the arguments to the exit status, whatever happens on the way.

- `options`, `values`, `parser`, `help_texts`: the command line.
- `actions`: what each command does.
- `outcome`: what is printed of a run, and the exit status.
- `words`, `findings`, `as_json`, `monitoring`: what is printed, for people and for programs.
- `environment`: whose packages are meant if nothing says so.
- `advice`, `selections`, `obstacles`, `distrust`: what to do about errors; `slips`,
  `suggestions`: what may have been meant.
- `terminal`, `progress`: standard streams, and the progress line.
- `explain`, `listing`: the commands of these names; `catalogue`: how a listing looks.

This file imports nothing of the write path: `hook status` is to be quick, and needs none of it.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import os
import signal
import sys
from collections.abc import Iterator, Sequence
from errno import ENOMEM
from typing import NoReturn

from dropin_cache import _colour
from dropin_cache.commands import actions, environment, terminal, words
from dropin_cache.commands.actions import EXIT_DONE
from dropin_cache.commands.options import build_parser
from dropin_cache.errors import EXIT_SIGNAL, DropinCacheError

EXIT_USAGE = 2  # as argparse has it

_TRIGGER = "--trigger"
_NAGIOS = frozenset(("nagios", "--format=nagios"))


def main(arguments: Sequence[str], directory: str = "", activated: str = "") -> int:
    """Run `dropin-cache`.

    Args:
        arguments: Those of the process, without the program's name.
        directory: To which relative paths in them belong; by default the working directory.
        activated: The environment that is activated, as VIRTUAL_ENV has it.

    Returns:
        The exit status; the epilog of `--help` lists them.
    """
    terminal.prepare()
    _colour.choose(_colour.AUTO)
    try:
        return _forgiving(arguments, directory, activated)
    finally:
        # The interpreter looks for cycles at its end, for longer than it takes to write a cache.
        gc.freeze()


def _forgiving(arguments: Sequence[str], directory: str, activated: str) -> int:
    """Run a command; with --trigger, never fail: that would break a package manager's run."""
    if _TRIGGER not in arguments or arguments[0] == "run":  # whose command has options of its own
        return _main(arguments, directory, activated)
    # Not even for a mistake in the command line or in here: the package manager's log has it.
    try:
        status = _main(arguments, directory, activated)
    except SystemExit as leaving:  # argparse, or a signal
        status = leaving.code if isinstance(leaving.code, int) else EXIT_DONE
    except ImportError:  # Python, or what we need, is only half there yet: the hooks say so
        raise
    except Exception as error:  # noqa: BLE001 - see above
        words.mistake(error)
        return EXIT_DONE
    return status if status > EXIT_SIGNAL else EXIT_DONE


def _main(argv: Sequence[str], directory: str, activated: str) -> int:
    """Parse the command line, do what it asks for, and say what went wrong."""
    # Package managers wait: making the options of all commands takes longer than reading them.
    try:
        arguments = build_parser(argv[0] if argv else None).parse_args(argv)
    except SystemExit as leaving:
        if leaving.code == EXIT_USAGE and _NAGIOS.intersection(argv):
            from dropin_cache.commands import outcome  # noqa: PLC0415 - for mistakes

            raise SystemExit(outcome.misused()) from None
        raise
    # A command that is to be run gets everything as it is; the update behind it does this again.
    if arguments.command != "run":
        _restore_signals()
        _resolve(arguments, directory)
    brief = getattr(arguments, "trigger", False)
    try:
        with _signals_unwinding():
            environment.choose(arguments, activated)
            status = actions.run(arguments)
            sys.stdout.flush()
            return status
    except DropinCacheError as error:
        words.error(
            error,
            verbose=getattr(arguments, "verbose", False),
            brief=brief,
            root=getattr(arguments, "root", None),
        )
        from dropin_cache.commands import outcome  # noqa: PLC0415 - as above

        return outcome.failed(arguments, error)
    except KeyboardInterrupt:
        # If it came while text was evaluated, as typing.NamedTuple does, Python would end by the
        # signal, whatever is returned here. It forgets that when text is evaluated again.
        eval("0")  # noqa: S307 - see above
        words.interrupted()
        return EXIT_SIGNAL + signal.SIGINT
    except BrokenPipeError:  # the reader of our output has gone, as `| head` does
        terminal.discard(sys.stdout)
        return EXIT_DONE if brief else EXIT_SIGNAL + signal.SIGPIPE
    except (OSError, MemoryError) as error:
        terminal.discard(sys.stdout)
        no_memory = OSError(ENOMEM, os.strerror(ENOMEM))
        words.failure(no_memory if isinstance(error, MemoryError) else error)
        return DropinCacheError.exit_code


def _restore_signals() -> None:
    """Have signals arrive, and ended children be waited for, whatever the caller has left.

    Whoever blocks SIGTERM or ignores SIGCHLD passes that on to what it starts, and to what that
    starts. Signals that the caller ignores, as nohup does, stay ignored.
    """
    signal.pthread_sigmask(signal.SIG_UNBLOCK, signal.valid_signals())
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)


def _resolve(arguments: argparse.Namespace, directory: str) -> None:
    """Say where relative paths lead to, if they belong to another directory than this process."""

    def absolute(path: str) -> str:
        return os.path.normpath(os.path.join(directory, path))

    if not directory:
        return
    if arguments.command != "hook":
        arguments.path = [absolute(path) for path in arguments.path]
        arguments.root = arguments.root and absolute(arguments.root)
        arguments.python = [absolute(each) if os.sep in each else each for each in arguments.python]
    name = getattr(arguments, "name", "")
    if os.sep in name or (name and os.path.exists(absolute(name))):
        arguments.name = absolute(name)


@contextlib.contextmanager
def _signals_unwinding() -> Iterator[None]:
    """Leave through the clean-up when asked to terminate, so that no child stays behind."""

    def unwind(number: int, _: object) -> NoReturn:
        raise SystemExit(EXIT_SIGNAL + number)

    before = {
        number: signal.signal(number, unwind)
        for number in (signal.SIGTERM, signal.SIGHUP)
        if signal.getsignal(number) != signal.SIG_IGN  # as nohup, or another caller, wants it
    }
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
