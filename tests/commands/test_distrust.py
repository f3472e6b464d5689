"""What to do about something that root does not rely on."""

from __future__ import annotations

from pathlib import Path

import pytest

from dropin_cache.commands import distrust
from dropin_cache.commands.distrust import remedy
from dropin_cache.errors import UntrustedError

AS_USER = "Root relies on nothing that others can change. Run this as that user: sudo -u"


class TestRemedy:
    """The second line of a refusal."""

    @pytest.mark.parametrize(
        ("component", "problem", "expected"),
        [
            ("/home/ann", "belongs to user 1000 (ann), not to root", f"{AS_USER} ann "),
            ("/srv/x", "belongs to user 1234, not to root", f"{AS_USER} '#1234' "),
            ("/srv/x", "is a symbolic link of user 1000 (ann)", f"{AS_USER} ann "),
            (
                "/srv/x",
                "can be written by group 50 (staff)",
                "Only root may be able to write there: chmod g-w /srv/x. To trust staff: ",
            ),
            (
                "/srv/x",
                "can be written by group 77",
                "Only root may be able to write there: chmod g-w /srv/x. To trust 77: ",
            ),
            (
                "/srv/x",
                "can be written by those in its access control list",
                "Only root may be able to write there: setfacl -b /srv/x",
            ),
            (
                "/nonexistent/x",
                "can be written by others",
                "Only root may be able to write there: chmod go-w /nonexistent/x",
            ),
            (
                "/tmp",  # noqa: S108
                "can be written by others",
                "Everybody can write there, and is meant to.",
            ),
            ("/dev/null", "can be written by others", "Root uses files and directories only."),
            ("/dev/zero", "can be written by others", "Root uses files and directories only."),
            ("/dev/tty", "can be written by group 5 (x)", "Root uses files and directories only."),
            ("/dev/ptmx", "can be written by others", "Root uses files and directories only."),
            (
                "/srv/x",
                "may be a hard link that others have made",
                "Everybody can write there, and is meant to. Use a directory that is root's alone.",
            ),
        ],
    )
    def test_cases(self, component: str, problem: str, expected: str) -> None:
        """It is about that very case: it gives nobody's home away, and does not close /tmp."""
        advice = remedy(UntrustedError(component, component, problem))

        assert advice.startswith(expected)
        assert "chown" not in advice

    @pytest.mark.parametrize(
        ("users", "mapped"),
        [
            ("0 1000 1\n", False),
            ("0 1000 1\n 1 100000 65536\n", True),
            ("0 0 4294967295\n", True),
            ("nonsense", True),
            (None, True),
        ],
    )
    def test_user_namespace(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, users: str | None, mapped: bool
    ) -> None:
        """Where one number stands for all users outside, it is no user to run anything as."""
        file = tmp_path / "uid_map"
        if users is not None:
            file.write_text(users)
        monkeypatch.setattr(distrust, "_USERS", str(file))
        problem = "belongs to user 65534 (nobody), not to root"
        advice = remedy(UntrustedError("/", "/", problem))
        assert mapped == advice.startswith(f"{AS_USER} nobody ")
        assert mapped != advice.endswith("Run this outside of it, or as an ordinary user.")
