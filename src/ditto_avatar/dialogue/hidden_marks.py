"""The marks that models write for programs, and how far a beginning may still become one.

The names are those that models and their servers were seen to use.
"""

from __future__ import annotations

import re

THOUGHTS = (
    "think thinking thought thoughts reasoning reason analysis reflection reflect scratchpad "
    "inner_monologue monologue internal_monologue antthinking seed:think cot chain_of_thought "
    "thought_process planning"
).split()
TOOLS = (
    "tool tool_call tool_calls tool_response tool_result tool_code tool_use tool_output "
    "function_call function_calls function_results function minimax:tool_call"
).split()
# What a program that searches or works tells of itself; only at the beginning of a line, and only
# with its closing: people and models also speak of elements with these names.
ASIDES = frozenset(
    "status search searching web_search search_query query observation action step progress "
    "system_note note_to_self".split()
)
LONGEST_ASIDE = 400
# Around the answer itself: only the tags go.
_WRAPPERS = "answer final final_answer response output reply cite assistant_response".split()
TOKENS = (
    "s bos eos pad unk sep cls start_of_turn end_of_turn start_of_text end_of_text "
    "end_of_utterance eot eom endoftext begin_of_text"
).split()
NAMES = frozenset([*THOUGHTS, *TOOLS, *_WRAPPERS, *TOKENS, "details"])

LONGEST_TOKEN = 64
LONGEST_TAG = 240
LONGEST_HEADER = 80
_LONGEST_UNKNOWN = 16
_LONGEST_CITATION = 80

PIPED = re.compile(r"<[|｜]([^<>|｜\s]{1,40})[|｜]?>|<([^<>|｜\s]{1,40})[|｜]>")
NAMED = re.compile(r"<(/?)\s?([A-Za-z_][\w:]*?(?:\d+)?)(\s[^<>]*)?\s?/?>")
# Llama's calls have their name within the mark.
FUNCTION = re.compile(r"<function=[\w.\-]{1,60}>")
# Mistral's calls, a list of JSON up to the end of the line.
CALLS = re.compile(r"\[TOOL_CALLS\][^\n]*(?:\n|$)")
NUMBERED = re.compile(r"(?:unused|ctrl|extra_id_|reserved_special_token_)\d+|0x[0-9A-Fa-f]{2}")
_MAY_BE_NUMBERED = re.compile(
    r"u(?:nused|nuse|nus|nu|n)?\d*|ctrl\d*|extra_id_?\d*|0(?:x[0-9a-f]{0,2})?"
)
BRACKETED = re.compile(r"\[(/?)(THINK|INST)\]|<<(/?)SYS>>", re.IGNORECASE)
TRIANGLES = re.compile(r"◁(/?)(?:think|thinking)▷")
CITATION = re.compile(
    r"【[^】\n]{0,10}(?:†|source|turn\d|\d:\d)[^】\n]{0,60}】|【\d[^】\n]{0,8}】"
    r"|\ue200[^\ue201]{0,80}\ue201|[\ue200-\ue206]"
    r"|:contentReference\[oaicite:\d+\](?:\{index=\d+\})?|\[oaicite:\d+\]"
    r"|\[(?:citation|cite|source|ref)[:\s]*\d+(?:\s*,\s*\d+)*\]|\[\^\d+\^?\]",
    re.IGNORECASE,
)
_CITATION_BEGINS = (
    "【",
    "\ue200",
    ":contentreference[oaicite:",
    "[oaicite:",
    "[citation",
    "[cite",
    "[source",
    "[ref",
    "[^",
)
_BRACKETS_BEGIN = (
    "[tool_calls]",
    "[think]",
    "[/think]",
    "[inst]",
    "[/inst]",
    "<<sys>>",
    "<</sys>>",
)
_TRIANGLES_BEGIN = ("◁think▷", "◁/think▷", "◁thinking▷", "◁/thinking▷")
CANDIDATE = re.compile("[<\\[◁【:\ue200-\ue206]")

# A header opens a turn or a channel; its words say whose.
HEADERS = frozenset({"start", "channel", "im_start", "start_header_id", "turn", "start_of_turn"})
HEADER_ENDS = re.compile(
    r"<\|(?:message|end_header_id|im_sep)\|>|\n|(?=<[|｜]?(?:start|channel)[|｜]?>)"
)
NOT_THE_ANSWER = re.compile(
    r"analysis|commentary|thought|think|user|system|developer|tool|human|function", re.IGNORECASE
)
ENDS_TURN = frozenset(
    "im_end eot_id eom_id end endoftext end_of_text end_of_turn return s eos eot "
    "end▁of▁sentence call".split()
)
OTHERS_TURN = re.compile(r"\s*(?:user|human|system)\s*(?:\n|:)", re.IGNORECASE)
OPENS_THOUGHT = frozenset({"begin_of_thought", "start_thinking", "think", "thinking"})
CLOSES_THOUGHT = frozenset({"end_of_thought", "end_thinking", "/think", "/thinking"})
BEGINS_ANSWER = frozenset({"begin_of_solution", "start_response", "start_text"})

