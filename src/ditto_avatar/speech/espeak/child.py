"""The program of a child process: owns one espeak-ng and speaks what comes in on stdin.

Arguments: the shared library and the folder of its data. The server runs this file by its path,
with an interpreter that sees the standard library only, so that it starts in some tens of
milliseconds. It ends when stdin ends.
"""

from __future__ import annotations

import ctypes
import os
import select
import signal
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ditto_avatar.speech.child_processes import frames, inside
    from ditto_avatar.speech.espeak import protocol
else:
    # Its own files only: importing them from the package would import numpy and all.
    _HERE = os.path.dirname(os.path.abspath(__file__))
    sys.path += [_HERE, os.path.join(os.path.dirname(_HERE), "child_processes")]
    import frames
    import inside
    import protocol

_BUFFER_MS = 40
# 100 ms: the first chunk of speech is no shorter, so smaller frames would only be more work.
_FRAME_BYTES = 2 * protocol.SAMPLE_RATE_HZ // 10
# Some ten times what the interpreter, the library and its data take.
_MEMORY_BYTES = 256 << 20
_OPEN_FILES = 32
# Ends a child whose sentence never ends and whose server is gone; the server has a shorter
# deadline.
_SENTENCE_S = 120

# Names and numbers of espeak-ng's speak_lib.h.
_LIST_TERMINATED, _PHONEME = 0, 7
_OUTPUT_SYNCHRONOUS = 2
_PHONEME_EVENTS, _PHONEME_IPA, _DONT_EXIT = 1, 2, 0x8000
_CHARS_UTF8 = 1
_RATE, _PITCH, _RANGE = 1, 3, 4
_POSITION_CHARACTER = 1
# IPA, with a low line between phonemes.
_SPELLING = 2 | ord("_") << 8
_SYMBOL_BYTES = 8


class _Event(ctypes.Structure):
    """`espeak_EVENT` of espeak-ng's speak_lib.h; `text` is the union's eight bytes."""

    _fields_ = (
        ("type", ctypes.c_int),
        ("unique_identifier", ctypes.c_uint),
        ("text_position", ctypes.c_int),
        ("length", ctypes.c_int),
        ("audio_position", ctypes.c_int),
        ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p),
        ("text", ctypes.c_ubyte * 8),
    )


_SYNTH_CALLBACK = ctypes.CFUNCTYPE(
    ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(_Event)
)


