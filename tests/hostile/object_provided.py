"""Has an object whose __providedBy__ raises, and so does everything else of it."""


class Plugin:
    """Has no attributes."""

    def __getattribute__(self, name: str) -> object:
        """Raise."""
        raise SystemExit(name)


plugin = Plugin()
