"""The configuration; dropin-cache.conf(5) is the reference."""
