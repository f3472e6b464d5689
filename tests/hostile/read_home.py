"""Lists what root has at home."""

import os

__doc__ = f"done: {os.listdir('/root')}"
