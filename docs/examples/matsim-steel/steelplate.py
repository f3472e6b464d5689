"""A material for Matsim."""

from zope.interface import implementer

from dropin_cache import IPlugin
from matsim.interfaces import IMaterial


@implementer(IPlugin, IMaterial)
class SteelPlate:
    """A plate of steel."""

    name = "steel plate"

    def yieldStress(self, temperature):
        """Return the stress at which it yields, in megapascals."""
        return 250


steelPlate = SteelPlate()
