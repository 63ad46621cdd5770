"""Stage directions that models write in place of words: ``*smiles warmly*``, ``(웃으며)``."""

from __future__ import annotations

import re

# Stems; with an ending they say what somebody does.
_VERBS = (
    "smil grin laugh chuckl giggl smirk sigh nod wav wink blush frown shrug bow gasp paus think "
    "ponder whisper gestur clap cheer beam lean look glanc tilt shak rais rub scratch stretch "
    "yawn cough sniff sob cry weep hum sing danc jump point blink star gaz clear tak breath "
    "cross fold plac put hold walk step sit stand turn mov excit speak say repl respond listen "
    "pout snicker snort groan scowl glar cring shiver trembl hug pat reach adjust fidget tap "
    "hesitat contemplat consider reflect continu begin start react roll"
).split()
_ADVERBS = (
    "warmly softly gently quietly brightly cheerfully happily sadly excitedly thoughtfully "
    "playfully nervously slowly politely kindly enthusiastically curiously calmly proudly shyly"
).split()
_ENGLISH = re.compile(
    rf"(?:(?:{'|'.join(_ADVERBS)})[ ,]+)?(?:is |are )?"
    rf"(?:(?:{'|'.join(_VERBS)})[a-z]{{0,2}}?(?:s|es|ies|ing|ed))(?:[ ,;'’-]+[a-z'’]+){{0,9}}"
    rf"|(?:{'|'.join(_ADVERBS)})",
)
_KOREAN = re.compile(
    r"(?:[가-힣]+ ){0,5}?(?:웃|미소|한숨|손을? ?흔|손 ?흔|고개|끄덕|인사|박수|윙크|눈을? ?|생각에|"
    r"잠시|살짝|환하게|밝게|부드럽게|조용히|따뜻하게|활짝|방긋|빙그레|싱긋|어깨를?|속삭|울|놀라|"
    r"기뻐|슬퍼|수줍|머뭇|헛기침)"
    r"[가-힣 ]{0,20}?(?:며|면서|고|음|는다|ㄴ다|다|웃음|미소|한숨|게)"
    r"|(?:웃음|미소|한숨|박수|윙크|침묵|잠시 침묵|환한 미소|웃으며|헛기침)"
)


def is_direction(inside: str) -> bool:
    """Whether what stands between stars or brackets says what the speaker does: lower case, a
    verb in the third person or with -ing first, no sentence of its own."""
    text = inside.strip()
    if not text or len(text) > 80 or text[-1] in "?":
        return False
    text = text.rstrip(".!~…")
    return bool(_ENGLISH.fullmatch(text) or _KOREAN.fullmatch(text))
