"""`python -m ditto_avatar.server.wire REPOSITORY`: renew the reference of the protocol there."""

from __future__ import annotations

import sys
from pathlib import Path

from ditto_avatar.server.wire.reference import pages

for name, content in pages().items():
    Path(sys.argv[1], name).write_text(content, encoding="utf-8")
