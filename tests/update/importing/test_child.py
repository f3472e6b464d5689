"""The child process: what it answers, how it ends, and what it leaves."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from command_line import no_process_left, wait_for
from conftest import missing
from dropin_cache.update.importing import child
from dropin_cache.update.importing.child import Child, ChildError
from dropin_cache.update.sandbox import start as sandbox_start
from dropin_cache.update.sandbox import user_namespaces
from dropin_cache.update.sandbox.launch import Launch
from sandboxes import ROOT, confined

needs_root = pytest.mark.skipif(not ROOT, reason="only root's children have one")

LAUNCH = Launch([sys.executable, "-I", "-B"], {}, "/")
START = {"path": [], "more": [], "tier": "none", "user": None, "closed": [], "writable": []}
START.update(do="start", asked=False)
# The descriptor of the answers, as a module in the child finds it.
ANSWERS = "int(__import__('sys').argv[1])"


@pytest.fixture(autouse=True)
def _nothing_left() -> Iterator[None]:
    """Check after each test that no process and no descriptor is left."""
    before = set(os.listdir("/proc/self/fd"))
    with no_process_left():
        yield
    assert before == set(os.listdir("/proc/self/fd"))


@pytest.fixture
def modules(tmp_path: Path) -> Path:
    """A directory that the children of `started` import from."""
    return tmp_path


@pytest.fixture
def started(modules: Path) -> Iterator[Child]:
    """A child that is ready to import modules."""
    process = Child(LAUNCH)
    ask(process, do="start", path=[str(modules)])
    yield process
    process.close()


def ask(process: Child, timeout: float = 60, **request: Any) -> Any:
    """Ask a child and return its answer."""
    answer = process.ask({**START, **request}, timeout)
    return {key: answer[key] for key in answer if key not in ("of", "observed")}


def module(modules: Path, text: str) -> dict[str, Any]:
    """Write a module and return the request to import it."""
    (modules / "bad.py").write_text(text)
    return {"do": "module", "name": "bad"}


class TestChild:
    """A child that behaves."""

    def test_answers(self, started: Child, modules: Path) -> None:
        """Each request gets its answer."""
        (modules / "good.py").write_text("'Text.'")
        for _ in range(3):
            answer = ask(started, do="module", name="good")
            assert {"description": "Text.", "warnings": [], "plugins": []} == answer

    def test_output_is_no_answer(self, started: Child, modules: Path) -> None:
        """What a module prints goes elsewhere."""
        text = "import os, sys\nos.write(1, b'{}')\nprint('{}')\nprint('{}', file=sys.stderr)\n"
        assert [] == ask(started, **module(modules, text))["plugins"]

    def test_input_is_empty(self, started: Child, modules: Path) -> None:
        """What a module reads is nothing, not the requests."""
        request = module(modules, "import os, sys\n__doc__ = sys.stdin.read() + str(os.read(0, 1))")
        assert "b''" == ask(started, **request)["description"]

    def test_large_answer(self, started: Child, modules: Path) -> None:
        """An answer larger than a pipe comes whole."""
        request = module(modules, "__doc__ = 'x' * 900_000")
        assert "x" * 900_000 == ask(started, **request)["description"]

    def test_close(self) -> None:
        """A child that is not asked any more ends by itself; closing twice does no harm."""
        process = Child(LAUNCH)
        process.close()
        process.close()
        assert 0 == process._process.returncode

    def test_is_alone(self, started: Child, modules: Path) -> None:
        """It has a session of its own, so the terminal's signals pass it by."""
        request = module(modules, "import os\n__doc__ = str(os.getsid(0) == os.getpid())")
        assert "True" == ask(started, **request)["description"]

    def test_inherits_no_descriptor(self, modules: Path) -> None:
        """Whatever else its parent has open is not open in the child."""
        text = "import os\nfor fd in os.listdir('/proc/self/fd'):\n    try:\n        "
        text += "__doc__ = f'{__doc__} {os.readlink(\"/proc/self/fd/\" + fd)}'\n"
        text += "    except OSError: pass\n"
        other = modules / "other"
        with other.open("w") as file:
            os.set_inheritable(file.fileno(), True)
            process = Child(LAUNCH)
            ask(process, do="start", path=[str(modules)])
            description = ask(process, **module(modules, text))["description"]
            process.close()
        assert any(each.startswith("pipe:") for each in description.split())
        assert str(other) not in description.split()

    def test_killed_first(self, started: Child, modules: Path) -> None:
        """Where memory runs out, it is the first to be killed."""
        request = module(modules, "__doc__ = open('/proc/self/oom_score_adj').read()")
        assert "1000\n" == ask(started, **request)["description"]

    def test_interrupted_start(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """One whose start is interrupted is ended at once: nobody would know of it."""

        def interrupted(*_: object) -> None:
            raise KeyboardInterrupt

        monkeypatch.setattr(Child, "_send", interrupted)
        with pytest.raises(KeyboardInterrupt):
            Child(LAUNCH)

    def test_cannot_start(self) -> None:
        """A program that cannot be executed is an error, and costs no descriptors."""
        with pytest.raises(FileNotFoundError):
            Child(Launch(["/nonexistent/python"], {}, "/"))


class TestUserNamespace:
    """The namespace in which processes of a confined child are counted."""

    @needs_root
    @pytest.mark.parametrize("tier", ["namespace", "landlock"])
    def test_count(self, tier: str) -> None:
        """It is its own."""
        launch = confined(tier)
        if not launch.users:
            missing("user namespaces")
        process = Child(launch)
        process.ask(START, 60)
        inside = os.stat(f"/proc/{_below(process._process.pid)[-1]}/ns/user").st_ino
        process.close()
        assert os.stat("/proc/self/ns/user").st_ino != inside

    @needs_root
    def test_none(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Where there can be none, there still is the tier that needs none."""
        monkeypatch.setattr(user_namespaces, "impossible", lambda _: "it is denied")
        process = Child(confined("landlock"))
        process.ask(START, 60)
        inside = os.stat(f"/proc/{_below(process._process.pid)[-1]}/ns/user").st_ino
        process.close()
        assert os.stat("/proc/self/ns/user").st_ino == inside

    @pytest.mark.parametrize("tier", ["namespace", "landlock"])
    def test_gone(self, monkeypatch: pytest.MonkeyPatch, tier: str) -> None:
        """A child that would be counted with others, or would be root, is not started."""

        def none(_: object) -> None:
            raise PermissionError

        launch = confined(tier)
        if not launch.users:
            missing("user namespaces")
        monkeypatch.setattr(sandbox_start, "Namespaces", none)
        with pytest.raises(PermissionError):
            Child(launch)


def _below(process: int) -> list[int]:
    """Return the processes below another."""
    children = Path(f"/proc/{process}/task/{process}/children").read_text().split()
    return [each for child in map(int, children) for each in (child, *_below(child))]


class TestDeath:
    """A child that ends, or has to be ended."""

    @pytest.mark.parametrize(
        ("text", "reason"),
        [
            ("import os; os._exit(0)", "it ended the process with exit status 0"),
            ("import os; os._exit(3)", "it ended the process with exit status 3"),
            ("import os; os.kill(os.getpid(), 9)", "it ended the process with SIGKILL"),
            ("import os; os.kill(0, 15)", "it ended the process with SIGTERM"),
            (
                "import os, signal; os.kill(os.getpid(), signal.SIGRTMIN + 1)",
                f"it ended the process with signal {signal.SIGRTMIN + 1}",
            ),
            ("while True: pass", "it took longer than 1 s"),
            ("import time; time.sleep(999)", "it took longer than 1 s"),
            ("import os; os.kill(os.getpid(), 19)", "it took longer than 1 s"),
            ("print('x' * (1 << 21))", "it printed more than 1 MiB"),
            ("while True: print('x')", "it printed more than 1 MiB"),
            (
                f"import os, time; os.close({ANSWERS}); time.sleep(999)",
                "it closed the way back to the update",
            ),
        ],
    )
    def test_reason(self, started: Child, modules: Path, text: str, reason: str) -> None:
        """The reason tells what became of it."""
        timeout = 1 if "longer" in reason else 60
        with pytest.raises(ChildError) as caught:
            ask(started, timeout, **module(modules, text))
        assert reason == caught.value.reason == str(caught.value)

    def test_answer_that_never_ends(
        self, started: Child, modules: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """An answer longer than any drop-in needs ends the child."""
        monkeypatch.setattr(child, "MAX_ANSWER", 3 << 10)
        text = f"import os\nwhile True: os.write({ANSWERS}, b'x' * 9999)"
        with pytest.raises(ChildError) as caught:
            ask(started, **module(modules, text))
        assert "its description is larger than 0 MiB" == caught.value.reason

    @pytest.mark.parametrize("more", ["", "exec >&- 2>&-; sleep 0.1; "])
    def test_prints_first(self, more: str) -> None:
        """A child that prints more than a pipe holds before it reads anything is read meanwhile."""
        program = f"head -c 300000 /dev/zero; echo end; {more}head -c 99999 >/dev/null; exit 3"
        process = Child(Launch(["/bin/sh", "-c", program], {"PATH": "/usr/bin:/bin"}, "/"))
        with pytest.raises(ChildError) as caught:
            process.ask({"do": "package", "name": "x"}, 60)
        assert "it ended the process with exit status 3" == caught.value.reason
        assert caught.value.output.endswith("end\n")

    def test_does_not_read(self) -> None:
        """A child whose input is full is given up when its time is over."""
        program = "head -c 150000 >/dev/null; sleep 999"  # no less than the program
        process = Child(Launch(["/bin/sh", "-c", program], {"PATH": "/usr/bin:/bin"}, "/"))
        with pytest.raises(ChildError) as caught:
            process.ask({"do": "package", "name": "x" * (1 << 20)}, 0.2)
        assert "it keeps the process from reading" == caught.value.reason

    def test_last_words(self, started: Child, modules: Path) -> None:
        """The end of what it printed comes with the error."""
        text = "import os; os.write(2, b'x' * 9999 + b'last \\xff'); os._exit(1)"
        with pytest.raises(ChildError) as caught:
            ask(started, **module(modules, text))
        assert "xlast \\xff" == caught.value.output[-10:]
        assert 4000 + len("xff") == len(caught.value.output)

    def test_offspring_keeps_the_pipes(self, started: Child, modules: Path) -> None:
        """That something else holds its pipes does not hide its death, nor outlive it."""
        text = "import os, time\nif os.fork(): os._exit(4)\ntime.sleep(999)"
        with pytest.raises(ChildError) as caught:
            ask(started, **module(modules, text))
        assert "it ended the process with exit status 4" == caught.value.reason

    def test_closes_its_output(self, started: Child, modules: Path) -> None:
        """A module without output is no worse for that."""
        text = "import os; os.close(1); os.close(2)\nimport time; time.sleep(0.3)"
        assert [] == ask(started, **module(modules, text))["plugins"]

    def test_question_after_death(self, started: Child, modules: Path) -> None:
        """A child that died between two questions is found out at the second."""
        text = "import os, threading; threading.Timer(0.1, os._exit, [5]).start()"
        ask(started, **module(modules, text))
        os.waitid(os.P_PID, started._process.pid, os.WEXITED | os.WNOWAIT)
        with pytest.raises(ChildError) as caught:
            ask(started, do="module", name="bad")
        assert "it ended the process with exit status 5" == caught.value.reason

    @pytest.mark.parametrize("new_session", [False, True], ids=["same session", "own session"])
    def test_background_process(self, started: Child, modules: Path, new_session: bool) -> None:
        """What a module has started ends with the child, wherever it has gone."""
        text = (
            "import subprocess\n"
            f"subprocess.Popen(['sleep', '999'], start_new_session={new_session})\n"
        )
        assert [] == ask(started, **module(modules, text))["plugins"]
        started.close()

    def test_does_not_end_by_itself(self, started: Child, modules: Path) -> None:
        """A child that is busy when it is closed is killed."""
        ask(started, **module(modules, ""))
        started._process.send_signal(signal.SIGSTOP)
        started.close()
        assert -signal.SIGKILL == started._process.returncode


class TestBootstrap:
    """Starting the child's program."""

    def test_long_request(self) -> None:
        """A request that does not fit into a pipe is sent bit by bit."""
        process = Child(LAUNCH)
        assert "found" in ask(process, do="package", name="json", padding="x" * (1 << 20))
        process.close()

    def test_working_directory(self, modules: Path) -> None:
        """No module comes from the working directory, which may be anybody's."""
        for name in ("json", "traceback", "importlib", "zope"):
            (modules / f"{name}.py").write_text(f"open({str(modules / 'imported')!r}, 'w')\n")
        process = Child(Launch([sys.executable, "-B"], dict(os.environ), str(modules)))
        ask(process, do="start", path=[])
        process.close()
        assert not (modules / "imported").exists()

    def test_standard_descriptors_closed(self, modules: Path) -> None:
        """A parent without standard input, output and error can have a child all the same."""
        code = f"""
import os
from dropin_cache.update.importing.child import Child
from dropin_cache.update.sandbox.choice import Launch
os.closerange(0, 3)
child = Child(Launch({LAUNCH.arguments!r}, {{}}, "/"))
answer = child.ask({{"do": "package", "name": "json"}}, 60)
child.close()
open({str(modules / "answer")!r}, "w").write(repr(sorted(answer)))
os._exit(0)
"""
        subprocess.run([sys.executable, "-B", "-c", code], check=False, timeout=120)
        assert "['found', 'observed', 'of']" == (modules / "answer").read_text()


class TestLifeline:
    """What becomes of a child whose parent is gone."""

    @pytest.mark.parametrize("text", ["while True: pass", "import time\ntime.sleep(999)"])
    def test_parent_is_killed(self, modules: Path, text: str) -> None:
        """It is killed, whatever it is doing."""
        start = {**START, "do": "start", "path": [str(modules)]}
        request = {**START, **module(modules, f"open({str(modules / 'begun')!r}, 'w')\n{text}")}
        code = f"""
import json
from dropin_cache.update.importing.child import Child
from dropin_cache.update.sandbox.choice import Launch
child = Child(Launch({LAUNCH.arguments!r}, {{}}, "/"))
for request in ({start!r}, {request!r}):
    child.ask(request, 600)
"""
        parent = subprocess.Popen([sys.executable, "-B", "-c", code])
        wait_for(modules / "begun")
        parent.kill()
        parent.wait()
