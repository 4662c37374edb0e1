"""Pixels made with NumPy and Pillow: the same brief always gives the same picture."""
