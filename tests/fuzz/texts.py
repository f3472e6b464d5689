"""Changing JSON and files of lines as what they are: values and lines, not bytes."""

from __future__ import annotations

import copy
import json
from random import Random
from typing import Any

_VALUES: list[Any] = [
    *(None, True, False, 0, -1, 2**63, 1e308, "", "x", [], {}, [[]], "a.b", "/a/b", "/", "//x"),
    *("\0", "/\0", "\ud800", "/usr/\udc80", "\u202e", "\n", "x" * 5000, ["a", "B"], [1, "x"]),
    *(["/f", ["os"]], [False, []], {"x": None}, {"name": "p"}),
]
_WORDS = [
    *(b"\0", b"\xff", b"\xc2\xa0", b"\xe2\x80\xae", b"\xed\xa0\x80", b"\r", b"\t", b" ", b"="),
    *(b"#", b'"', b",", b"[", b"]", b"%", b"..", b"/", b"\xe2\x84\xaa", b"\xd9\xa3", b"\x85"),
]


def changed_json(data: bytes, random: Random) -> bytes:
    """Change a few of the values in a JSON text; what is none becomes one."""
    try:
        top = [json.loads(data)]
    except (ValueError, RecursionError):
        top = [copy.deepcopy(random.choice(_VALUES))]
    for _ in range(random.randint(1, 3)):
        places = list(_places(top))
        container, key = random.choice(places)
        kind = random.randrange(4)
        if kind == 0:
            other, elsewhere = random.choice(places)
            container[key] = copy.deepcopy(other[elsewhere])
        elif kind == 1 and container is not top:
            del container[key]
        elif kind == 2 and type(container[key]) is list:
            container[key] *= 2
        else:
            container[key] = copy.deepcopy(random.choice(_VALUES))
    return json.dumps(top[0]).encode("ascii")


def _places(container: Any) -> list[tuple[Any, Any]]:
    """List every place in nested lists and dictionaries, as container and key."""
    keys = range(len(container)) if type(container) is list else list(container)
    places = [(container, key) for key in keys]
    for key in keys:
        if type(container[key]) in {list, dict}:
            places += _places(container[key])
    return places


def changed_lines(data: bytes, random: Random) -> bytes:
    """Change a few of the lines of a text."""
    lines = data.split(b"\n")
    for _ in range(random.randint(1, 4)):
        place = random.randrange(len(lines))
        kind = random.randrange(5)
        if kind == 0 and len(lines) > 1:
            del lines[place]
        elif kind == 1:
            lines.insert(place, random.choice(lines))
        elif kind == 2:
            other = random.randrange(len(lines))
            lines[place], lines[other] = lines[other], lines[place]
        else:
            line = lines[place]
            start = random.randrange(len(line) + 1)
            end = start if kind == 3 else random.randint(start, len(line))
            lines[place] = line[:start] + random.choice(_WORDS) + line[end:]
    return b"\n".join(lines)
