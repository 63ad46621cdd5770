"""The program of a child process: owns Whisper and writes down what comes in on stdin.

Its argument is JSON: ``{"folder": …, "threads": 2}``. It ends when stdin ends.
"""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ditto_avatar.speech.child_processes import frames, inside
    from ditto_avatar.speech.neural import child_io, protocol
else:
    # Its own files only: importing the package would import all that it needs.
    _SPEECH = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    sys.path += [os.path.join(_SPEECH, name) for name in ("neural", "child_processes")]
    import child_io
    import frames
    import inside
    import protocol


def open_model(order: dict[str, Any]) -> Any:
    """Open Whisper in eight bits; raises whatever the library raises."""
    from faster_whisper import WhisperModel

    return WhisperModel(
        order["folder"],
        device="cpu",
        compute_type="int8",
        cpu_threads=order["threads"],
        local_files_only=True,
    )


def transcribe(model: Any, head: dict[str, Any], arrays: dict[str, Any]) -> dict[str, Any]:
    """Write down the samples (n,), float32 at 16 kHz, in the language of `head`."""
    parts, _ = model.transcribe(
        arrays["samples"],
        language=head["language"],
        beam_size=1,
        condition_on_previous_text=False,
        without_timestamps=True,
        # One second attempt where the words repeat themselves: each costs as long again.
        temperature=[0.0, 0.4],
        # The detection of speech has been at work before.
        vad_filter=False,
        no_speech_threshold=0.6,
    )
    return {"text": " ".join(part.text.strip() for part in parts).strip()}


def answer(model: Any, payload: bytes) -> bytes:
    """Answer a RUN payload."""
    try:
        head, arrays = protocol.unpack(payload)
        with child_io.processor_time() as spent:
            found = transcribe(model, head, arrays)
        return frames.frame(protocol.RESULT, protocol.pack({**found, "cpu_s": spent()}, {}))
    except Exception as error:
        # The border of the process: the server decides what a failure means.
        return frames.failure(error)


def main() -> None:
    """Transcribe until stdin ends."""
    out, order = child_io.begin()
    try:
        model = open_model(order)
    except Exception as error:
        inside.write(out, frames.failure(error))
        return
    inside.write(out, frames.frame(frames.READY))
    for kind, payload in inside.requests():
        if kind == protocol.RUN:  # Whisper cannot be stopped
            inside.write(out, answer(model, payload))


if __name__ == "__main__":
    main()
