"""How a child gets its program: the interpreter that is asked need not have this project."""

from __future__ import annotations

from importlib.util import MAGIC_NUMBER
from typing import NamedTuple

from dropin_cache.update.sandbox.launch import source_of

# What the child is handed; the last is its main program.
PARTS = (
    "dropin_cache._describe",
    "dropin_cache.update.payload.confinement",
    "dropin_cache.update.payload.observation",
    "dropin_cache.update.payload.proof",
    "dropin_cache.update.payload.startup",
    "dropin_cache.update.payload.program",
)
# What code is compiled for: it takes a child of another version longer to compile the source.
_MAGIC = MAGIC_NUMBER.hex()
# Runs on any Python, to tell one that is too old from what is no Python. Arguments: descriptor of
# the answers and of the lifeline, then what the code is compiled for, then for each part the sizes
# of code and source, its name and its file name.
_BOOTSTRAP = r"""
import sys
sys.path[:] = [entry for entry in sys.path if entry]  # without '', the working directory
import os, types
try:
    # Where memory runs out, this is to be killed before anything else.
    with open("/proc/self/oom_score_adj", "w") as file:
        file.write("1000")
except (IOError, OSError):
    pass
def read(size):
    data = b""
    while len(data) < int(size):
        chunk = os.read(0, int(size) - len(data))
        if not chunk:
            sys.exit()
        data += chunk
    return data
def part(code, text, file):
    code, text = read(code), read(text)
    return marshal.loads(code) if sys.argv[3] == magic else compile(text, file, "exec")
if sys.version_info < (3, 9):
    import json
    stream = os.fdopen(0, "rb")
    stream.read(sum(int(size) for size in sys.argv[4::4] + sys.argv[5::4]))
    answer = {"version": sys.version_info[:2], "zope": True, "path": [], "files": []}
    observed = {"files": [], "listed": [], "paths": [], "names": []}
    answer.update(packages=[], of="start", observed=observed)
    os.write(int(sys.argv[1]), (json.dumps(answer) + "\n").encode("ascii"))
    sys.exit()
import marshal
import _frozen_importlib_external
magic = _frozen_importlib_external.MAGIC_NUMBER.hex()
parts = sys.argv[4:]
while len(parts) > 4:
    code, text, name, file = parts[:4]
    del parts[:4]
    module = sys.modules[name] = types.ModuleType(name)
    exec(part(code, text, file), module.__dict__)
    above, _, last = name.rpartition(".")
    while above and above not in sys.modules:
        package = sys.modules[above] = types.ModuleType(above)
        package.__path__ = []
        above = above.rpartition(".")[0]
    setattr(sys.modules[name.rpartition(".")[0]], last, module)
code, text, name, file = parts
exec(part(code, text, file))
"""


class Program(NamedTuple):
    """The program of a child.

    Attributes:
        arguments: What follows the interpreter on the command line.
        text: What it reads from its input before the first request.
    """

    arguments: list[str]
    text: bytes


def program(answers: int, lifeline: int) -> Program:
    """Return the program of a child.

    Args:
        answers: The descriptor that it is to write answers to.
        lifeline: The descriptor that it is to end with.

    Raises:
        UnreadableError: It cannot be read.
    """
    arguments = ["-c", _BOOTSTRAP, str(answers), str(lifeline), _MAGIC]
    text = b""
    for source in map(source_of, PARTS):
        source_text = source.text.encode()
        arguments += [str(len(source.code)), str(len(source_text)), source.name, source.file]
        text += source.code + source_text
    return Program(arguments, text)
