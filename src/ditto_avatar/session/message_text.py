"""Check the length and the characters of a message."""

from __future__ import annotations

from unicodedata import category

from ditto_avatar.errors import InvalidInput

# Control characters, lone surrogates and unassigned code points; format characters stay, since
# emoji are joined by them.
_UNPRINTABLE = ("Cc", "Cs", "Cn")


def checked_message(text: str, limit: int) -> str:
    """Return `text` without unprintable characters and the space around it. Raises `InvalidInput`
    when nothing is left or more than `limit` characters."""
    cleaned = "".join(c for c in text if c in "\n\t" or category(c) not in _UNPRINTABLE)
    cleaned = cleaned.strip()
    if all(category(c)[0] in "ZC" for c in cleaned):
        raise InvalidInput("The text is empty: please write something to say.")
    if len(cleaned) > limit:
        raise InvalidInput(
            f"The text has {len(cleaned):,} characters; at most {limit:,} can be taken."
        )
    return cleaned
