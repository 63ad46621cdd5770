"""What a person said, by Whisper on this machine."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from ditto_avatar.cores import usable_cores
from ditto_avatar.errors import InvalidAudio, ProviderFailed
from ditto_avatar.speech.neural.process import Deadlines
from ditto_avatar.speech.neural.runner import Runner
from ditto_avatar.types import SAMPLE_RATE_HZ, Int16Array, Language

NAME = "local"
PROGRAM = Path(__file__).with_name("child.py")
_SHORTEST_MS = 100
# The base model needs about a second for a sentence on two cores; a machine that is overwhelmed
# gets more.
_DEADLINES = Deadlines(free_s=20.0, start_s=60.0, run_s=60.0)
_MOST_THREADS = 4


class WhisperTranscriber:
    """Turns speech into text with the model in `folder`, in a child process that it owns: `close`
    ends it. `on_child_lost` is called for every child that failed, with the reason in a word.
    Belongs to the event loop in which it is first used."""

    name = NAME

    def __init__(
        self,
        folder: Path,
        *,
        program: Path = PROGRAM,
        threads: int | None = None,
        deadlines: Deadlines = _DEADLINES,
        on_child_lost: Callable[[str], object] | None = None,
    ) -> None:
        order = {
            "folder": str(folder.absolute()),
            "threads": threads or min(_MOST_THREADS, usable_cores()),
        }
        self._runner = Runner(
            folder.name, program, order, deadlines=deadlines, on_lost=on_child_lost
        )

    @property
    def pids(self) -> list[int]:
        """The process id of the child, while there is one."""
        return self._runner.pids

    async def transcribe(self, samples: Int16Array, language: Language) -> str:
        """The words in `samples` (n,) at 16 kHz mono, empty when there are none.

        Raises `InvalidAudio` below 100 ms, `ProviderFailed` when it cannot be done. Cancelling is
        safe: the child ends what it is at, and its answer is left out."""
        if len(samples) < SAMPLE_RATE_HZ * _SHORTEST_MS // 1000:
            raise InvalidAudio(
                f"At least {_SHORTEST_MS} ms of speech were expected, "
                f"{len(samples) * 1000 // SAMPLE_RATE_HZ} ms came."
            )
        sound = samples.astype(np.float32) / 32768.0
        result = await self._runner.run({"language": language.value}, {"samples": sound})
        text = result.head.get("text")
        if not isinstance(text, str):
            raise ProviderFailed("Whisper sent an answer that could not be read.")
        return text.strip()

    async def check(self) -> str:
        """Read the model and listen to a second of silence. Raises like `transcribe`."""
        await self.transcribe(np.zeros(SAMPLE_RATE_HZ, np.int16), Language.ENGLISH)
        return "Whisper understands the microphone on this machine"

    async def close(self) -> None:
        """End the child. Cancelling is safe; closing again waits for the rest."""
        await self._runner.close()
