"""Ditto Avatar: a talking face that answers in real time."""

from importlib.metadata import version

__version__ = version("ditto-avatar")
