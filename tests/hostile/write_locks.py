"""Makes a file in the directory of the locks."""

from app import victims

with open(f"/run/lock/dropin-cache/{victims.TAG}", "w", encoding="utf-8"):
    pass
