"""Make engines from settings: one table for each kind, imported only when chosen."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from ditto_avatar.dialogue.base import DialogueEngine
from ditto_avatar.dialogue.fallback import FallbackDialogue
from ditto_avatar.errors import InvalidInput, Unavailable
from ditto_avatar.face.base import FaceEngine
from ditto_avatar.face.ditto.options import DittoOptions
from ditto_avatar.face.library import BUNDLED, AvatarLibrary, open_library
from ditto_avatar.metrics import Metrics
from ditto_avatar.models.catalogue import catalogue
from ditto_avatar.providers.budget import Budget, Budgets, Paid
from ditto_avatar.settings import Settings, revealed
from ditto_avatar.speech.base import SpeechEngine
from ditto_avatar.speech.fallback import FallbackSpeech
from ditto_avatar.speech.listening import Transcriber

if TYPE_CHECKING:
    from ditto_avatar.cluster.tls import Tls
    from ditto_avatar.speech.espeak import EspeakEngine
    from ditto_avatar.speech.neural.local import LocalSpeech

BudgetOf = Callable[[Paid], Budget]
# What the model may write for a second of speech: people say some 4 tokens, tags and hidden
# thoughts come on top. The voice decides when an answer is long enough, this is for the bill.
_TOKENS_PER_S = 20
_TOKEN_CHARACTERS = 32
VOICES, HEARING = "voices", "hearing"
"""The folders of downloaded voices and recognisers in the data folder."""


async def open_avatars(settings: Settings, *, films: bool = True) -> AvatarLibrary:
    """Load the bundled presenters and the user's own; with `films` a lone ``base.mp4`` in a folder
    becomes one first. Raises `InvalidInput` when there is no such folder."""
    own = settings.avatars_dir
    if own is not None and not await asyncio.to_thread(own.is_dir):
        raise InvalidInput(
            f"DITTO_AVATARS_DIR: expected a folder of avatar packs, came {own}, which is none."
        )
    if own is not None and films:
        from ditto_avatar.face.register.base_films import register_base_films

        await register_base_films(own)
    library = await open_library(BUNDLED, own)
    # Workers send pictures that are encoded already.
    return library.without_cutouts() if settings.workers else library


def open_budgets(settings: Settings, metrics: Metrics) -> Budgets:
    """Make the daily budgets of a server's paid services, kept in the data folder."""
    limits = {
        Paid.SPEECH: settings.budget_speech_characters,
        Paid.TRANSCRIPTION: settings.budget_transcription_s,
        Paid.DIALOGUE: settings.budget_dialogue_tokens,
    }
    return Budgets(limits, settings.data_dir / "budgets.json", metrics)


def open_dialogue(settings: Settings, budget: BudgetOf = Budget) -> FallbackDialogue:
    """Make the dialogue that `settings.dialogue` names, followed by the embedded one. By default
    nothing limits what they use."""
    names = dialogue_order(settings)
    return FallbackDialogue([_DIALOGUES[name](settings, budget) for name in names])


def open_speech(
    settings: Settings, metrics: Metrics | None = None, budget: BudgetOf = Budget
) -> FallbackSpeech:
    """Make the speech engine that `settings.speech` names, then the others there is a key for, then
    the voices of this machine, which `local_voices` has to prepare, then the embedded one.
    `metrics` counts lost processes. By default nothing limits what they
    use. Raises `InvalidInput` for a dictionary of pronunciations that cannot be read."""
    from ditto_avatar.speech.espeak import EspeakEngine

    lost = (metrics or Metrics()).speech_children_lost

    def child_lost(reason: str) -> None:
        lost.labels(reason).inc()

    espeak = EspeakEngine(on_child_lost=child_lost)
    names = speech_order(settings)
    engines = [_SPEECHES[name](settings, espeak, budget) for name in names]
    if settings.pronunciations is not None:
        from ditto_avatar.speech.pronunciations import PronouncingSpeech, read_pronunciations

        dictionary = read_pronunciations(settings.pronunciations)
        engines = [PronouncingSpeech(engine, dictionary) for engine in engines]
    return FallbackSpeech(engines)


def local_voices(speech: FallbackSpeech) -> LocalSpeech | None:
    """Return the voices of this machine in the chain; None where the settings leave them out."""
    from ditto_avatar.speech.neural.local import LocalSpeech
    from ditto_avatar.speech.pronunciations import PronouncingSpeech

    for engine in speech.engines:
        bare = engine.engine if isinstance(engine, PronouncingSpeech) else engine
        if isinstance(bare, LocalSpeech):
            return bare
    return None


async def open_drawing(settings: Settings, metrics: Metrics) -> FaceEngine:
    """Make the face engine of a server: workers elsewhere, where the settings name any. Raises
    `Unavailable` when none answers."""
    if not settings.workers:
        return await open_face(settings)
    from ditto_avatar.cluster.remote import RemoteEngine

    return await RemoteEngine.connect(
        settings.workers.split(","),
        worker_token(settings),
        metrics.worker_takeovers.inc,
        tls=await asyncio.to_thread(worker_tls, settings),
    )