class Library:
    """espeak-ng, opened from a file; gives its sound to the descriptor `out` as SOUND frames."""

    def __init__(self, library: str, data: str, out: int) -> None:
        self._out = out
        self._sound = bytearray()
        self._marks: list[tuple[int, bytes]] = []
        self._lib = ctypes.CDLL(library)
        self._lib.espeak_Info.restype = ctypes.c_char_p
        self._lib.espeak_Synth.argtypes = (
            ctypes.c_char_p,
            ctypes.c_size_t,
            ctypes.c_uint,
            ctypes.c_int,
            ctypes.c_uint,
            ctypes.c_uint,
            ctypes.c_void_p,
            ctypes.c_void_p,
        )
        self._lib.espeak_TextToPhonemes.restype = ctypes.c_char_p
        self._lib.espeak_TextToPhonemes.argtypes = (
            ctypes.POINTER(ctypes.c_void_p),
            ctypes.c_int,
            ctypes.c_int,
        )
        options = _PHONEME_EVENTS | _PHONEME_IPA | _DONT_EXIT
        rate_hz = self._lib.espeak_Initialize(
            _OUTPUT_SYNCHRONOUS, _BUFFER_MS, os.fsencode(data), options
        )
        if rate_hz != protocol.SAMPLE_RATE_HZ:
            sys.exit(f"espeak-ng gives {rate_hz} samples a second")
        # Kept: the library holds a bare pointer to it.
        self._callback = _SYNTH_CALLBACK(self._on_sound)
        self._lib.espeak_SetSynthCallback(self._callback)
        # The first voice takes some milliseconds, whichever it is: not of the first sentence.
        self._lib.espeak_SetVoiceByName(b"en-us")

    def version(self) -> bytes:
        """Name the library's version, such as ``1.52.0``."""
        info: bytes = self._lib.espeak_Info(None)
        return info.split()[0]

    def speak(self, payload: bytes) -> int:
        """Say what a SPEAK payload asks for; returns how it ended."""
        text, voice, rate_wpm, pitch, pitch_range = protocol.read_speak(payload)
        if self._lib.espeak_SetVoiceByName(voice) != 0:
            return protocol.NO_SUCH_VOICE
        for parameter, value in ((_RATE, rate_wpm), (_PITCH, pitch), (_RANGE, pitch_range)):
            self._lib.espeak_SetParameter(parameter, value, 0)
        code = self._lib.espeak_Synth(
            text + b"\0", len(text) + 1, 0, _POSITION_CHARACTER, 0, _CHARS_UTF8, None, None
        )
        self._flush()
        return protocol.FAILED if code else protocol.SAID

    def spell(self, payload: bytes) -> int:
        """Give the phonemes of what a SPELL payload asks for; returns how it ended."""
        text, voice, *_ = protocol.read_speak(payload)
        if self._lib.espeak_SetVoiceByName(voice) != 0:
            return protocol.NO_SUCH_VOICE
        buffer = ctypes.create_string_buffer(text)
        rest = ctypes.c_void_p(ctypes.addressof(buffer))
        symbols: list[bytes] = []
        # It reads up to the end of a clause and moves `rest` behind it.
        while rest.value:
            said = self._lib.espeak_TextToPhonemes(ctypes.byref(rest), _CHARS_UTF8, _SPELLING)
            for word in (said or b"").decode("utf-8", "ignore").split():
                for symbol in word.split("_"):
                    symbols += _short(symbol)
                symbols.append(b"")
        self._send(list(enumerate(symbols)), b"")
        return protocol.SAID

    def _on_sound(self, samples: Any, count: int, events: Any) -> int:
        # While a sentence is spoken nothing comes but STOP, or the end of the server.
        if select.select([0], [], [], 0)[0]:
            return 1
        if samples and count:
            self._sound += ctypes.string_at(samples, 2 * count)
        self._marks += _marks(events)
        if len(self._sound) >= _FRAME_BYTES:
            self._flush()
        return 0

    def _flush(self) -> None:
        if self._sound or self._marks:
            self._send(self._marks, bytes(self._sound))
        self._sound.clear()
        self._marks.clear()

    def _send(self, marks: list[tuple[int, bytes]], samples: bytes) -> None:
        inside.write(self._out, frames.frame(protocol.SOUND, protocol.sound(marks, samples)))


def _marks(events: Any) -> list[tuple[int, bytes]]:
    marks = []
    index = 0
    while events[index].type != _LIST_TERMINATED:
        event = events[index]
        if event.type == _PHONEME:
            # Eight bytes without a closing zero when full.
            marks.append((max(0, event.sample), bytes(event.text).split(b"\0", 1)[0]))
        index += 1
    return marks


def _short(symbol: str) -> list[bytes]:
    """Write a phoneme, in two where it takes more than eight bytes."""
    made = [b""]
    for sign in symbol:
        if len(made[-1]) + len(sign.encode()) > _SYMBOL_BYTES:
            made.append(b"")
        made[-1] += sign.encode()
    return [part for part in made if part]


def main() -> None:
    """Speak until stdin ends."""
    out = inside.begin(_MEMORY_BYTES, _OPEN_FILES, may_fork=False)
    library = Library(sys.argv[1], sys.argv[2], out)
    inside.write(out, frames.frame(frames.READY, library.version()))
    for kind, payload in inside.requests():
        work = {protocol.SPEAK: library.speak, protocol.SPELL: library.spell}.get(kind)
        if work is not None:  # a STOP here came after the sentence's end
            signal.alarm(_SENTENCE_S)
            outcome = work(payload)
            signal.alarm(0)
            inside.write(out, frames.frame(protocol.DONE, bytes([outcome])))


if __name__ == "__main__":
    main()
