"""Sound and marks of any pace become chunks with whole phonemes."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from ditto_avatar.speech.phoneme_stream import PhonemeMark, PhonemeStream
from ditto_avatar.types import SpeechChunk, joined


def run(marks: list[PhonemeMark], samples: int, step: int, rate: int) -> list[SpeechChunk]:
    stream = PhonemeStream(rate)
    chunks: list[SpeechChunk] = []
    for start in range(0, samples, step):
        end = min(start + step, samples)
        inside = [mark for mark in marks if start <= mark.sample < end]
        chunks.extend(stream.push(np.full(end - start, 0.5, np.float32), inside))
    return [*chunks, *stream.finish()]


@given(
    st.lists(
        st.tuples(st.sampled_from(["ˈa", "s", "", "(en)"]), st.integers(1, 4_000)), max_size=20
    ),
    st.integers(100, 3_000),
    st.sampled_from([16_000, 22_050, 24_000]),
)
def test_no_phoneme_is_cut_or_lost_at_any_rate(
    lengths: list[tuple[str, int]], step: int, rate: int
) -> None:
    at, marks = 0, []
    for symbol, length in lengths:
        marks.append(PhonemeMark(symbol, at))
        at += length
    chunks = run(marks, at + 500, step, rate)
    assert all(0 <= p.start < p.end <= len(c.samples) for c in chunks for p in c.phonemes)
    speech = joined(chunks)
    sounding = [symbol.lstrip("ˈ") for symbol, length in lengths if symbol in {"ˈa", "s"}]
    # At another rate a phoneme of a single sample may round to nothing.
    longer = [s.lstrip("ˈ") for s, length in lengths if s in {"ˈa", "s"} and length > 4]
    symbols = [p.symbol for p in speech.phonemes]
    assert len(longer) <= len(symbols) <= len(sounding)
    assert abs(len(speech.samples) - (at + 500) * 16_000 / rate) <= 1
    starts = [p.start for p in speech.phonemes]
    assert starts == sorted(starts)


def test_a_mark_falls_on_the_same_moment_at_16_khz() -> None:
    marks = [PhonemeMark("a", 2_205), PhonemeMark("", 11_025)]
    speech = joined(run(marks, 22_050, 1_000, 22_050))
    (phoneme,) = speech.phonemes
    assert (phoneme.start, phoneme.end) == (1_600, 8_000)


def test_a_voiceless_stop_begins_where_the_lips_close() -> None:
    marks = [PhonemeMark("a", 0), PhonemeMark("p", 8_000), PhonemeMark("a", 9_000)]
    first, stop, last = joined(run(marks, 16_000, 1_000, 16_000)).phonemes
    assert (first.end, stop.start, stop.end) == (7_280, 7_280, 9_000)
    assert last.end == 16_000