def worker_token(settings: Settings) -> str | None:
    """Return the secret of servers and workers. Raises `InvalidInput` for one that can be
    guessed."""
    token = revealed(settings.worker_token)
    if token is not None and len(token) < _TOKEN_CHARACTERS:
        raise InvalidInput(
            f"DITTO_WORKER_TOKEN: expected at least {_TOKEN_CHARACTERS} characters, "
            f"came {len(token)}."
        )
    return token


def worker_tls(settings: Settings) -> Tls | None:
    """Return what servers and workers encrypt with; None where the settings name no certificate.
    Raises `InvalidInput` for files that cannot be used, and when some are named and others not.
    Blocks."""
    files = (settings.worker_certificate, settings.worker_key, settings.worker_ca)
    named = [file for file in files if file is not None]
    if not named:
        return None
    if len(named) < len(files):
        raise InvalidInput(
            "DITTO_WORKER_CERTIFICATE, DITTO_WORKER_KEY and DITTO_WORKER_CA go together: expected "
            f"all three, came {len(named)}."
        )
    from ditto_avatar.cluster.tls import Tls

    return Tls.read(*named)


async def open_face(settings: Settings, name: str | None = None) -> FaceEngine:
    """Make the face engine `name`, or the one that the settings name."""
    wanted = name or face_name(settings)
    if wanted not in _FACES:
        known = ", ".join(_FACES)
        raise InvalidInput(f"There is no face engine {wanted!r}; there are: {known}.")
    return await _FACES[wanted](settings)


def face_name(settings: Settings) -> str:
    """Return the name of the face engine: Ditto when there are checkpoints, unless one is named."""
    if settings.engine == "auto":
        return "ditto" if settings.checkpoints is not None else "puppet"
    return settings.engine


def open_puppet(motion: Path | None = None) -> FaceEngine:
    """Make the puppet. With `motion`, a Live Link Face CSV file, it plays that instead of the
    sound. Raises `InvalidInput` when the file cannot be used."""
    from ditto_avatar.face.puppet.engine import PuppetEngine
    from ditto_avatar.face.puppet.motion import read_motion_csv

    return PuppetEngine(motion=read_motion_csv(motion) if motion is not None else None)


def open_transcriber(
    settings: Settings, budget: BudgetOf = Budget, metrics: Metrics | None = None
) -> Transcriber | None:
    """Make the engine that understands microphones: a service with a key, or what was downloaded
    for this machine; None leaves it to the browser. By default nothing limits what it uses."""
    if not _openai_hears_and_speaks(settings):
        return _local_transcriber(settings, metrics)
    from ditto_avatar.speech.transcribe import OpenAITranscriber, TranscriberOptions

    options = TranscriberOptions(
        model=settings.openai_transcribe_model, base_url=settings.openai_speech_url
    )
    return OpenAITranscriber(
        revealed(settings.openai_api_key), options, budget=budget(Paid.TRANSCRIPTION)
    )


def _local_transcriber(settings: Settings, metrics: Metrics | None) -> Transcriber | None:
    installed = [
        entry
        for entry in catalogue().values()
        if entry.kind == HEARING and entry.is_installed(settings.data_dir)
    ]
    if not installed or find_spec("faster_whisper") is None:
        return None
    from ditto_avatar.speech.hearing.whisper import WhisperTranscriber

    lost = (metrics or Metrics()).speech_children_lost
    return WhisperTranscriber(
        installed[0].folder(settings.data_dir),
        on_child_lost=lambda reason: lost.labels(reason).inc(),
    )


def dialogue_order(settings: Settings) -> list[str]:
    """Return names of the dialogue engines in the order they are asked."""
    has_model = bool(settings.openai_api_key or settings.openai_base_url)
    first = settings.dialogue
    if first == "auto":
        first = "openai" if has_model else "offline"
    return list(dict.fromkeys([first, "offline"]))


def speech_order(settings: Settings) -> list[str]:
    """Return names of the speech engines in the order they are asked."""
    usable = []
    if settings.tts_api_key or settings.google_credentials:
        usable.append("google")
    if _openai_hears_and_speaks(settings):
        usable.append("openai")
    first = [] if settings.speech == "auto" else [settings.speech]
    others = [] if settings.speech == "espeak" else usable
    local = [] if settings.speech == "espeak" else ["local"]
    return list(dict.fromkeys([*first, *others, *local, "espeak"]))


def _openai_hears_and_speaks(settings: Settings) -> bool:
    """A key beside `openai_base_url` belongs to that server, which knows text only."""
    if settings.openai_speech_url is not None:
        return True
    return settings.openai_api_key is not None and settings.openai_base_url is None


