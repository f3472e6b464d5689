"""Raises what raises again when it is looked at."""


class Meta(type):
    """Has no name."""

    @property
    def __name__(cls) -> str:
        """Raise."""
        raise SystemExit


class UnprintableError(BaseException, metaclass=Meta):
    """Has no text."""

    def __str__(self) -> str:
        """Raise."""
        raise KeyboardInterrupt


raise UnprintableError
