"""Ditto Avatar: a talking face that answers in real time."""

__version__ = "0.1.0"
