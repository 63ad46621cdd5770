"""Run the first two stages of a turn: words to sentences, and sentences to sound."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from functools import partial

from ditto_avatar.dialogue.base import Sentence
from ditto_avatar.dialogue.clauses import TextDelta, clauses
from ditto_avatar.pipeline import progress
from ditto_avatar.pipeline.flow import Flow
from ditto_avatar.pipeline.lookup import SegmentLookup
from ditto_avatar.pipeline.sentence_audio import SentenceAudio
from ditto_avatar.speech.utterance import utterance
from ditto_avatar.speech.voices import voice_for


async def think(flow: Flow) -> None:
    """Tell the words of the answer as they come, and put its sentences into `flow.sentences`."""
    tagged = flow.request.tagged or flow.request.prompt is not None
    answer = clauses(_pieces(flow), tagged=tagged, language=flow.request.language)
    async with aclosing(answer) as stream:
        async for item in stream:
            if isinstance(item, TextDelta):
                flow.notify(progress.TextArrived(item.text, flow.clock.now()))
                flow.length.shown(item.text)
                cut = flow.length.mute
            else:
                flow.reached(progress.Milestone.FIRST_SENTENCE)
                flow.length.queued(item.text)
                await flow.sentences.put(item)
                cut = flow.length.filled
            if cut is not None:
                flow.cut(cut)
                break
    await flow.sentences.put(None)


async def voice(flow: Flow, group: asyncio.TaskGroup, lookup: SegmentLookup | None) -> None:
    """Choose the voice of each sentence and put it into `flow.audios`. The sound of sentences that
    were not drawn before is begun, one sentence ahead of the face."""
    begun = False
    while (sentence := await flow.sentences.get()) is not None:
        await flow.audio_places.acquire()
        audio = _audio(flow, sentence, lookup)
        flow.chosen.append(audio)
        if lookup is None or audio.key is None or not await lookup.has(audio.key):
            if begun:
                # The first picture of the turn has the machine to itself.
                await flow.under_way.wait()
            begun = True
            audio.begin(group)
        await flow.audios.put(audio)
    await flow.audios.put(None)


async def play_recordings(flow: Flow) -> None:
    """Put recordings into `flow.audios`, instead of `think` and `voice`."""
    for recording in flow.request.recordings:
        await flow.audio_places.acquire()
        await flow.audios.put(SentenceAudio(recording.sentence, recording.sound))
    await flow.audios.put(None)


def _audio(flow: Flow, sentence: Sentence, lookup: SegmentLookup | None) -> SentenceAudio:
    request, speech = flow.request, flow.engines.speech
    chosen = voice_for(
        speech, sentence.text, request.language, request.avatar.voices, request.voices
    )
    key = None
    if lookup is not None:
        key = lookup.key(request, sentence, chosen, speech.fingerprint)
    make = partial(utterance, speech, sentence.text, chosen, sentence.emotion)
    return SentenceAudio(sentence, make, key)


async def _pieces(flow: Flow) -> AsyncGenerator[str, None]:
    request = flow.request
    if request.prompt is None:
        yield request.text
        return
    assert flow.engines.dialogue is not None, "a prompt needs a dialogue engine"
    async with aclosing(flow.engines.dialogue.reply(request.prompt)) as pieces:
        async for piece in pieces:
            yield piece
