"""What the offline presenter says to a greeting, thanks and the like."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum, auto

from ditto_avatar.types import Language


class Occasion(Enum):
    """Something people say that is no question about anything."""

    GREETING = auto()
    THANKS = auto()
    FAREWELL = auto()
    WHO_ARE_YOU = auto()
    HOW_ARE_YOU = auto()
    AGREEMENT = auto()
    PRAISE = auto()


@dataclass(frozen=True, slots=True)
class Remark:
    """The occasion that a text begins with, and what the text says after it."""

    occasion: Occasion
    rest: str


_ENGLISH = {
    Occasion.WHO_ARE_YOU: r"(?:and )?(?:who|what) (?:are|r) (?:you|u)|what(?:'s| is) your name|"
    r"(?:please )?(?:introduce yourself|tell me (?:about yourself|who you are))|"
    r"do you have a name",
    Occasion.HOW_ARE_YOU: r"how are you(?: (?:doing|today|feeling))*|how(?:'s| is) it going|"
    r"how do you do|what'?s up|how are things",
    Occasion.GREETING: r"hi+(?: there)?|hello+(?: there| again)?|hey+(?: there)?|greetings|howdy|"
    r"good (?:morning|afternoon|evening|day)|(?:it's )?nice to (?:meet|see) you|welcome",
    Occasion.THANKS: r"(?:ok(?:ay)?,? )?(?:many )?thanks?(?: you)?(?: (?:so|very) much| a lot|"
    r" for (?:your|the) (?:help|answer))?|thx|cheers|much appreciated|i appreciate it",
    Occasion.FAREWELL: r"(?:good ?)?bye+(?: bye)?|see (?:you|ya)(?: (?:later|soon|tomorrow))?|"
    r"farewell|good ?night|take care|talk to you later|that(?:'s| is) all|until next time",
    Occasion.PRAISE: r"(?:you(?:'re| are) (?:so |very |really )?"
    r"(?:great|nice|good|amazing|awesome|cute|smart|cool|funny|beautiful|pretty))|"
    r"(?:that(?:'s| is|'s) )?(?:great|awesome|amazing|cool|wow|nice|well done|good job|perfect)",
    Occasion.AGREEMENT: r"ok(?:ay)?|yes|yeah|yep|no|nope|sure|alright|i see|got it|right|hm+",
}
_KOREAN = {
    Occasion.WHO_ARE_YOU: r"(?:너는|넌|당신은|그쪽은)? ?"
    r"(?:누구(?:야|세요|예요|니|십니까|인가요|시죠)|이름이 (?:뭐\S*|무엇\S*|어떻게 \S+)|"
    r"이름은(?: (?:뭐\S*|무엇\S*))?)|"
    r"(?:너|당신|네|본인)?(?:에 대해|의)? ?자기 ?소개(?:를)?(?: ?좀)?"
    r"(?: ?(?:해|부탁)\S*(?: \S+)?)?",
    Occasion.HOW_ARE_YOU: r"(?:오늘 )?(?:기분|컨디션)(?:이|은)? ?(?:어때\S*|어떠\S*|좋\S*)|"
    r"(?:요즘 )?(?:어떻게 지내\S*|잘 지내\S*|잘 지냈\S*|별일 없\S*)",
    Occasion.GREETING: r"안녕(?:하세요|하십니까|하신가요|하셨어요)?|"
    r"반가(?:워요?|워|웠어요)|반갑습니다|(?:만나서|처음) (?:반가워요?|반갑습니다|뵙겠습니다)|"
    r"여보세요|하이|헬로|좋은 (?:아침|저녁|하루)\S*",
    Occasion.THANKS: r"(?:정말 |너무 |참 |대단히 )?"
    r"(?:고마워요?|고맙습니다|고마웠어요?|감사합니다|감사해요|감사드려요|감사드립니다|땡큐|"
    r"수고했어요?|수고하셨\S*)",
    Occasion.FAREWELL: r"잘 ?(?:가|있어|가요|있어요|자|자요)|안녕히 (?:계세요|가세요|주무세요)|"
    r"(?:나중에|다음에|또|내일) (?:또 )?(?:봐요?|만나요?|봬요|뵐게요|뵙겠습니다)|"
    r"바이(?:바이)?|이만 \S+",
    Occasion.PRAISE: r"(?:너 |너는 |넌 |정말 |너무 |진짜 |참 |와 |우와 )*"
    r"(?:예쁘\S*|예뻐\S*|멋지\S*|멋져\S*|귀엽\S*|귀여\S*|똑똑하\S*|대단하\S*|대단해\S*|"
    r"최고\S*|훌륭\S*|잘했\S*|신기하\S*|신기해\S*|좋아요|좋네요|와|우와)",
    Occasion.AGREEMENT: r"네|예|응|아니요?|아뇨|그래요?|알겠(?:습니다|어요?)|오케이|맞아요?|"
    r"그렇군요?|음+|아하",
}

_PATTERNS = {
    language: [
        (occasion, re.compile(rf"(?:{pattern})(?=$|[\s,.!?~…。！？])", re.IGNORECASE))
        for occasion, pattern in table.items()
    ]
    for language, table in ((Language.ENGLISH, _ENGLISH), (Language.KOREAN, _KOREAN))
}
_BETWEEN = " \t\n,.!?~…。！？^ㅎㅋㅠㅜ:)-"
_ADDRESS = re.compile(
    r"^(?:mina|presenter|avatar|ditto|everyone|friend|buddy|my friend|미나(?:야|씨| 씨|님)?|친구야)"
    r"(?=$|[\s,.!?~])",
    re.IGNORECASE,
)

_REPLIES = {
    Language.ENGLISH: {
        Occasion.GREETING: (
            "[happy] Hello! It is nice to see you. [neutral] Ask me anything about this project.",
            "[happy] Hi there! [neutral] What would you like to know?",
            "[happy] Hello again! [neutral] I am listening.",
        ),
        Occasion.THANKS: (
            "[happy] You are welcome!",
            "[happy] My pleasure. [neutral] Just ask if there is anything else.",
        ),
        Occasion.FAREWELL: (
            "[happy] Goodbye! It was nice talking to you.",
            "[happy] See you soon. Take care!",
        ),
        Occasion.WHO_ARE_YOU: (
            "[happy] I am your presenter, the face of Ditto Avatar. [neutral] I am not a real "
            "person. At the moment I answer from a few notes about this project, and with a "
            "language model I could talk about everything.",
        ),
        Occasion.HOW_ARE_YOU: (
            "[happy] I am doing well, thank you for asking! [neutral] How can I help you?",
        ),
        Occasion.PRAISE: (
            "[happy] Thank you, that is very kind of you!",
            "[happy] That makes me smile. Thank you!",
        ),
        Occasion.AGREEMENT: (
            "[neutral] All right. What would you like to know next?",
            "[neutral] Good. I am listening.",
        ),
    },
    Language.KOREAN: {
        Occasion.GREETING: (
            "[happy] 안녕하세요! 만나서 반가워요. "
            "[neutral] 이 프로젝트에 대해 무엇이든 물어보세요.",
            "[happy] 안녕하세요! [neutral] 무엇이 궁금하세요?",
            "[happy] 또 만났네요! [neutral] 듣고 있어요.",
        ),
        Occasion.THANKS: (
            "[happy] 천만에요!",
            "[happy] 도움이 되었다니 기뻐요. [neutral] 더 궁금한 것이 있으면 말씀해 주세요.",
        ),
        Occasion.FAREWELL: (
            "[happy] 안녕히 가세요! 이야기 나눠서 즐거웠어요.",
            "[happy] 다음에 또 만나요!",
        ),
        Occasion.WHO_ARE_YOU: (
            "[happy] 저는 디토 아바타의 진행자예요. [neutral] 실제 사람은 아니에요. 지금은 "
            "이 프로젝트에 대한 메모를 보고 대답하지만, 언어 모델을 연결하시면 "
            "무엇이든 이야기할 수 있어요.",
        ),
        Occasion.HOW_ARE_YOU: (
            "[happy] 저는 잘 지내요, 물어봐 주셔서 고마워요! [neutral] 무엇을 도와드릴까요?",
        ),
        Occasion.PRAISE: (
            "[happy] 그렇게 말씀해 주시니 정말 고마워요!",
            "[happy] 칭찬을 들으니 기분이 좋네요. 고마워요!",
        ),
        Occasion.AGREEMENT: (
            "[neutral] 네, 알겠어요. 또 무엇이 궁금하세요?",
            "[neutral] 네, 듣고 있어요.",
        ),
    },
}


def remark(text: str, language: Language) -> Remark | None:
    """The occasion that `text` begins with, None when it begins with none."""
    text = text.strip(_BETWEEN)
    for occasion, pattern in _PATTERNS[language]:
        if match := pattern.match(text):
            rest = text[match.end() :].strip(_BETWEEN)
            rest = _ADDRESS.sub("", rest).strip(_BETWEEN)
            return Remark(occasion, rest)
    return None


def reply_to(occasion: Occasion, language: Language, turn: int) -> str:
    """What to answer in the `turn`-th turn (from 0): the wording changes as a talk goes on."""
    replies = _REPLIES[language][occasion]
    return replies[turn % len(replies)]


def all_replies() -> Iterator[str]:
    """Everything that `reply_to` can answer."""
    for by_occasion in _REPLIES.values():
        for replies in by_occasion.values():
            yield from replies
