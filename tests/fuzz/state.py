"""What has to hold of the answers of a child, and of the ledger, which keeps what they say."""

from __future__ import annotations

import encodings.unicode_escape  # noqa: F401 - imported late by what is watched here
import json
import os
import time
from collections.abc import Callable
from typing import Any

import filelock  # noqa: F401 - likewise

from dropin_cache._decode import decode
from dropin_cache._encode import encode
from dropin_cache._model import Fingerprint
from dropin_cache._scan import digest_of
from dropin_cache.update.discovery.interpreters import Start, interpreter_of
from dropin_cache.update.files.trusted import Files
from dropin_cache.update.importing import answers
from dropin_cache.update.importing.answers import AnswerError, Started
from dropin_cache.update.importing.records import Description, Failure
from dropin_cache.update.state.ledger import DirectoryRecord, Ledger, packed
from dropin_cache.update.state.observations import Look, Observed
from dropin_cache.update.state.recorded import Recorded
from watch import KEEPING, READING, watched

ABOUT = "a.b"
PYTHON = "/usr/bin/python3"
START = Start((3, 11), True, ("/nonexistent/a", "/usr"), ("/nonexistent/f",), ("a.b",))
OBSERVED = Observed(
    frozenset(["/nonexistent/a/x.txt"]),
    frozenset(["/nonexistent/a"]),
    frozenset([("a", ("/nonexistent/a", "/usr")), ("a.c", ("/nonexistent/a/a",))]),
)

digest_of(b"")  # loads what makes digests

_VALIDATORS: list[tuple[Callable[[dict[str, Any]], Any], tuple[type, ...]]] = [
    (answers.started_from_untrusted, (Started,)),
    (lambda answer: answers.observed_from_untrusted(answer, []), (Observed,)),
    (answers.resolved_from_untrusted, (tuple, Failure)),
    (answers.package_from_untrusted, (tuple, type(None), Failure)),
    (answers.module_from_untrusted, (Description, Failure)),
]


def answer_seeds() -> list[bytes]:
    """Make an answer of each kind."""
    plugin = {"name": "p", "description": None, "provided": [["m", "I"]], "interfaces": ["m.I"]}
    start = {"version": [3, 11], "zope": True, "files": ["/f"], "path": ["/a"]}
    observed = {
        "files": ["/nonexistent/a/x.txt", "relative"],
        "listed": ["/nonexistent/a"],
        "paths": [["/nonexistent/a", "/usr"], []],
        "names": [["a", 0], ["a.c", 1]],
    }
    kinds: list[dict[str, Any]] = [
        start,
        {**start, "path": ["/usr/\0", "/usr/\ud800", ""]},  # what no path can be
        {"description": "text", "warnings": ["w"], "plugins": [plugin]},
        {"error": "No.", "traceback": "Traceback", "passing": True},
        {"found": ["/a"]},
        {"found": None},
        {"promises": ["it is root"]},
        {"resolved": ["I"]},
        {},
    ]
    return [
        json.dumps({**kind, "observed": observed, "of": ABOUT}).encode("ascii") for kind in kinds
    ]


def parsed(line: bytes) -> Any:
    """Parse an answer; an error is a result as well."""
    return _told(lambda: answers.from_untrusted(line, ABOUT))


def check_answer(line: bytes) -> None:
    """Parse an answer: it is refused by the one error there is for that, or right throughout."""
    answer = parsed(line)
    if type(answer) is not dict:
        return
    for validate, types in _VALIDATORS:
        result = _told(lambda: validate(answer))  # noqa: B023 - called at once
        if isinstance(result, AnswerError):
            continue
        assert isinstance(result, types)
        if isinstance(result, Started) and result.start is not None:
            _record(result.start, OBSERVED)
        elif isinstance(result, Description):
            _cache(result)
        elif isinstance(result, Observed):
            _record(START, result)


def _told(parse: Callable[[], Any]) -> Any:
    """Return what was made of an answer, or the error that says what is wrong with it."""
    with watched():
        try:
            result = parse()
        except AnswerError as error:
            result = error
    assert getattr(result, "issues", True)
    return result


def _cache(description: Description) -> None:
    """Write and read the entry: it says what the answer has said."""
    back = decode(encode([description.entry("a.b", Fingerprint(1, 2, "c"))]))["b"]
    plugins = [(p.name, p.description, p.references, p.interfaces) for p in back.plugins]
    assert (description.description, list(description.plugins)) == (back.description, plugins)


def _record(start: Start, observed: Observed) -> None:
    """Have the ledger keep it, and ask for it as the next run does."""
    with Files(enforced=False) as files:
        ledger = Ledger(None, files)
        with watched(READING):
            _noted(ledger, start, observed)
            # As the next run reads it.
            ledger.interpreters = json.loads(json.dumps(ledger.interpreters).encode("ascii"))
            recorded = Recorded(ledger, interpreter_of(PYTHON, (), ()), Look(), 0)
            recorded.why_stale("a.b", "pip x", None, "")
            recorded.package("a.b")
            recorded.resolved("a.i")
            list(recorded.paths())


def _noted(ledger: Ledger, start: Start, observed: Observed) -> None:
    recorded = Recorded(ledger, interpreter_of(PYTHON, (), ()), Look(), time.time_ns())
    recorded.note_start(start)
    recorded.note_package("a.b", start.path, observed)
    recorded.note_owner("a.b", "pip x", observed, Look())
    recorded.note_resolved({"a.i": {"I": True}}, observed)
    recorded.keep([("a.b", "pip x")], ["a.i"])


def ledger_seeds(directory: str) -> list[bytes]:
    """Make ledgers as they are written: an empty one, and one that remembers something."""
    made = []
    dropins = {"a.b.c": [None, [1, 2, "d"], "pip x", ["a.i"], None, "", "", []]}
    for full in (False, True):
        with Files(enforced=False) as files:
            ledger = Ledger(os.path.join(directory, "ledger"), files)
            if full:
                _noted(ledger, START, OBSERVED)
                for key, value in ledger.interpreters.items():
                    ledger.note_interpreter(key, {**value, "python": "/"})
                # An interpreter is kept for as long as it has written something.
                record = DirectoryRecord(
                    "a.b", "/a", [*ledger.interpreters], "0" * 64, 1, 1, dropins, packed(b"cache")
                )
                ledger.directories["/a/b"] = record
            ledger.save()
        with open(os.path.join(directory, "ledger"), "rb") as file:
            made.append(file.read())
    return made


def check_ledger(data: bytes, directory: str, whole: list[bytes]) -> None:
    """Load a ledger: it is one of those that were written, or there is none; then save it."""
    path = os.path.join(directory, "ledger")
    with open(path, "wb") as file:
        file.write(data)
    with Files(enforced=False) as files, watched(KEEPING):
        ledger = Ledger(path, files)
        ledger.save()
    # A missing line break at the end is the one thing that is forgiven.
    expected = data if data in whole else whole[0]
    with open(path, "rb") as file:
        assert expected == file.read()
