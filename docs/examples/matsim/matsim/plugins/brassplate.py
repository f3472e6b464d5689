"""The material that Matsim brings itself."""

from zope.interface import implementer

from dropin_cache import IPlugin
from matsim.interfaces import IMaterial


@implementer(IPlugin, IMaterial)
class BrassPlate:
    """A plate of brass."""

    name = "brass plate"

    def yieldStress(self, temperature):
        """Return the stress at which it yields, in megapascals."""
        return 110


brassPlate = BrassPlate()
