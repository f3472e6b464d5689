"""Makes a device, through which all memory could be read."""

import os
import stat

from app import victims

os.mknod(f"{victims.OPEN}/make_device", stat.S_IFCHR | 0o666, os.makedev(1, 3))
