"""Has a docstring that alone fills a cache."""

__doc__ = "x" * ((64 << 20) - 600)
