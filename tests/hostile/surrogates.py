"""Has half characters in its texts."""

from app.interfaces import IGreeter
from zope.interface import implementer

from dropin_cache import IPlugin


@implementer(IPlugin, IGreeter)
class Plugin:
    """Replaced."""


Plugin.__doc__ = "half \udcff"
globals()["plugin \ud800"] = Plugin()
__doc__ = "half \ud800"
