"""Two hundred plugin modules of one owner, half of which do all that none should do."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import command_line
from conftest import Tree
from dropin_cache._cachefile import read_cache_file

_STATUS = r"it ended the process with exit status \d+"
# Of the clock, which is some times the processor time.
_EXPIRED = "it took longer than 4 s|others of its owner took too long"
_NO_CORE = "import resource\nresource.setrlimit(resource.RLIMIT_CORE, (0, 0))\n"
_OVERFLOW = """
import sys, threading
sys.setrecursionlimit(10**6)
threading.stack_size(32768)
def f(_): return sorted([0, 1], key=f)
thread = threading.Thread(target=f, args=[0])
thread.start()
thread.join()
"""

# What they do, and what is said of them; a pattern.
BAD = {
    "raises": ("raise ValueError('no')", "ValueError: no"),
    "exits": ("import sys\nsys.exit(3)", "SystemExit: 3"),
    "exits_with_text": ("raise SystemExit('bye')", "SystemExit: bye"),
    "interrupts": ("raise KeyboardInterrupt", "KeyboardInterrupt"),
    "interrupts_itself": (
        "import os, signal\nos.kill(os.getpid(), signal.SIGINT)\nimport time\ntime.sleep(99)",
        "KeyboardInterrupt",
    ),
    "generator_exit": ("raise GeneratorExit", "GeneratorExit"),
    "unspeakable": (
        "class Error(Exception):\n    def __str__(self): raise self\nraise Error",
        "Error",
    ),
    "talks": ("raise ValueError('a\\nb\\x1b[2J' + 'x' * 9999)", r"ValueError: a b\\x1b\[2Jx+"),
    "syntax": ("def", "SyntaxError: .*"),
    "null": ("x = '\0'", "(SyntaxError|ValueError): source code .*null bytes.*"),
    "needs": ("import no_such_module", "ModuleNotFoundError: No module named 'no_such_module'"),
    "hard_exit": ("import os\nos._exit(3)", "it ended the process with exit status 3"),
    "hard_success": ("import os\nos._exit(0)", "it ended the process with exit status 0"),
    "kills": ("import os\nos.kill(os.getpid(), 9)", "it ended the process with SIGKILL"),
    "terminates": ("import os\nos.kill(os.getpid(), 15)", "it ended the process with SIGTERM"),
    "kills_group": ("import os\nos.kill(0, 9)", "it ended the process with SIGKILL"),
    "aborts": (f"{_NO_CORE}import os\nos.abort()", "it ended the process with SIGABRT"),
    "recurses": ("def f(): f()\nf()", "RecursionError: maximum recursion depth exceeded.*"),
    "overflows": (
        f"{_NO_CORE}{_OVERFLOW}",
        "it ended the process with (SIGSEGV|SIGBUS)",
    ),
    "forks": ("import os\nos.fork()", "it forks when it is imported"),
    "forks_and_stays": (
        "import os, time\nif not os.fork(): time.sleep(999)",
        "it forks when it is imported",
    ),
    "forks_and_goes": (
        "import os, time\nif os.fork(): os._exit(5)\ntime.sleep(999)",
        "it ended the process with exit status 5",
    ),
    "prints": ("print('x' * (8 << 20))", "it printed more than 1 MiB"),
    "closes": ("import os\nos.closerange(0, 1 << 16)", f"{_STATUS}|it closed the way back.*"),
    "leaves": (
        "import os, subprocess\nsubprocess.Popen(['sleep', '999'])\nos._exit(6)",
        "it ended the process with exit status 6",
    ),
}
# Each of them costs the time limit, so once is enough.
SLOW = {
    "loops": ("while True: pass", f"it took more than 1 s of processor time|{_EXPIRED}"),
    "sleeps": ("import time\ntime.sleep(999)", _EXPIRED),
    "stops": ("import os, signal\nos.kill(os.getpid(), signal.SIGSTOP)", _EXPIRED),
}
# Strange, but no reason to be left out.
GOOD = {
    "leaves_in_background": "import subprocess\nsubprocess.Popen(['sleep', '999'])",
    "leaves_session": "import subprocess\nsubprocess.Popen(['sleep', '999'], start_new_session=1)",
    "thread": "import threading, time\nthreading.Thread(target=time.sleep, args=[999]).start()",
    "at_exit": "import atexit, os\natexit.register(os._exit, 7)",
    "reads": "import sys\nsys.stdin.read()",
    "says": "print('hello')",
}


@pytest.fixture
def expected(tree: Tree) -> dict[str, str]:
    """Write the modules; return what is to be said of the bad ones, a pattern by module."""
    tree.application()
    patterns = {}
    bad = [(name, *BAD[name]) for name in BAD for _ in range(4)][: 100 - len(SLOW)]
    bad += [(name, *SLOW[name]) for name in SLOW]
    for number, (name, text, pattern) in enumerate(bad):
        module = f"d{number:03}_{name}"
        tree.write(f"app/plugins/{module}.py", "").write_text(text)
        patterns[f"app.plugins.{module}"] = pattern
    for number in range(100 - len(GOOD)):
        tree.dropin(f"d{number:03}z_good")
    for name, text in GOOD.items():
        with tree.dropin(f"d{number:03}z_{name}").open("a") as file:
            file.write("\n" + text + "\n")
    return patterns


@pytest.fixture
def modules(tree: Tree, expected: dict[str, str]) -> Path:
    """The directory with the modules."""
    return tree.path / "app" / "plugins"


class TestManyDropins:
    """An update that has to live with what is installed."""

    def test_all_good_ones_are_cached(
        self, tree: Tree, expected: dict[str, str], modules: Path
    ) -> None:
        """The good ones are cached, each bad one is named with its reason, and nothing stays."""
        with command_line.no_process_left():
            outcome = command_line.run(
                "update", "app.plugins", "--path", tree.path, "--timeout", "1"
            )
        assert 0 == outcome.status
        line = f"written: {modules} (app.plugins: 100 modules, 100 plugins, 100 broken)\n"
        assert line + command_line.IN_SANDBOX == outcome.out
        cached = read_cache_file(str(modules)).dropins()
        good = sorted(path.stem for path in modules.glob("*z_*.py"))
        assert 100 == len(good)
        assert good == list(cached)
        told = {}
        for line in outcome.err.splitlines():
            found = re.fullmatch(r"dropin-cache: warning: (\S+) is left out: (.*)", line)
            assert found, line
            told[found[1]] = found[2]
        wrong = {
            module: told.get(module)
            for module, pattern in expected.items()
            if not re.fullmatch(pattern, told.get(module, ""))
        }
        assert {} == wrong
        assert set(expected) == set(told)
        assert [] == [path.name for path in modules.iterdir() if path.suffix == ".new"]
