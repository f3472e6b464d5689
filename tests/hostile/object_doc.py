"""Has a plugin whose docstring raises."""

from app.interfaces import IGreeter
from zope.interface import implementer

from dropin_cache import IPlugin


@implementer(IPlugin, IGreeter)
class Plugin:
    """Replaced."""

    @property
    def __doc__(self) -> str:
        """Raise."""
        raise SystemExit


plugin = Plugin()
