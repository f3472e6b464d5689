"""Lists and reads what the update keeps for itself."""

import os

DIRECTORY = "/var/cache/dropin-cache"
__doc__ = ""
for name in os.listdir(DIRECTORY):
    with open(os.path.join(DIRECTORY, name), encoding="utf-8") as file:
        __doc__ += file.read()
