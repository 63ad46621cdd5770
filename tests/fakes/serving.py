"""The command `ditto-avatar` with other presenters than its own.

A server prepares every presenter at its start. The bundled ones take five seconds of a core.
"""

from __future__ import annotations

import sys
from pathlib import Path

_PROGRAM = """
import sys
from pathlib import Path
import ditto_avatar.assembly as assembly
assembly.BUNDLED = Path(sys.argv.pop(1))
from ditto_avatar.cli import app
app()
"""


def command_with(presenters: Path) -> list[str]:
    """The beginning of a command line: `presenters` is the folder in place of the bundled ones."""
    return [sys.executable, "-c", _PROGRAM, str(presenters)]
