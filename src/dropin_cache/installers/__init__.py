"""Installers of Python packages: have them followed by an update. Alone starts installers."""
