"""A conversation with services: a language model and a voice (results/latency_services.json).

The server runs in a process of its own and talks to `bench.services`. Playback is reckoned from the
times at which the fragments arrive: the first sentence plays from its first fragment, each next one
from the end of the one before, or from its own first fragment when that comes later.
"""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass
from itertools import accumulate

from bench import report
from bench.report import Scale, Target
from bench.services import FIRST_SOUND_S, FIRST_TOKEN_S, Services, services
from bench.serving import Serving, Viewer, serving
from bench.yardstick import Yardstick
from ditto_avatar.media.encode import fragment_lengths

TURNS = 60
ANSWERS = [
    "[happy] Sure! [neutral] The museum opens at nine every morning. [neutral] On Sundays it "
    "stays closed until noon. [happy] Come early and you will have the halls to yourself.",
    "[neutral] Yes. [neutral] It runs on your own machine. [happy] Nothing leaves the house "
    "unless you bring a key.",
    "[surprise] Good question. [neutral] A sentence is spoken while the next one is being "
    "written. [neutral] That is why the answer begins so soon. [happy] You hardly wait at all.",
    "[sad] No, I am afraid not. [neutral] The last train left an hour ago. [neutral] There is a "
    "bus at ten past eleven, right in front of the station.",
    "[happy] 네, 물론이죠. [neutral] 박물관은 매일 아침 아홉 시에 문을 열어요. [happy] 일찍 "
    "오시면 조용히 둘러보실 수 있어요.",
]
TARGETS = {
    "speech_asked_after_last_token_ms_p50": Target("<= 50", Scale.TIME),
    "speech_asked_after_last_token_ms_p95": Target("<= 50", Scale.TIME),
    # Most of it is the services' own time, which is the same on any machine.
    "text_to_first_fragment_ms_p50": Target("<= 850 (400 + 200 + 250)"),
    "own_share_of_first_fragment_ms_p50": Target("<= 100", Scale.TIME),
    "turns_without_a_wait_between_sentences_percent": Target(">= 99"),
}


@dataclass(frozen=True)
class Turn:
    """One answer as a viewer gets it, in seconds."""

    speech_asked_after: float
    first_fragment_after: float
    gaps: list[float]
    fragments: int
    late_fragments: int


def tokens_of(answer: str) -> list[str]:
    """About what a tokenizer makes of it: a word with the space before it, signs apart."""
    return re.findall(r"\s?\[\w+\]|\s?[\w']+|[^\w\s]", answer)


def first_sentence_tokens(tokens: list[str]) -> int:
    """How many tokens the first sentence has, its full stop included."""
    return next(place for place, token in enumerate(tokens) if token in {".", "!", "?"}) + 1


async def take_turn(viewer: Viewer, double: Services, answer: str, number: int) -> Turn:
    """Ask, and follow the answer to its end."""
    tokens = tokens_of(answer)
    double.expect(tokens)
    seen = len(viewer.messages)
    sent = await viewer.send(
        type="user.text", text=f"Question {number}", idle_frame=37 * number % 100
    )
    await viewer.until("turn.finished")
    messages = viewer.messages[seen:]
    arrivals: dict[str, list[float]] = {}
    for at, message in messages:
        if message["type"] == "segment.data" and message["bytes"]:
            arrivals.setdefault(message["segment"], []).append(at)
    seconds = {m["segment"]: m["duration"] for _, m in messages if m["type"] == "video_ready"}
    gaps, late, end = [], 0, 0.0
    for segment, times in arrivals.items():
        begin = max(end, times[0])
        if end:
            gaps.append(max(0.0, times[0] - end))
        plays = (begin + frames / 25 for frames in accumulate(fragment_lengths(), initial=0))
        late += sum(at > due for at, due in zip(times, plays, strict=False))
        end = begin + seconds[segment]
    last_token = double.token_times[first_sentence_tokens(tokens) - 1]
    first = next(iter(arrivals.values()))[0]
    count = sum(len(times) for times in arrivals.values())
    return Turn(double.speech_asked[0] - last_token, first - sent, gaps, count, late)


async def measure(yardstick: Yardstick) -> list[Turn]:
    """All turns; the first ones only warm up."""
    turns = []
    async with services() as double:
        settings = {
            "DITTO_OPENAI_BASE_URL": double.url,
            "DITTO_OPENAI_SPEECH_URL": double.url,
            "DITTO_DIALOGUE": "openai",
            "DITTO_SPEECH": "openai",
            "DITTO_CACHE_MB": "0",
            "OPENAI_API_KEY": "sk-loopback",
        }
        async with serving(**settings) as server:
            turns = await _conversation(server, double, yardstick)
    return turns[len(ANSWERS) :]


async def _conversation(server: Serving, double: Services, yardstick: Yardstick) -> list[Turn]:
    turns = []
    async with server.viewer() as viewer:
        for number in range(TURNS + len(ANSWERS)):
            turns.append(await take_turn(viewer, double, ANSWERS[number % len(ANSWERS)], number))
            yardstick.sample()
    return turns


def main() -> None:
    """Measure and write results/latency_services.json."""
    with Yardstick() as yardstick:
        turns = asyncio.run(measure(yardstick))
    asked = [turn.speech_asked_after * 1000 for turn in turns]
    first = [turn.first_fragment_after * 1000 for turn in turns]
    own = [ms - (FIRST_TOKEN_S + FIRST_SOUND_S) * 1000 for ms in first]
    in_time = [not any(turn.gaps) for turn in turns]
    fragments = sum(turn.fragments for turn in turns)
    late = sum(turn.late_fragments for turn in turns)
    report.write(
        "latency_services",
        {
            "speech_asked_after_last_token_ms_p50": round(report.p50(asked), 1),
            "speech_asked_after_last_token_ms_p95": round(report.percentile(asked, 95), 1),
            "text_to_first_fragment_ms_p50": round(report.p50(first), 1),
            "text_to_first_fragment_ms_p95": round(report.percentile(first, 95), 1),
            "own_share_of_first_fragment_ms_p50": round(report.p50(own), 1),
            "turns_without_a_wait_between_sentences_percent": round(
                100 * sum(in_time) / len(turns), 1
            ),
            "longest_wait_between_sentences_ms": round(
                1000 * max(gap for turn in turns for gap in turn.gaps), 1
            ),
            "fragments_in_time_percent": round(100 * (1 - late / fragments), 2),
            "first_token_ms": FIRST_TOKEN_S * 1000,
            "first_sound_ms": FIRST_SOUND_S * 1000,
            "turns": len(turns),
        },
        TARGETS,
        yardstick,
    )


if __name__ == "__main__":
    main()
