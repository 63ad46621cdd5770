"""Tell whether the libraries of the extra ``credentials`` are there."""

from __future__ import annotations

from importlib.util import find_spec

from ditto_avatar.errors import Unavailable


def has_library() -> bool:
    """Return whether films can be signed and their credentials read."""
    return find_spec("c2pa") is not None


def need_library() -> None:
    """Raise `Unavailable` where they cannot."""
    if not has_library():
        raise Unavailable(
            "Content credentials need another package: pip install -e '.[credentials]'."
        )
