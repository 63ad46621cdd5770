"""Korean sentences from text to clip, through a real server with the embedded engines."""

from __future__ import annotations

import io
import re
import wave

import av
import numpy as np

from tests.fakes.korean_sentences import SENTENCES

from .conftest import Server, ServeWith

SILENCE_S = 0.25


def syllables(read: str) -> int:
    return len(re.findall("[가-힣]", read))


async def speech_seconds(server: Server, url: str) -> float:
    """How long a clip's sound lasts without the silence around it; it has to be audible."""
    file = await server.http.get(url)
    with wave.open(io.BytesIO(file.content)) as reader:
        assert reader.getframerate() == 16_000
        samples = np.frombuffer(reader.readframes(reader.getnframes()), np.int16)
    assert np.abs(samples).max() > 3_000
    return len(samples) / 16_000 - SILENCE_S


async def test_sentences_become_clips_read_in_full(serve: ServeWith) -> None:
    """Every third one: tests/speech/korean has the voice say all thirty."""
    sentences = SENTENCES[::3]
    text = " ".join(written for written, _ in sentences)
    async with serve(lead_s=1_000) as server, server.socket(language="ko") as client:
        await client.send(type="say", text=text)
        done = await client.until("turn.finished")
        clips = client.of("video_ready")
        assert done["text"] == text
        assert [clip["text"] for clip in clips] == [written for written, _ in sentences]
        for clip, (_, read) in zip(clips, sentences, strict=True):
            seconds = await speech_seconds(server, clip["audio_url"])
            # A digit or an English word that is left out or spelt wrongly shows in the time.
            assert 0.10 < seconds / syllables(read) < 0.30, (read, seconds)
        file = await server.http.get(clips[-1]["video_url"])
        with av.open(io.BytesIO(file.content), "r") as video:
            frames = sum(1 for _ in video.decode(video=0))
        assert frames == round(clips[-1]["duration"] * 25)


async def test_a_korean_question_is_answered_in_korean_offline(serve: ServeWith) -> None:
    async with serve(lead_s=1_000) as server, server.socket(language="ko") as client:
        await client.send(type="user.text", text="무엇을 할 수 있나요?")
        answer = (await client.until("turn.finished"))["text"]
        hangul, latin = len(re.findall("[가-힣]", answer)), len(re.findall("[A-Za-z]", answer))
        assert hangul > 3 * latin
        captions = [segment["text"] for segment in client.of("segment.started")]
        assert "".join("".join(captions).split()) == "".join(answer.split())
