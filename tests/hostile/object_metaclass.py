"""Has a class that raises whatever it is asked."""


class Meta(type):
    """Raises."""

    def __getattribute__(cls, name: str) -> object:
        """Raise."""
        raise KeyboardInterrupt(name)

    def __instancecheck__(cls, instance: object) -> bool:
        """Raise."""
        raise SystemExit

    def __eq__(cls, other: object) -> bool:
        """Raise."""
        raise SystemExit

    def __hash__(cls) -> int:
        """Raise."""
        raise SystemExit


class Plugin(metaclass=Meta):
    """Can hardly be looked at."""


plugin = Plugin()
