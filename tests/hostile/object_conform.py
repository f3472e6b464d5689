"""Has an object whose __conform__ raises."""


class Plugin:
    """Adapts itself."""

    def __conform__(self, interface: object) -> object:
        """Raise."""
        raise KeyboardInterrupt


plugin = Plugin()
