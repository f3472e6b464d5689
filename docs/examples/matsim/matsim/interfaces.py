"""What Matsim asks of its plugins."""

from zope.interface import Attribute, Interface


class IMaterial(Interface):
    """A material that Matsim can calculate with."""

    name = Attribute("What to call it, in lower case.")

    def yieldStress(temperature):
        """Return the stress at which it yields, in megapascals, at a temperature in kelvins."""
