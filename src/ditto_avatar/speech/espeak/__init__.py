"""The embedded speech engine: espeak-ng in processes of its own.

The library is native code and reads what strangers write, so it never runs in the server. The
pool owns child processes that each hold one espeak-ng, and talks to them over pipes.

    engine ──Request──▶ pool ──frames of protocol.py over pipes──▶ child ──ctypes──▶ espeak-ng
           ◀──Sound────      ◀──────────────────────────────────
"""

from ditto_avatar.speech.espeak.engine import EspeakEngine

__all__ = ["EspeakEngine"]
