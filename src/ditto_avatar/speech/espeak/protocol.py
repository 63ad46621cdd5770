"""What the server and a child process that owns espeak-ng say to each other.

The server sends SPEAK and, while a sentence is being spoken, STOP; the child sends its version
with `frames.READY`, then SOUND for every 100 ms of a sentence and DONE at its end. SPELL asks for
the phonemes of a text alone: they come in one SOUND without samples, each numbered, with an empty
one behind every word. The child runs this file as well: nothing but the standard library, and
little of it.
"""

from __future__ import annotations

import struct

# Behind the kinds that all children share (`child_processes.frames`).
SPEAK, STOP, SOUND, DONE, SPELL = range(3, 8)

SAID, NO_SUCH_VOICE, FAILED = range(3)
"""How a sentence ended: all of it was spoken or it was stopped; no such voice; an error code of
the library."""

SAMPLE_RATE_HZ = 22_050
"""What espeak-ng's own voices give; the child refuses to start with another rate."""

MAX_PAYLOAD_BYTES = 1 << 20

_REQUEST = struct.Struct("=HHHH")
_MARKS = struct.Struct("=H")
_MARK = struct.Struct("=I8s")


def speak(text: bytes, voice: bytes, rate_wpm: int, pitch: int, pitch_range: int) -> bytes:
    """Build the payload of a SPEAK or SPELL; `text` and `voice` are UTF-8."""
    return _REQUEST.pack(rate_wpm, pitch, pitch_range, len(voice)) + voice + text


def read_speak(payload: bytes) -> tuple[bytes, bytes, int, int, int]:
    """Take the payload of a SPEAK or SPELL apart, in the order of `speak`."""
    rate_wpm, pitch, pitch_range, size = _REQUEST.unpack_from(payload)
    text_at = _REQUEST.size + size
    return payload[text_at:], payload[_REQUEST.size : text_at], rate_wpm, pitch, pitch_range


def sound(marks: list[tuple[int, bytes]], samples: bytes) -> bytes:
    """Build the payload of a SOUND: phonemes as (sample, symbol in at most 8 bytes), and int16
    samples."""
    packed = [_MARK.pack(sample, symbol) for sample, symbol in marks]
    return b"".join([_MARKS.pack(len(marks)), *packed, samples])


def read_sound(payload: bytes) -> tuple[list[tuple[int, bytes]], bytes]:
    """Take a SOUND payload apart, in the order of `sound`. Raises `struct.error` for one that is
    too short or holds half a sample."""
    (count,) = _MARKS.unpack_from(payload)
    samples_at = _MARKS.size + count * _MARK.size
    if samples_at > len(payload) or (len(payload) - samples_at) % 2:
        raise struct.error(f"{count} marks do not fit into {len(payload)} bytes")
    marks = list(_MARK.iter_unpack(payload[_MARKS.size : samples_at]))
    return [(sample, symbol.rstrip(b"\0")) for sample, symbol in marks], payload[samples_at:]
