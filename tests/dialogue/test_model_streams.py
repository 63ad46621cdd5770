"""What servers of the chat protocol really send, over a real socket, up to what is shown."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ditto_avatar.dialogue.base import Message, Prompt, Role
from ditto_avatar.dialogue.clauses import TextDelta, clauses
from ditto_avatar.dialogue.fallback import FallbackDialogue
from ditto_avatar.dialogue.openai import OpenAIDialogue, OpenAIDialogueOptions
from ditto_avatar.errors import ProviderFailed
from ditto_avatar.providers.retry import Retries
from ditto_avatar.types import Fallback, Language
from tests.fakes.openai_server import FakeOpenAI, Raw, Refusal, Talk, fake_openai

STREAMS = json.loads((Path(__file__).parent / "model_streams.json").read_text(encoding="utf-8"))
PLAIN, WHOLE = "Hello there.", "Hello there. Two cats."
EXPECTED = {
    "surrogate": "Hi 😀 there.",
    "empty_answer": "I am sorry, I found no words",
    "content_filter": "I am sorry, I cannot answer that.",
    "reasoning_only": "I am sorry, I found no words",
    "length": "I was going to say that the",
} | dict.fromkeys(
    "think_split harmony special_eos special_s leading_newlines null_bytes".split(), PLAIN
)
SILENT = {"empty_answer", "content_filter", "reasoning_only"}


def model(fake: FakeOpenAI, **options: object) -> OpenAIDialogue:
    values = {"base_url": fake.base_url, "first_token_s": 5.0, "next_token_s": 5.0, **options}
    return OpenAIDialogue("k", OpenAIDialogueOptions(**values), retries=Retries(1))  # type: ignore[arg-type]


def prompt(language: Language = Language.ENGLISH) -> Prompt:
    return Prompt([Message(Role.USER, "Hello?")], language)


async def shown(
    dialogue: OpenAIDialogue, told: list[Fallback], language: Language = Language.ENGLISH
) -> str:
    chain = FallbackDialogue([dialogue], told.append)
    answer = clauses(chain.reply(prompt(language)), language=language)
    return "".join([item.text async for item in answer if isinstance(item, TextDelta)])


async def said_by(
    *parts: bytes, kind: str = "text/event-stream", **options: object
) -> tuple[str, list[Fallback]]:
    told: list[Fallback] = []
    async with fake_openai(Raw(parts, kind)) as fake:
        dialogue = model(fake, **options)
        try:
            return await shown(dialogue, told), told
        finally:
            await dialogue.close()


def event(*choices: object, **more: object) -> bytes:
    return f"data: {json.dumps({'choices': list(choices), **more})}\n\n".encode()


def delta(finish: str | None = None, /, **values: object) -> dict[str, object]:
    return {"index": 0, "delta": values, "finish_reason": finish}


DONE = b"data: [DONE]\n\n"
HELLO = event(delta(content=PLAIN))
STOP = event(delta("stop"))


@pytest.mark.parametrize("case", STREAMS, ids=lambda case: case["name"])
async def test_recorded_streams(case: dict[str, object]) -> None:
    stream = case["stream"]
    assert isinstance(stream, list)
    text, told = await said_by(*(part.encode() for part in stream))
    name = str(case["name"])
    expected = EXPECTED.get(name, WHOLE)
    assert text.startswith(expected) if name in SILENT else text == expected
    assert [fallback.part for fallback in told] == (["answer"] if name in SILENT else [])


@pytest.mark.parametrize(
    "odd",
    [
        event(),
        b'data: {"choices": null}\n\n',
        b'data: {"choices": {}}\n\n',
        b'data: {"choices": [null, 3, "x"]}\n\n',
        b"data: {}\n\n",
        b"data: [1, 2]\n\n",
        b'data: "text"\n\n',
        b"data: null\n\n",
        b"data:\n\n",
        b'event: ping\ndata: {"type": "ping"}\n\n',
        b"id: 7\nretry: 100\n\n",
        event({"index": 0}),
        event({"index": 0, "delta": None}),
        event({"index": 0, "delta": "x"}),
        event({"index": 0, "delta": {"content": 7}}),
        event({"index": 0, "delta": {"content": [None, {"type": "image_url"}, {"text": None}]}}),
        event({"index": 1, "delta": {"content": "The second choice."}}),
        event(delta(tool_calls=[{"index": 0, "function": {"name": "f", "arguments": "{}"}}])),
        event(usage={"total_tokens": "many"}),
        b'data: {"error": null, "choices": []}\n\n',
        event(delta("null")),
    ],
)
async def test_events_without_what_they_should_have_are_passed_over(odd: bytes) -> None:
    for parts in ((odd, HELLO, STOP, DONE), (HELLO, odd, STOP, DONE), (HELLO, STOP, odd, DONE)):
        assert await said_by(*parts) == (PLAIN, [])


@pytest.mark.parametrize(
    "first",
    [
        {"reasoning": "Hm."},
        {"reasoning_content": "Hm."},
        {"thinking": "Hm.", "content": ""},
        {"reasoning_details": [{"type": "reasoning.encrypted", "data": "x"}]},
        {"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "Hm."}]}]},
        {"content": "<think>Hm.</think>"},
    ],
)
async def test_thoughts_are_a_sign_of_life_and_nothing_else(first: dict[str, object]) -> None:
    thought = event({"index": 0, "delta": first})
    text = event(delta(content=[{"type": "text", "text": PLAIN}]))
    assert await said_by(thought, text, STOP, DONE) == (PLAIN, [])


async def test_a_model_that_only_thinks_is_given_up_after_a_time_of_its_own() -> None:
    told: list[Fallback] = []
    async with fake_openai(Raw([event(delta(reasoning="Hm."))], then="stall")) as fake:
        dialogue = model(fake, thinking_s=0.1)
        text = await shown(dialogue, told)
        await dialogue.close()
        assert len(fake.requests) == 1
    assert "sorry" in text
    assert "thought for more than" in told[0].reason


async def test_a_refusal_is_said_in_its_own_words() -> None:
    refusal = event(delta(refusal="I cannot help with that."))
    assert await said_by(refusal, STOP, DONE) == ("I cannot help with that.", [])


async def test_an_answer_that_a_filter_cut_ends_with_a_sentence() -> None:
    text, told = await said_by(HELLO, event(delta("content_filter")), DONE)
    assert text.startswith(f"{PLAIN} …")
    assert "cannot say more" in text
    assert told[0].part == "answer"


@pytest.mark.parametrize("language", list(Language))
async def test_an_empty_answer_is_never_silence(language: Language) -> None:
    told: list[Fallback] = []
    async with fake_openai(Raw([STOP, DONE])) as fake:
        dialogue = model(fake)
        text = await shown(dialogue, told, language)
        await dialogue.close()
    assert ("죄송" in text) is (language is Language.KOREAN)


@pytest.mark.parametrize(
    ("parts", "kind"),
    [
        (
            (json.dumps({"choices": [{"message": {"content": PLAIN}}]}).encode(),),
            "application/json",
        ),
        ((json.dumps({"choices": [{"text": PLAIN}]}).encode(),), "application/json"),
        ((HELLO.replace(b"\n\n", b"\n"), b"\n", b"data: [DONE]"), "text/event-stream"),
        ((HELLO, b"data: [DONE]"), "text/plain"),
        ((b"\xef\xbb\xbf" + HELLO[:20], HELLO[20:], STOP, DONE), "text/event-stream"),
    ],
)
async def test_other_shapes_of_an_answer(parts: tuple[bytes, ...], kind: str) -> None:
    assert await said_by(*parts, kind=kind) == (PLAIN, [])


async def test_a_multibyte_character_may_be_cut_between_parts() -> None:
    data = "data: " + json.dumps(
        {"choices": [{"index": 0, "delta": {"content": "안녕\u2028하세요."}}]}, ensure_ascii=False
    )
    raw = f"{data}\n\n".encode()
    parts = [raw[at : at + 7] for at in range(0, len(raw), 7)]
    assert await said_by(*parts, DONE) == ("안녕\u2028하세요.", [])


async def test_an_error_within_the_stream_is_a_failure_in_our_words() -> None:
    async with fake_openai(Raw([b'data: {"error": {"message": "secret"}}\n\n'])) as fake:
        dialogue = model(fake)
        with pytest.raises(ProviderFailed, match="reported an error"):
            [piece async for piece in dialogue.reply(prompt())]
        await dialogue.close()


async def test_a_model_whose_template_has_no_system_role_is_asked_without_one() -> None:
    refusal = Refusal(400, message="Conversation roles must alternate: system role not supported")
    async with fake_openai(refusal, Talk(["Yes."])) as fake:
        dialogue = model(fake)
        for _ in range(2):
            assert [piece async for piece in dialogue.reply(prompt())] == ["Yes."]
        await dialogue.close()
        roles = [[m["role"] for m in body["messages"]] for body in fake.bodies]  # type: ignore[attr-defined]
    assert roles == [["system", "user"], ["user"], ["user"]]


async def test_thoughts_without_an_opening_are_held_back_from_the_second_answer_on() -> None:
    pieces = ["Plans", " first.", "</think>", PLAIN]
    async with fake_openai(Talk(pieces)) as fake:
        dialogue = model(fake)
        told: list[Fallback] = []
        assert PLAIN in await shown(dialogue, told)
        assert await shown(dialogue, told) == PLAIN
        await dialogue.close()


async def test_a_request_can_carry_settings_of_the_server() -> None:
    body = {"chat_template_kwargs": {"enable_thinking": False}, "reasoning_effort": "low"}
    async with fake_openai(Talk(["Yes."])) as fake:
        dialogue = model(fake, body=body)
        assert [piece async for piece in dialogue.reply(prompt())] == ["Yes."]
        await dialogue.close()
        assert body.items() <= fake.bodies[0].items()