# How a thought begins whose opening mark stood in the question's template. Answers do not speak
# of "the user"; where one does, it only comes later than it could.
_OPENERS = "okay ok alright hmm well so first right"
_USER_DOES = (
    "is was has wants want asks ask asked says say said greets greet greeted just seems seem sent "
    "wrote needs need might may would probably gave mentioned did"
)
_WE_DO = (
    "answer respond reply figure think consider determine provide keep write say explain check "
    "compute calculate solve"
)
_LET_ME = "think figure recall consider break parse analyze analyse"
MUSING = re.compile(
    rf"\s*(?:(?:{_OPENERS.replace(' ', '|')})[,.!:…]*\s+)*"
    rf"(?:the\s+(?:user|human)(?:'s|\s+(?:{_USER_DOES.replace(' ', '|')}))\b"
    rf"|(?:i|we)\s+(?:need|have|should|must)\s+(?:to\s+)?(?:{_WE_DO.replace(' ', '|')})\b"
    rf"|let\s+me\s+(?:{_LET_ME.replace(' ', '|')})\b"
    r"|사용자(?:가|는|의|께서|님이)\s)"
    # The plan of an agent, which writes its answer behind a label.
    r"|\s*\**(?:thought|thinking|reasoning)\**:\**\s",
    re.IGNORECASE,
)
_AGENT_PLAN = re.compile(r"\s*\**(?:thought|thinking|reasoning)\**:", re.IGNORECASE)
# The label before the answer of an agent.
_ANSWER_LABEL = re.compile(
    r"(?:^|\n)\s*\**(?:final answer|answer|response)\**:\**\s*(?=[^\s*])", re.IGNORECASE
)
_MARK_BEGINS = re.compile(r"<|\[|◁")
_MUSING_WORDS = frozenset(
    f"{_OPENERS} {_USER_DOES} {_WE_DO} {_LET_ME} the user user's human human's i we need have "
    "should must to let me thought thinking reasoning 사용자가 사용자는 사용자의 사용자께서 "
    "사용자님이".split()
)
# The longest beginning that may still become a musing one.
MUSING_WITHIN = 60
# The tokens were stripped and their words were left: "analysisThe user …assistantfinalHello."
BARE_CHANNEL = re.compile(r"\s*(?:assistant)?(?:analysis|commentary)(?=[A-Z가-힣])")
BARE_FINAL = re.compile(r"(?:assistant)?final(?=[A-Z가-힣\[\"*])")
BARE_MARKS = ("analysis", "commentary", "assistantanalysis", "assistantcommentary")


def plain(name: str) -> str:
    """Return `name` without the vendor's own part before a usual name, as in ``<mm:think>``."""
    lower = name.lower()
    return lower if lower in NAMES else lower.rpartition(":")[2]


def closing_of_thought(text: str, start: int = 0) -> int | None:
    """Return the end of the first mark at or behind `start` that closes a thought."""
    if _AGENT_PLAN.match(text) and (label := _ANSWER_LABEL.search(text, start)):
        return label.end()
    for match in _MARK_BEGINS.finditer(text, start):
        at = match.start()
        if (named := NAMED.match(text, at)) and named[1] and plain(named[2]) in THOUGHTS:
            return named.end()
        if (piped := PIPED.match(text, at)) and (piped[1] or piped[2]).lower() in CLOSES_THOUGHT:
            return piped.end()
        for pattern in (BRACKETED, TRIANGLES):
            if (mark := pattern.match(text, at)) and mark[1]:
                return mark.end()
    return None


def opening_of_thought(text: str) -> bool:
    named = NAMED.match(text.lstrip())
    return named is not None and not named[1] and plain(named[2]) in THOUGHTS


def may_muse(start: str) -> bool:
    """Whether a beginning of an answer, in lower case, may become one that `MUSING` knows."""
    if not start:
        return False
    words = re.split(r"[\s,.!:…*]+", start)
    *whole, last = words
    return all(word in _MUSING_WORDS for word in whole if word) and (
        not last or any(known.startswith(last) for known in _MUSING_WORDS)
    )


def may_become_mark(text: str) -> bool:
    """Whether a text that begins with a mark's first character may become that mark."""
    lower = text.lower()
    for known in (*_BRACKETS_BEGIN, *_TRIANGLES_BEGIN):
        if known.startswith(lower):
            return True
    for known in _CITATION_BEGINS:
        begun = lower.startswith(known)
        if (begun and len(text) < _LONGEST_CITATION and _open_citation(text)) or (
            known.startswith(lower)
        ):
            return True
    if text[0] != "<":
        return False
    inside = lower[1:].lstrip("/ ")
    if not inside:
        return len(text) < 4 and not text.endswith(" ")
    if any(character in text for character in ">\n"):
        return False
    if inside[0] in "|｜":
        return len(text) < LONGEST_TOKEN and not re.search(r"\s", inside)
    name = re.match(r"[\w:]*", inside)
    word = name[0] if name else ""
    if inside.startswith("function="):
        return len(text) < LONGEST_TOKEN
    if ":" in word and word not in NAMES:
        vendor, _, last = word.rpartition(":")
        word, inside = last, inside[len(vendor) + 1 :]
    if word == inside:
        # Short names wait for their end: a usual one may stand behind a vendor's.
        return (
            any(known.startswith(word) for known in (*NAMES, *HEADERS))
            or _MAY_BE_NUMBERED.fullmatch(word) is not None
            or (word[0].isalpha() and len(word) <= _LONGEST_UNKNOWN)
        )
    if inside[len(word)] in "|｜":
        return len(text) < LONGEST_TOKEN
    return word in NAMES and len(text) < LONGEST_TAG


def _open_citation(text: str) -> bool:
    if text[0] == "【":
        return "】" not in text and (len(text) < 2 or text[1:2].isalnum())
    if text[0] == "\ue200":
        return "\ue201" not in text
    return "]" not in text and "\n" not in text and not re.search(r"[.!?]", text)
