"""Ask every configured engine once whether it works, cheaply and all at the same time."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable
from dataclasses import dataclass

from ditto_avatar.errors import DittoAvatarError
from ditto_avatar.providers import ProviderCheck

log = logging.getLogger(__name__)

# Longer than the deadlines that services have by themselves.
_ANSWER_S = 20.0


@dataclass(frozen=True, slots=True)
class Checked:
    """`part` is what the engine is for (``dialogue``, ``speech``, ``transcription``); `text` a
    sentence for people, without secrets."""

    part: str
    engine: str
    works: bool
    text: str


async def check_all(engines: Iterable[tuple[str, object]]) -> list[Checked]:
    """Ask every engine (with its part) that can tell; the answers in the same order."""
    asked = [_check(part, e) for part, e in engines if isinstance(e, ProviderCheck)]
    return list(await asyncio.gather(*asked))


async def warn_of_failures(engines: Iterable[tuple[str, object]]) -> None:
    """Check, and log a warning for everything that does not work."""
    for checked in await check_all(engines):
        if checked.works:
            log.debug("%s by %s: %s", checked.part, checked.engine, checked.text)
        else:
            log.warning("%s by %s does not work: %s", checked.part, checked.engine, checked.text)


async def _check(part: str, engine: ProviderCheck) -> Checked:
    try:
        async with asyncio.timeout(_ANSWER_S):
            text = await engine.check()
    except DittoAvatarError as error:
        return Checked(part, engine.name, False, str(error))
    except TimeoutError:
        return Checked(part, engine.name, False, f"It did not answer within {_ANSWER_S:g} s.")
    except Exception as error:
        # The border of a check. What a library raises may carry a key: only its kind is told.
        kind = type(error).__name__
        return Checked(part, engine.name, False, f"It failed in an unexpected way ({kind}).")
    return Checked(part, engine.name, True, text)
