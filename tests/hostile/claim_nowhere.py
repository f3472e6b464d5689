"""Provides an interface of a module that exists in its own process only."""

import sys
import types

import zope.interface
from app.interfaces import IGreeter
from zope.interface.interface import InterfaceClass

from dropin_cache import IPlugin

nowhere = types.ModuleType("exists_here_only")
sys.modules["exists_here_only"] = nowhere
bases = (zope.interface.Interface,)
nowhere.IHere = InterfaceClass("IHere", bases, {}, __module__="exists_here_only")


class Plugin:
    """Provides it."""


plugin = Plugin()
zope.interface.directlyProvides(plugin, IPlugin, IGreeter, nowhere.IHere)
del nowhere, bases
