"""Makes a file in the directory of the ledger."""

from app import victims

with open(f"/var/cache/dropin-cache/{victims.TAG}", "w", encoding="utf-8"):
    pass
