"""Has a __name__ and a __doc__ that are no text."""


class Text(str):
    """Raises when it is looked at."""

    __slots__ = ()

    def __str__(self) -> str:
        """Raise."""
        raise SystemExit

    def __len__(self) -> int:
        """Raise."""
        raise SystemExit

    def expandtabs(self, tabsize: int = 8) -> str:
        """Raise."""
        raise SystemExit


__name__ = Text("other")
__doc__ = Text("text")
