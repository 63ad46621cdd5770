"""Find the voice models of a folder: downloaded ones, and voice files that people put there."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from pathlib import Path

from ditto_avatar.errors import InvalidCheckpoint
from ditto_avatar.models.catalogue import catalogue
from ditto_avatar.speech.neural.families import kokoro, supertonic
from ditto_avatar.speech.neural.families.base import VoiceModel
from ditto_avatar.speech.neural.families.kokoro import open_kokoro
from ditto_avatar.speech.neural.families.piper import open_piper
from ditto_avatar.speech.neural.families.supertonic import open_supertonic

log = logging.getLogger(__name__)

# By the file that tells a family from the others: how a folder of it is opened.
_FOLDERS: dict[str, Callable[[Path], VoiceModel]] = {
    kokoro.MODEL: open_kokoro,
    supertonic.SETTINGS: open_supertonic,
}


def find_models(folder: Path) -> list[VoiceModel]:
    """Open every complete model below `folder`, those of the catalogue first, in its order; what
    cannot be used costs a line in the log. Blocks."""
    if not folder.is_dir():
        return []
    found: dict[str, VoiceModel] = {}
    for place in [folder, *sorted(path for path in folder.iterdir() if path.is_dir())]:
        for opening in _openings(place):
            try:
                model = opening()
            except InvalidCheckpoint as error:
                log.warning("a voice in %s is left out: %s", place.name, error)
            else:
                found[model.name] = model
    known = [name for name in catalogue() if name in found]
    return [found[name] for name in [*known, *(name for name in found if name not in known)]]


def _openings(place: Path) -> Iterator[Callable[[], VoiceModel]]:
    for sign, opens in _FOLDERS.items():
        if (place / sign).is_file():
            yield lambda opens=opens: opens(place)  # type: ignore[misc]
    for path in sorted(place.glob("*.onnx")):
        if path.with_name(f"{path.name}.json").is_file():
            entry = catalogue().get(path.stem)
            gender = entry.gender if entry is not None else ""
            yield lambda path=path, gender=gender: open_piper(path, gender)  # type: ignore[misc]
