"""Shows materials."""

from dropin_cache import getPlugins
from matsim import plugins
from matsim.interfaces import IMaterial


def displayAllKnownMaterials():
    """Print every material that somebody has installed."""
    for material in getPlugins(IMaterial, plugins):
        print(f"{material.name}: yields at {material.yieldStress(293)} MPa")
