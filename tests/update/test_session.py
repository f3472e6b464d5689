"""What a run works with."""

from __future__ import annotations

import contextlib
import os
import sys
from pathlib import Path

import pytest

from command_line import in_mount_namespace, unprivileged
from dropin_cache.errors import DirectoryError, LockTimeoutError, NoSandboxError, UntrustedError
from dropin_cache.update.discovery import rpm
from dropin_cache.update.discovery.owners import Owner
from dropin_cache.update.files import cache_directory
from dropin_cache.update.report import Request
from dropin_cache.update.sandbox import launch
from dropin_cache.update.session import open_session

ROOT = os.geteuid() == 0


class TestOpenSession:
    """From a request to all that is needed for it."""

    def test_defaults(self) -> None:
        """Who asks for nothing gets what is configured, else half a minute for anything."""
        with open_session(Request()) as session:
            expected = (ROOT, 30.0, 30.0)
            assert expected == (session.privileged, session.timeout, session.patience.seconds)
            assert "/somewhere" == session.shown("/somewhere")

    def test_others(self) -> None:
        """Who only looks has root's ledgers besides; who writes, has what is his."""
        for write in (True, False):
            with unprivileged(), open_session(Request(write=write)) as session:
                assert not session.privileged
                assert write is (session.ledgers._beside is None)

    def test_asked_for(self) -> None:
        """What the request says comes first, also nothing."""
        with open_session(Request(timeout=7.0, lock_timeout=0.0)) as session:
            assert (7.0, 0.0) == (session.timeout, session.patience.seconds)

    @pytest.mark.parametrize(
        ("request_", "root", "user"),
        [
            (Request(), ("namespace", "landlock"), ("none",)),
            (Request(sandbox="landlock"), ("landlock",), ("landlock",)),
            (Request(sandbox="none"), ("none",), ("none",)),
            (Request(root="/"), ("namespace",), ("namespace",)),
            (Request(root="/", sandbox="none"), ("none",), ("none",)),
        ],
        ids=["auto", "landlock", "none", "image", "image and none"],
    )
    def test_tiers(self, request_: Request, root: tuple[str, ...], user: tuple[str, ...]) -> None:
        """Which sandbox is allowed depends on who asks, and for what."""
        with open_session(request_) as session:
            assert (root if ROOT else user) == session.confinement.allowed

    def test_chosen_late(self) -> None:
        """The sandbox is tried out when it is needed, not before."""
        with open_session(Request(sandbox="no such")) as session:
            assert None is session.confinement.tier
            with pytest.raises(NoSandboxError):
                session.confinement.chosen()

    def test_closed(self) -> None:
        """Where root keeps what nobody else may touch, no child may be able to write."""
        with open_session(Request()) as session:
            assert ROOT == ("/var/cache/dropin-cache" in session.confinement.closed)

    def test_root(self, public_path: Path) -> None:
        """In another root, paths are what they are there, and are shown as they are here."""
        (public_path / "inside").touch()
        for root in (public_path, f"{public_path}/"):
            with open_session(Request(root=str(root))) as session:
                os.close(session.files.file("/inside"))
                os.close(session.unchecked.file("/inside"))
                assert f"{public_path}/inside" == session.shown("/inside")
                # An image keeps no ledger.
                assert [] == list(session.ledgers.paths())

    @pytest.mark.processes
    @pytest.mark.skipif(not ROOT, reason="users' updates need none")
    def test_no_proc(self) -> None:
        """Root looks at nothing where there is no /proc: descriptors could not be relied on."""
        command = [sys.executable, "-B", "-m", "dropin_cache", "update"]
        done = in_mount_namespace('umount --lazy /proc; exec "$@"', *command)
        assert (5, "") == (done.status, done.out)
        assert done.err.startswith("dropin-cache: error: /proc is not mounted")

    def test_relative_root(self, public_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """A relative root counts from here."""
        monkeypatch.chdir(public_path)
        with open_session(Request(root=".")) as session:
            assert str(public_path) == session.request.root

    @pytest.mark.parametrize(
        ("name", "reason"), [("missing", "No such file or directory"), ("file", "Not a directory")]
    )
    def test_no_root(self, public_path: Path, name: str, reason: str) -> None:
        """What is no directory is no root."""
        (public_path / "file").touch()
        path = str(public_path / name)
        with pytest.raises(DirectoryError) as caught, open_session(Request(root=path)):
            pass
        assert (path, reason) == (caught.value.path, caught.value.reason)

    @pytest.mark.skipif(not ROOT, reason="users rely on what they may")
    def test_root_of_others(self, public_path: Path) -> None:
        """Root does not work where others can write."""
        public_path.chmod(0o777)
        request = Request(root=str(public_path))
        with pytest.raises(UntrustedError), open_session(request):
            pass


@pytest.mark.processes
class TestOwners:
    """Who asks rpm about an image."""

    @pytest.fixture
    def image(self, public_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        """An image, and a tool that names its user, and what it can write, as the package."""
        (public_path / "image/var/lib/rpm").mkdir(parents=True)
        (public_path / "image/var/lib/rpm/rpmdb.sqlite").touch()
        tool = public_path / "rpm"
        tool.write_text(
            '#!/bin/sh\n: >> "$2/rpmdb.sqlite" && : > "$2/.rpm.lock" &&\n'
            "printf 'u%s.%s\\t/a.py\\n' $(id -u) $(id -G)\n"
        )
        tool.chmod(0o755)
        monkeypatch.setattr(rpm, "_RPM", str(tool))
        return public_path / "image"

    def asked(self, image: Path) -> Owner | None:
        """Return whose a file of the image is."""
        with open_session(Request(root=str(image))) as session:
            return session.owners().owner_of("/a.py")

    def test_not_root(self, image: Path) -> None:
        """It is never root, and has a copy that it can write."""
        account = launch.child_account()
        user, group = account.uid, account.gid
        if os.geteuid() != 0:
            user, group = os.geteuid(), os.getegid()
        assert Owner(f"u{user}.{group}", "rpm") == self.asked(image)
        with unprivileged(), open_session(Request()) as session:
            expected = rpm.Reader((), os.geteuid(), os.getegid())
            assert expected == session.owners()._reader

    @pytest.mark.skipif(os.geteuid() != 0, reason="others have no other user")
    def test_nobody(self, image: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Where root cannot be given up, rpm is not asked."""
        monkeypatch.setattr(launch, "SETPRIV", str(image / "setpriv"))
        assert None is self.asked(image)


class TestLocked:
    """Opening directories for writing."""

    def test_waits_once(self, tmp_path: Path) -> None:
        """Who has waited for a writer in vain does not wait at the next directory."""
        places = [tmp_path / "a", tmp_path / "b"]
        with contextlib.ExitStack() as others:
            for place in places:
                place.mkdir()
                others.enter_context(cache_directory.open_locked(str(place), 0))
            with open_session(Request(lock_timeout=0.01)) as session:
                timeouts = []
                for place in places:
                    with pytest.raises(LockTimeoutError) as caught, session.locked(str(place)):
                        pass
                    timeouts.append(caught.value.timeout)
        assert [0.01, 0.0] == timeouts

    def test_need_not_wait(self, tmp_path: Path) -> None:
        """What can as well be done another time waits for nobody."""
        with (
            cache_directory.open_locked(str(tmp_path), 0),
            open_session(Request(lock_timeout=60)) as session,
            pytest.raises(LockTimeoutError) as caught,
            session.locked(str(tmp_path), waits=False),
        ):
            pass
        assert (0.0, 60.0) == (caught.value.timeout, session.patience.seconds)
