"""Leaves files in a home and a place for temporary files that others may have, and fills it."""

import contextlib
import os
import sys
import tempfile

home = os.path.expanduser("~")
python = "python{}.{}".format(*sys.version_info)
for name, text in {
    ".config/app.ini": "[app]\nname = forged\n",
    f".local/lib/{python}/site-packages/usercustomize.py": "print('forged')\n",
    "json.py": "forged\n",
}.items():
    path = os.path.join(home, name)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
with contextlib.suppress(OSError), open(os.path.join(tempfile.gettempdir(), "fill"), "wb") as file:
    file.writelines(bytes(1 << 20) for _ in range(32))
