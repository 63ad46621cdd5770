"""From settings to engines: one table for each kind, imported only when chosen."""

from __future__ import annotations

from collections.abc import Callable

from ditto_avatar.dialogue.base import DialogueEngine
from ditto_avatar.face.base import FaceEngine
from ditto_avatar.face.library import BUNDLED, AvatarLibrary
from ditto_avatar.settings import Settings
from ditto_avatar.speech.base import SpeechEngine


def open_avatars(settings: Settings) -> AvatarLibrary:
    """The bundled presenters and the user's own."""
    own = (settings.avatars_dir,) if settings.avatars_dir is not None else ()
    return AvatarLibrary(BUNDLED, *own)


def open_dialogue(settings: Settings) -> DialogueEngine:
    """The dialogue that `settings.dialogue` names."""
    return _DIALOGUES[settings.dialogue](settings)


def open_speech(settings: Settings) -> SpeechEngine:
    """The speech engine that `settings.speech` names."""
    return _SPEECHES[settings.speech](settings)


def open_face(settings: Settings, name: str | None = None) -> FaceEngine:
    """The face engine `name`, or the one that `settings.engine` names."""
    return _FACES[name or settings.engine](settings)


def _offline(settings: Settings) -> DialogueEngine:
    from ditto_avatar.dialogue.offline import OfflineEngine

    return OfflineEngine(settings.notes_dir)


def _espeak(settings: Settings) -> SpeechEngine:
    from ditto_avatar.speech.espeak import EspeakEngine

    return EspeakEngine()


def _puppet(settings: Settings) -> FaceEngine:
    from ditto_avatar.face.puppet.engine import PuppetEngine

    return PuppetEngine()


_DIALOGUES: dict[str, Callable[[Settings], DialogueEngine]] = {
    "auto": _offline,
    "offline": _offline,
}
_SPEECHES: dict[str, Callable[[Settings], SpeechEngine]] = {
    "auto": _espeak,
    "espeak": _espeak,
}
_FACES: dict[str, Callable[[Settings], FaceEngine]] = {
    "puppet": _puppet,
}
