"""Count the words that a recogniser hears wrong in what a voice says."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from ditto_avatar.types import SAMPLE_RATE_HZ, FloatArray

Judge = Callable[[FloatArray], str]
"""Writes down the samples (n,) of an English sentence."""

# As in a conversation. Without it, Whisper takes the beginning and the end for something else.
_SILENCE_S = 0.6
_BEAM = 5
_SAME = {"favourite": "favorite", "harbour": "harbor", "colour": "color", "theatre": "theater",
         "grey": "gray", "ok": "okay"}  # fmt: skip
_SMALL = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen "
    "sixteen seventeen eighteen nineteen"
).split()
_TENS = "twenty thirty forty fifty sixty seventy eighty ninety".split()


def open_judge(folder: Path) -> Judge:
    """Open the Whisper model in `folder`. It looks for the best of five readings, while the
    recogniser of the product has to be quick."""
    from faster_whisper import WhisperModel

    model = WhisperModel(
        str(folder), device="cpu", compute_type="int8", cpu_threads=1, local_files_only=True
    )
    silence = np.zeros(round(_SILENCE_S * SAMPLE_RATE_HZ), np.float32)

    def heard(samples: FloatArray) -> str:
        parts, _ = model.transcribe(
            np.concatenate([silence, samples, silence]),
            language="en",
            beam_size=_BEAM,
            condition_on_previous_text=False,
            without_timestamps=True,
        )
        return " ".join(part.text.strip() for part in parts)

    return heard


def words_wrong(said: str, heard: str) -> tuple[int, int]:
    """Words that are wrong, missing or too many (edit distance), and words of the sentence. How a
    word is written does not count: figures, capitals, hyphens, British spelling, one word or
    two."""
    wanted, found = _words(said), _words(heard)
    rows = [list(range(len(found) + 1))]
    for i, word in enumerate(wanted, 1):
        row = [i]
        for j, other in enumerate(found, 1):
            least = min(rows[i - 1][j] + 1, row[j - 1] + 1, rows[i - 1][j - 1] + (word != other))
            if j > 1 and word == found[j - 2] + other:
                least = min(least, rows[i - 1][j - 2])
            if i > 1 and other == wanted[i - 2] + word:
                least = min(least, rows[i - 2][j - 1])
            row.append(least)
        rows.append(row)
    return rows[-1][-1], len(wanted)


def _words(text: str) -> Sequence[str]:
    spelt = re.sub(r"\d+", lambda match: f" {_in_words(match[0])} ", text.lower())
    return [_SAME.get(word, word) for word in re.findall(r"[a-z0-9']+", spelt)]


def _in_words(figures: str) -> str:
    number = int(figures)
    if number < len(_SMALL):
        return _SMALL[number]
    if number < 100:
        ten, one = divmod(number, 10)
        return f"{_TENS[ten - 2]} {_SMALL[one]}" if one else _TENS[ten - 2]
    return figures
