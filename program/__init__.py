"""Halves of the program that are too long for `__main__.py`: they place components and wire them together."""
