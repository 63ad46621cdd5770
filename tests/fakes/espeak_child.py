"""Child processes of the embedded voice that fail in one way each."""

from __future__ import annotations

from pathlib import Path

import ditto_avatar.speech.child_processes.client as client
import ditto_avatar.speech.espeak.process as process

_REAL = [str(Path(str(module.__file__)).parent) for module in (process, client)]
# The real program; a sentence with the word "fatal" in it ends the process, as a fault would.
_PICKY = f"""
import os, sys
sys.path += {_REAL!r}
import child

speak = child.Library.speak

def picky(self, payload):
    if b"fatal" in payload:
        os.abort()
    return speak(self, payload)

child.Library.speak = picky
child.main()
"""
# Says that it is ready, and answers every request with the same bytes.
_MAD = f"""
import os, sys
sys.path += {_REAL!r}
import frames

os.write(1, frames.frame(frames.READY, b"1.52.0"))
while os.read(0, 65536):
    os.write(1, {{answer!r}})
"""


def picky_child(folder: Path) -> Path:
    """A program that dies at the word "fatal"."""
    return _written(folder, _PICKY)


def mad_child(folder: Path, answer: bytes) -> Path:
    """A program that answers every request with `answer`."""
    return _written(folder, _MAD.format(answer=answer))


def _written(folder: Path, program: str) -> Path:
    path = folder / "child.py"
    path.write_text(program, encoding="utf-8")
    return path
