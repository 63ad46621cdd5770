"""Sentences are found in any text, however it is cut into pieces."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ditto_avatar.dialogue.sentences import SentenceSplitter

# Every entry is one text as the list of its sentences.
ENGLISH = [
    ["Hello.", "How are you?", "I'm fine!"],
    ["Dr. Smith met Mr. Jones.", "They talked."],
    ["J. K. Rowling wrote it.", "Everybody knows."],
    ["J. R. R. Tolkien and C. S. Lewis were friends."],
    ["It costs $3.50 today.", "Tomorrow it will be $4.25."],
    ["Version 2.1.3 is out.", "Python 3.11 or newer is needed."],
    ["The meeting is at 3.30 p.m. on Monday.", "Don't be late!"],
    ["We open at 9 a.m.", "Please come in."],
    ["See e.g. the manual, i.e. the book.", "It helps."],
    ["Apples, pears, etc. are fruit.", "Apples, pears, etc.", "They are sweet."],
    ["The U.S. economy grew by 2.5 percent.", "That is a lot."],
    ["I live in the U.S.", "It is a big country."],
    ["Visit https://example.com/a.b?c=d!", "Then come back."],
    ["Mail me at jo.doe@example.co.uk.", "Thanks."],
    ["Go to www.example.com.", "It is free."],
    ["Wait... what?", "I see."],
    ["Well... maybe not.", "Fine."],
    ["So… it works.", "Good."],
    ["Hmm...", "I think so."],
    ['He said "Stop!" and left.', "Nobody moved."],
    ["“Is it true?” she asked.", "It was."],
    ["She smiled.", '"Of course."', "Then she went."],
    ["(See fig. 3. It works.)", "Next one."],
    ["It works (mostly.) but slowly.", "Fine."],
    ["Really?!", "Yes!!!", "No way."],
    ["Great!", "😀 Let's go."],
    ["Great!😀", "Let's go."],
    ["1. First item", "2. Second item"],
    ["- one item", "- another item"],
    ["Yahoo! announced a merger.", "Shares rose."],
    ["Plan B.", "Then we go home."],
    ["Vitamin C. elegans is no vitamin."],
    ["No. 5 is alive.", "No.", "I won't."],
    ["Node.js and .NET are fine.", "So is C#."],
    ["It was 1999.", "Then came 2000."],
    ["Acme Inc. was sold.", "Acme Inc.", "It was big."],
    ["She has a Ph.D. in physics.", "He doesn't."],
    ["Meet me on Jan. 5 at noon.", "Or on Feb. 6."],
    ["Open README.md and read it.", "Then run main.py."],
    ["The time is 10:30:15.", "The ratio is 16:9."],
    ["I like cats, dogs, and birds; I also like fish: goldfish."],
    ["What is 2 + 2?", "It is 4."],
    ["No punctuation at the end"],
    ["First paragraph.", "Second paragraph."],
    ["Add 1.5 tsp. of salt.", "Stir it."],
    ["St. Paul's and Mt. Everest are far apart."],
    ["Prof. Lee, Gen. Kim and Rev. Park came.", "All three."],
    ["It's the end of line one", "and here is line two"],
]
KOREAN = [
    ["안녕하세요.", "반갑습니다!", "오늘은 어때요?"],
    ["가격은 3.5달러입니다.", "비싸지 않아요."],
    ["오늘 날씨가 좋네요", "내일도 좋을 거예요"],
    ['"정말요?" 라고 물었다.', "아무도 대답하지 않았다."],
    ['"정말요?"라고 물었다.', "조용했다."],
    ["그는 “안녕.”이라고 했다.", "그리고 떠났다."],
    ["「좋아요.」", "그녀가 웃었다."],
    ["2024. 3. 5. 오전에 만나요.", "늦지 마세요."],
    ["음... 글쎄요.", "잘 모르겠어요."],
    ["그래요…", "그럼 다음에 봐요."],
    ["버전 2.0.1이 나왔습니다.", "내려받으세요."],
    ["GPT-4o를 씁니다.", "API 키가 필요해요."],
    ["https://example.com/a.b 를 보세요.", "자세히 나와 있어요."],
    ["메일은 a.b@example.com입니다.", "감사합니다."],
    ["와!", "정말요?", "대단해요~!"],
    ["첫째, 전원을 켜세요.", "둘째, 기다리세요."],
    ["1. 전원을 켜세요.", "2. 기다리세요."],
    ["오후 3시 30분에 만나요.", "2층이에요."],
    ["좋아요 😊 그럼 시작할까요?", "네!"],
    ["(참고로 무료입니다.)", "누구나 쓸 수 있어요."],
    ["이것은 Node.js입니다.", "저것은 Python이에요."],
    ["그렇습니까。", "네。"],
    ["네.", "그렇습니다.", "왜?", "자."],
    ["가. 첫째 항목이에요.", "나. 둘째 항목이에요."],
]
WITHOUT_SPACES = [
    ("그렇습니다.그리고 좋아요.", ["그렇습니다.", "그리고 좋아요."]),
    ("안녕!반가워요.", ["안녕!", "반가워요."]),
    ("Wow!That is it.", ["Wow!", "That is it."]),
    ("はい。いいえ。", ["はい。", "いいえ。"]),
    ("One.\n\n\nTwo.", ["One.", "Two."]),
    ("  spaces   around.   Here too.  ", ["spaces   around.", "Here too."]),
]


def split(*pieces: str) -> list[str]:
    splitter = SentenceSplitter()
    parts = [part for piece in pieces for part in splitter.feed(piece)]
    return [part.text for part in [*parts, *splitter.flush()]]


def join(sentences: list[str]) -> str:
    """With a line break where nothing else can tell the sentences apart."""
    text = ""
    for sentence in sentences:
        closed = text.rstrip("\"”」')😀")[-1:] in ".!?。…~"
        numbered = sentence[:2] in {"1.", "2.", "- "}
        text += ("" if not text else " " if closed and not numbered else "\n") + sentence
    return text


@pytest.mark.parametrize("sentences", ENGLISH + KOREAN, ids=lambda s: str(s[0]))
def test_a_text_is_split_where_its_sentences_end(sentences: list[str]) -> None:
    assert split(join(sentences)) == sentences


@pytest.mark.parametrize(("text", "sentences"), WITHOUT_SPACES)
def test_a_text_with_odd_spaces_is_split_too(text: str, sentences: list[str]) -> None:
    assert split(text) == sentences


@pytest.mark.parametrize("sentences", ENGLISH + KOREAN, ids=lambda s: str(s[0]))
def test_single_characters_give_the_same_sentences(sentences: list[str]) -> None:
    assert split(*join(sentences)) == sentences


TEXTS = st.one_of(
    st.text(alphabet="abAB 12.,!?…\"')(\n가다요。😀:/", max_size=120),
    st.lists(st.sampled_from([join(s) for s in ENGLISH + KOREAN]), max_size=5).map(" ".join),
    st.lists(st.sampled_from(["word ", "comma, ", "가나다 ", "쉼표, "]), max_size=200).map("".join),
)


@given(TEXTS, st.data())
@settings(max_examples=150, deadline=None)
def test_the_way_a_text_is_cut_into_pieces_changes_nothing(text: str, data: st.DataObject) -> None:
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=8)))
    pieces = [text[a:b] for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True)]
    assert split(*pieces) == split(text)


@given(TEXTS)
@settings(max_examples=150, deadline=None)
def test_nothing_is_lost_but_spaces(text: str) -> None:
    assert "".join("".join(split(text)).split()) == "".join(text.split())


@pytest.mark.parametrize("text", ["Hello. ", "안녕하세요. ", "Really? ", "좋아요! ", "Line\n"])
def test_the_next_character_is_enough_to_prove_an_end(text: str) -> None:
    splitter = SentenceSplitter()
    assert splitter.feed(text[:-1]) == []
    assert [part.text for part in splitter.feed(text[-1])] == [text.strip()]


def test_a_very_long_sentence_is_cut_at_a_comma() -> None:
    clause = "and then another thing happened that nobody had expected, "
    parts = split(clause * 12)
    assert len(parts) > 3
    assert all(len(part) <= 240 and part.endswith(",") for part in parts)


def test_the_first_sentence_of_an_answer_is_cut_earlier() -> None:
    text = (
        "If you have a moment to spare for all of it, we can look at the whole list together and "
        "decide which of these you want to keep."
    )
    splitter = SentenceSplitter()
    first = splitter.feed(text)
    assert [part.text for part in first] == ["If you have a moment to spare for all of it,"]
    assert not first[0].ends
    rest = splitter.flush()
    assert [part.ends for part in rest] == [True]


def test_a_text_without_any_space_is_still_cut() -> None:
    assert max(len(part) for part in split("가" * 2000)) <= 220
