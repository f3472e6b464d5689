"""The ledger: a cache, and no more than that."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Callable

import pytest

from command_line import (
    account,
    give_away,
    in_mount_namespace,
    no_process_left,
    strace,
    unprivileged,
)
from conftest import Tree
from dropin_cache._scan import digest_of
from dropin_cache.update.files.lock import lock
from dropin_cache.update.files.trusted import Files
from dropin_cache.update.state import ledger as ledger_module
from dropin_cache.update.state.ledger import DirectoryRecord, Ledger
from updates import ledger_file, run

ROOT = os.geteuid() == 0
RECORD = DirectoryRecord("app.plugins", "/root", ["key"], None, 0, 0, {}, "")


@pytest.fixture(autouse=True)
def _nothing_left() -> Iterator[None]:
    """Check after each test that no process is left."""
    with no_process_left():
        yield


@pytest.fixture
def app(tree: Tree) -> Tree:
    """A tree with an application and two drop-ins."""
    tree.application()
    tree.dropin("one")
    tree.dropin("two")
    return tree


def opened(directory: Path | None) -> Ledger:
    """Open a ledger in a directory."""
    path = None if directory is None else str(directory / "ledger")
    return Ledger(path, Files(enforced=False))


def rewrite(file: Path, change: Callable[[Any], object]) -> None:
    """Change what a ledger says, with a checksum that fits."""
    heading, body = file.read_bytes().split(b"\n")[:2]
    content = json.loads(body)
    change(content)
    body = json.dumps(content).encode()
    version = heading.rpartition(b" ")[0]
    file.write_bytes(b"%s %s\n%s\n" % (version, digest_of(body).encode(), body))


class TestUpdate:
    """What becomes of an update when something is wrong with the ledger."""

    def test_no_process(self, app: Tree, tmp_path: Path) -> None:
        """With a ledger that holds, the command executes nothing but itself."""
        command = [sys.executable, "-B", "-m", "dropin_cache", "update", "app.plugins"]
        command += ["--path", str(app.path)]
        assert ["one", "two"] == run(app).imported
        trace = tmp_path / "trace"
        traced = [*strace("-e", "trace=execve,fork,vfork,clone,clone3", "-o", str(trace))]
        done = subprocess.run([*traced, *command], check=True, capture_output=True, text=True)
        assert ("", 1) == (done.stderr, len(trace.read_text().splitlines()))
        assert done.stdout.startswith("unchanged: ")

    def test_not_written_again(self, app: Tree) -> None:
        """A run that finds nothing new leaves it alone."""
        run(app)
        before = os.stat(ledger_file())
        run(app)
        after = os.stat(ledger_file())
        assert (before.st_ino, before.st_mtime_ns) == (after.st_ino, after.st_mtime_ns)

    def test_check_writes_nothing(self, app: Tree) -> None:
        """A check does not even keep what it has found out."""
        run(app, write=False)
        assert not ledger_file().parent.exists()

    @pytest.mark.parametrize(
        "damage",
        [
            lambda file: file.unlink(),
            lambda file: file.write_bytes(b""),
            lambda file: file.write_bytes(file.read_bytes()[:-100]),
            lambda file: file.write_bytes(file.read_bytes() + b"\n"),
            lambda file: file.write_bytes(file.read_bytes().replace(b"one", b"two", 1)),
            lambda file: file.write_bytes(file.read_bytes().replace(b"ledger 8 ", b"ledger 6 ")),
            lambda file: file.write_bytes(b"\xff" * 1000),
            lambda file: os.truncate(file, ledger_module.MAX_SIZE + 100),
            lambda file: (file.unlink(), file.mkdir()),
            lambda file: (file.unlink(), os.mkfifo(file)),
            lambda file: (file.unlink(), file.symlink_to(file.name)),
        ],
        ids=[
            *("gone", "empty", "cut", "longer", "changed", "version", "nonsense", "huge"),
            *("directory", "FIFO", "loop"),
        ],
    )
    def test_damaged(self, app: Tree, damage: Callable[[Path], object]) -> None:
        """One that cannot be used means that everything is imported, and no error."""
        first = run(app)
        damage(ledger_file())
        done = run(app)
        assert (["one", "two"], ["unchanged"]) == (done.imported, list(done.states.values()))
        assert {"it is new"} == set(done.changes.values())
        assert first.report.problems == done.report.problems

    def test_nested_too_deeply(self, app: Tree) -> None:
        """Nor does it matter what a valid checksum belongs to."""
        run(app)
        body = b"[" * 100_000
        file = ledger_file()
        version = file.read_bytes().partition(b"\n")[0].rpartition(b" ")[0]
        file.write_bytes(b"%s %s\n%s\n" % (version, digest_of(body).encode(), body))
        assert ["one", "two"] == run(app).imported
        assert [] == run(app).imported

    @pytest.mark.skipif(not ROOT, reason="users rely on what they may")
    @pytest.mark.parametrize("file", [True, False], ids=["file", "directory"])
    def test_of_others(self, app: Tree, file: bool) -> None:
        """What others could have written is not believed, nor written to."""
        run(app)
        (ledger_file() if file else ledger_file().parent).chmod(0o666 if file else 0o777)
        before = ledger_file().read_bytes()
        assert ["one", "two"] == run(app).imported
        if not file:
            assert before == ledger_file().read_bytes()
            assert ["one", "two"] == run(app).imported

    def test_no_place(self, app: Tree) -> None:
        """Where it cannot be, everything is imported each time."""
        ledger_file().parent.parent.mkdir(parents=True, exist_ok=True)
        ledger_file().parent.write_text("in the way")
        try:
            for _ in range(2):
                assert ["one", "two"] == run(app).imported
        finally:
            ledger_file().parent.unlink()

    def test_read_only(self, app: Tree) -> None:
        """So it is where nothing can be written, and that is no error."""
        script = """
            mkdir -p /var/cache/dropin-cache
            mount -t tmpfs -o ro none /var/cache/dropin-cache
            "$@" update -q app.plugins
            rm "$PLUGINS/dropin.cache"
            exec "$@" update -q app.plugins
        """
        plugins = app.path / "app" / "plugins"
        command = [sys.executable, "-B", "-m", "dropin_cache"]
        script = script.replace("app.plugins", f"app.plugins --path {app.path}")
        done = in_mount_namespace(script, *command, env={"PLUGINS": str(plugins)})
        assert (0, "", "") == done
        assert (plugins / "dropin.cache").exists()

    def test_of_a_user(self, app: Tree, public_path: Path) -> None:
        """Each user has one, in the place for such things."""
        user = account(public_path)
        tree = Tree(public_path / "home" / "tree")
        tree.application()
        tree.dropin("one")
        if ROOT:
            for path in (tree.path, *tree.path.rglob("*")):
                os.chown(path, 65534, 65534)
        arguments = ("update", "-v", "app.plugins", "--path", tree.path)
        assert 0 == user.run(*arguments).status
        (file,) = (public_path / "home" / "cache" / "dropin-cache").glob("*.ledger")
        assert 0o644 == stat.S_IMODE(file.stat().st_mode)
        assert b"app.plugins.one" in file.read_bytes()

    def test_cache_changed_behind_its_back(self, app: Tree) -> None:
        """A cache that is not what was written last is made anew."""
        run(app)
        cache = app.path / "app" / "plugins" / "dropin.cache"
        good = cache.read_bytes()
        cache.write_bytes(good[:100])
        done = run(app)
        assert (["one", "two"], ["written"]) == (done.imported, list(done.states.values()))
        assert {"the cache is not what was written last"} == set(done.changes.values())
        assert good == cache.read_bytes()

    @pytest.mark.parametrize(
        ("change", "state"),
        [
            (lambda cache: os.utime(cache, (0, 0)), "unchanged"),
            (lambda cache: cache.chmod(0o600), "written"),
        ],
        ids=["date", "mode"],
    )
    def test_only_the_outside_changed(
        self, app: Tree, change: Callable[[Path], object], state: str
    ) -> None:
        """A wrong date or mode is put right without importing anything."""
        run(app)
        cache = app.path / "app" / "plugins" / "dropin.cache"
        before = cache.stat().st_mtime_ns, cache.stat().st_mode
        change(cache)
        done = run(app)
        assert ([], [state]) == (done.imported, list(done.states.values()))
        assert before == (cache.stat().st_mtime_ns, cache.stat().st_mode)

    def test_interpreter_that_went(self, app: Tree) -> None:
        """What is known of an interpreter goes with it."""
        run(app)
        ledger = ledger_file()

        def change(content: Any) -> None:
            (record,) = content["interpreters"].values()
            content["interpreters"]["other"] = {**record, "python": "/nonexistent/python"}

        rewrite(ledger, change)
        assert [] == run(app).imported
        assert b"/nonexistent/python" not in ledger.read_bytes()


class TestLedger:
    """The ledger itself."""

    def test_nowhere(self) -> None:
        """One that lies nowhere is empty, and stays so."""
        ledger = opened(None)
        ledger.directories["/a"] = RECORD
        ledger.save()
        ledger.remove()
        assert {} == opened(None).directories

    def test_saved(self, tmp_path: Path) -> None:
        """What is saved is there the next time, its directory made if need be."""
        ledger = opened(tmp_path / "ledger")
        ledger.sandbox = "none"
        ledger.directories["/a"] = RECORD
        ledger.note_interpreter("key", {"python": sys.executable})
        ledger.save()
        again = opened(tmp_path / "ledger")
        assert ("none", {"/a": RECORD}, {"key": {"python": sys.executable}}) == (
            again.sandbox,
            again.directories,
            again.interpreters,
        )
        assert ["ledger"] == os.listdir(tmp_path / "ledger")

    def test_mode(self, tmp_path: Path) -> None:
        """Everybody may read it, whatever the umask; a check runs without privilege."""
        before = os.umask(0o077)
        try:
            opened(tmp_path / "ledger").save()
        finally:
            os.umask(before)
        mode = (tmp_path / "ledger" / "ledger").stat().st_mode
        assert 0o644 == stat.S_IMODE(mode)

    def test_too_large(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """One that would not be read is not written."""
        ledger = opened(tmp_path)
        ledger.save()
        before = (tmp_path / "ledger").read_bytes()
        monkeypatch.setattr(ledger_module, "MAX_SIZE", len(before))
        ledger.directories["/a"] = RECORD
        ledger.save()
        assert before == (tmp_path / "ledger").read_bytes()

    def test_directories_above(self, public_path: Path) -> None:
        """For users, the directories above are made, too."""
        place = give_away(public_path / "home") / "a" / "b"
        with unprivileged():
            opened(place).save()
        assert ["ledger"] == os.listdir(place)

    @pytest.mark.skipif(not ROOT, reason="users have no such place")
    def test_no_directories_above(self, tmp_path: Path) -> None:
        """For root they have to be there: a machine without /var/cache wants no state."""
        opened(tmp_path / "a" / "b").save()
        assert [] == os.listdir(tmp_path)

    @pytest.mark.parametrize(
        ("name", "there"),
        [(".ledger.0123456789abcdef.new", False), (".ledger.0123456789abcdef.old", True)],
        ids=["ours", "other"],
    )
    def test_leftovers(self, tmp_path: Path, name: str, there: bool) -> None:
        """What a killed run has left goes at once."""
        (tmp_path / name).touch()
        opened(tmp_path).save()
        assert there == (tmp_path / name).exists()

    def test_locked(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """While another run writes it, nothing of that is touched."""
        place = tmp_path / "ledger"
        place.mkdir()
        temporary = place / ".ledger.0123456789abcdef.new"
        temporary.touch()
        monkeypatch.setattr(ledger_module, "_LOCK_TIMEOUT", 0)
        directory = os.open(place, os.O_RDONLY)
        with lock(directory, str(place), 0):
            opened(place).save()
        os.close(directory)
        assert [temporary.name] == os.listdir(place)

    def test_removed_with_leftovers(self, tmp_path: Path) -> None:
        """All of it goes with the ledger."""
        ledger = opened(tmp_path / "ledger")
        ledger.save()
        (tmp_path / "ledger" / ".ledger.0123456789abcdef.new").touch()
        os.utime(tmp_path / "ledger" / ".ledger.0123456789abcdef.new", (0, 0))
        ledger.remove()
        assert not (tmp_path / "ledger").exists()

    def test_removed(self, tmp_path: Path) -> None:
        """It goes with its directory."""
        ledger = opened(tmp_path / "ledger")
        ledger.remove()
        ledger.save()
        ledger.remove()
        assert not (tmp_path / "ledger").exists()

    def test_not_alone(self, tmp_path: Path) -> None:
        """Its directory stays if there is something else in it."""
        ledger = opened(tmp_path / "ledger")
        ledger.save()
        (tmp_path / "ledger" / "other").touch()
        ledger.remove()
        assert ["other"] == os.listdir(tmp_path / "ledger")
