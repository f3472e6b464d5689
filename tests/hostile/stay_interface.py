"""Makes nothing provide anything any more."""

import zope.interface
import zope.interface.declarations

zope.interface.providedBy = zope.interface.declarations.providedBy = lambda thing: []
