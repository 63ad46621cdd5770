"""What is kept of a voice must not be played under other options."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import SecretStr

from ditto_avatar.assembly import open_speech
from ditto_avatar.settings import Settings

KEYS = {"google": "tts_api_key", "openai": "openai_api_key"}


async def fingerprint(speech: str, **changes: Any) -> str:
    values = {"speech": speech, "_env_file": None, **changes}
    if speech in KEYS:
        values[KEYS[speech]] = SecretStr("a-key")
    engine = open_speech(Settings(**values))
    try:
        return engine.fingerprint
    finally:
        await engine.close()


@pytest.mark.parametrize(
    ("speech", "changes"),
    [
        ("google", {"speaking_rate": 1.3}),
        ("google", {"google_endpoint": "localhost:1"}),
        ("google", {"engine": "ditto"}),
        ("openai", {"openai_speech_model": "tts-1"}),
        ("openai", {"openai_speech_url": "http://localhost:1/v1"}),
    ],
)
async def test_a_voice_with_other_options_is_another_voice(
    speech: str, changes: dict[str, Any]
) -> None:
    assert await fingerprint(speech, **changes) != await fingerprint(speech)


async def test_the_same_options_are_the_same_voice() -> None:
    prints = [await fingerprint(speech) for speech in ("espeak", "google", "openai") * 2]
    assert prints[:3] == prints[3:]
    assert len(set(prints)) == 3