def _offline(settings: Settings, budget: BudgetOf) -> DialogueEngine:
    from ditto_avatar.dialogue.offline import OfflineEngine

    # Behind a language model it must not explain how to connect one.
    stand_in = dialogue_order(settings)[0] != "offline"
    return OfflineEngine(settings.notes_dir, stand_in=stand_in)


def _openai_dialogue(settings: Settings, budget: BudgetOf) -> DialogueEngine:
    from ditto_avatar.dialogue.openai import OpenAIDialogue, OpenAIDialogueOptions

    options = OpenAIDialogueOptions(
        model=settings.openai_model,
        base_url=settings.openai_base_url,
        first_token_s=settings.first_token_s,
        next_token_s=settings.next_token_s,
        thinking_s=settings.thinking_s,
        history_tokens=settings.history_tokens,
        answer_tokens=math.ceil(settings.max_answer_s * _TOKENS_PER_S),
        body=settings.openai_body,
    )
    return OpenAIDialogue(revealed(settings.openai_api_key), options, budget=budget(Paid.DIALOGUE))


def _espeak(settings: Settings, espeak: EspeakEngine, budget: BudgetOf) -> SpeechEngine:
    return espeak


def _local(settings: Settings, espeak: EspeakEngine, budget: BudgetOf) -> SpeechEngine:
    from ditto_avatar.speech.neural.local import QUICK, LocalSpeech

    return LocalSpeech(
        settings.data_dir / VOICES,
        espeak,
        slowest=math.inf if settings.speech == "local" else QUICK,
        on_child_lost=espeak.on_child_lost,
    )


def _google(settings: Settings, espeak: EspeakEngine, budget: BudgetOf) -> SpeechEngine:
    from ditto_avatar.speech.google import GOOGLE_ENDPOINT, GoogleSpeech, GoogleSpeechOptions

    options = GoogleSpeechOptions(
        endpoint=settings.google_endpoint or GOOGLE_ENDPOINT,
        plaintext=settings.google_plaintext,
        rate=settings.speaking_rate,
    )
    google = GoogleSpeech(
        revealed(settings.tts_api_key),
        settings.google_credentials,
        options,
        budget=budget(Paid.SPEECH),
    )
    return _with_phonemes(google, settings, espeak)


def _openai_speech(settings: Settings, espeak: EspeakEngine, budget: BudgetOf) -> SpeechEngine:
    from ditto_avatar.speech.openai import OpenAISpeech, OpenAISpeechOptions

    options = OpenAISpeechOptions(
        model=settings.openai_speech_model, base_url=settings.openai_speech_url
    )
    key = revealed(settings.openai_api_key)
    openai = OpenAISpeech(key, options, budget=budget(Paid.SPEECH))
    return _with_phonemes(openai, settings, espeak)


def _with_phonemes(engine: SpeechEngine, settings: Settings, espeak: SpeechEngine) -> SpeechEngine:
    """For a face that moves by phonemes; Ditto listens to the sound itself."""
    if face_name(settings) == "ditto":
        return engine
    from ditto_avatar.speech.aligned import AlignedSpeech

    return AlignedSpeech(engine, espeak)


async def _puppet(settings: Settings) -> FaceEngine:
    return open_puppet()


def ditto_options(settings: Settings) -> DittoOptions:
    """Return what the settings say about Ditto. Raises `Unavailable` without checkpoints."""
    if settings.checkpoints is None:
        raise Unavailable("The Ditto face needs DITTO_CHECKPOINTS, the folder of its weights.")
    return DittoOptions(
        checkpoints=settings.checkpoints,
        device=settings.device,
        preset=settings.preset,
        backend=settings.backend,
        sampling_timesteps=settings.sampling_timesteps,
        max_size=settings.max_size,
        template_n_frames=settings.template_n_frames,
        overlap=settings.overlap,
        feature_cache_mb=settings.feature_cache_mb,
        max_streams=settings.max_streams,
        kernel_cache=settings.kernel_cache or settings.data_dir / "kernels",
        precision=settings.precision,
        device_memory_mb=settings.device_memory_mb,
    )


async def _ditto(settings: Settings) -> FaceEngine:
    options = ditto_options(settings)
    try:
        from ditto_avatar.face.ditto.engine import DittoEngine
    except ImportError as error:
        raise Unavailable(
            f"The Ditto face needs more packages ({error.name} is missing): "
            "pip install -e '.[ditto]'."
        ) from error
    return await DittoEngine.load(options)


_DIALOGUES: dict[str, Callable[[Settings, BudgetOf], DialogueEngine]] = {
    "offline": _offline,
    "openai": _openai_dialogue,
}
_SPEECHES: dict[str, Callable[[Settings, EspeakEngine, BudgetOf], SpeechEngine]] = {
    "espeak": _espeak,
    "google": _google,
    "local": _local,
    "openai": _openai_speech,
}
_FACES: dict[str, Callable[[Settings], Awaitable[FaceEngine]]] = {
    "puppet": _puppet,
    "ditto": _ditto,
}
