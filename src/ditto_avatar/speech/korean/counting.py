"""Which numbers a Korean counter takes: 세 명 but 삼 층.

A counter is a whole word: behind it only particles may stand. 5달러 is no 달 and 4대강 no 대. What
is not in the table takes Sino-Korean numbers.
"""

from __future__ import annotations

import re

from ditto_avatar.speech.korean.numbers import decimal, native, sino

_NATIVE = frozenset(
    (
        # people and animals
        "명 사람 가족 식구 부부 쌍둥이 마리 마디 "
        # things
        "개 개씩 가지 군데 곳 대 권 장 자루 병 잔 컵 캔 팩 통 상자 박스 봉지 봉 포대 자리 칸 줄 "
        "벌 켤레 쌍 "
        "짝 채 척 척씩 송이 그루 포기 뿌리 다발 묶음 단 모 알 톨 조각 덩이 덩어리 판 접시 그릇 "
        "공기 냄비 "
        "꼬집 줌 움큼 큰술 작은술 술 스푼 숟가락 숟갈 티스푼 테이블스푼 방울 모금 입 가닥 갈래 "
        "겹 꺼풀 "
        "꼭지 마당 바구니 바가지 두름 손 다스 근 돈 되 말 홉 필 폭 세트 벌씩 점씩 꾸러미 뭉치 토막 "
        # times and deeds
        "번 번째 차례 바퀴 걸음 발 발짝 발자국 끼 골 방 판 게임 경기 곡 문제 문장 단어 글자 마디 "
        "가마 "
        "시 시간 살 달 해 돌 밤 하루 "
        # others
        "배 팀 건 종류 과목 나라 도시 학교 회사 집 구절 고개 군데 뼘 아름 길 사발 주전자 숨 걸음 "
        "켜 코 축"
    ).split()
)
# Longer words that begin like a native counter, or that take Sino-Korean numbers in spite of it.
_SINO = frozenset(
    (
        "개월 개국 개년 개소 개사 개입 개들이 시리즈 시즌 장조 대중 배속 배수 배럴 통신 살림 "
        "번지 번길 번가 번호 "
        "번대 명령 권한 권역 대학 대로 장면 시도 줄거리 병동 달러 채널 대강 대째 차원 방향 점 층 "
        "호 호선 위 등 "
        "회 차 종 편 부 일 월 년 분 초 주 주년 학년 반 교시 원 평 인 인분 인용 페이지 쪽 도 절 "
        "항 조 단계 "
        "단지 동 급 세 세기 박 국 촌 남매 형제 인조 도움 루타 점대 대손 통장 단원 킬로 미터 센티 "
        "시그마 개정 말일 해리 되기 판사 단체 단독 곡률 집단 발전 손익 코스 코드 길이"
    ).split()
)
# A pause is heard behind these.
_APART = tuple(
    (
        "개월 개국 개년 개사 개소 시리즈 시즌 장조 배속 배럴 달러 권역 채널 번지 병동 줄거리 "
        "명령 대학 장면 시도"
    ).split()
)
_PARTICLE = (
    "이라고는|이라고|라고|이서|입니다|이었습니다|였습니다|이에요|예요|이었어요|였어요|이었다|"
    "였다|이다|이야|야|"
    "이며|이고|이나|이란|이라|이면|이지만|지만|인데|인가요|인지|인|이요|요|"
    "에서부터|에서는|에서|에게|에는|에도|에|으로는|으로|로는|로|은|는|이|가|을|를|의|와|과|도|"
    "만이|만에|만|"
    "까지|부터|보다|마다|씩|쯤|정도|밖에|처럼|만큼|하고|이랑|랑|나|째|짜리|꼴|당|뿐|들|가량|이상|"
    "이하|미만|"
    "초과|여|남짓|동안|간|전|후|뒤|내|째로|반|같은|따리|든|조차|중|치"
)
_PARTICLES = re.compile(rf"(?:{_PARTICLE}){{0,3}}")
_WORD = re.compile(r"[가-힣]+")
_LONGEST_COUNTER = 5

_APPROXIMATE = {
    (1, 2): "한두", (2, 3): "두세", (3, 4): "서너", (4, 5): "너댓", (5, 6): "대여섯",
    (6, 7): "예닐곱", (7, 8): "일고여덟", (8, 9): "여덟아홉",
}  # fmt: skip

# Words before or behind "번" that make it a count and no number of something.
_TIMES_BEFORE = re.compile(
    r"(?:하루에?|일주일에?|한 ?달에?|일 ?년에?|주|월|연|매일|매주|총|모두|벌써|딱|최대|최소|"
    r"최소한|약|합계|"
    r"지금까지|평생|시간에|한|더|겨우|단|무려|이미|적어도|많아야|대략|거의|오늘|어제)\s*$"
)
_TIMES_BEHIND = re.compile(
    r"\s?(?:이나|씩|정도|쯤|만에|만 |더|연속|이상|넘게|반복|내리|정말|다시|모두|다 |째|연달아|은 "
    r"더|도 안|미만|이하)"
)
_VERB_END = re.compile(
    r"(?:[았었였했갔왔봤났됐렸졌켰썼샀탔잤]\S*|\S+(?:어요|아요|해요|여요|네요|세요|니다|습니다|"
    r"하다|했다|한다|고|며|면서|면|"
    r"려고|지만|는데|거나|다가|야|자|라|보자|볼게요|할게요|겠어요|줘|줘요|해|게))[.!?,~]*"
)
_TIMES_VERB = re.compile(r"\s(?P<word>[가-힣]+)[.!?,~…]*(?=\s|$|[.!?,])")
_MACHINES = re.compile(
    r"(?:차|버스|택시|트럭|기|터|라|전화|폰|티비|비전|서버|피아노|자전거|로봇|컴퓨터|카메라|"
    r"냉장고|에어컨|"
    r"비행기|헬기|드론|오토바이|노트북|피씨|TV|PC)[가-힣]{0,2}\s*$"
)
_NOUN_BEHIND = re.compile(r"\s(?P<word>[가-힣]+)")


def counter_of(word: str) -> str:
    """The counter that `word` begins with, as a whole word; empty when it begins with none."""
    for length in range(min(_LONGEST_COUNTER, len(word)), 0, -1):
        counter, rest = word[:length], word[length:]
        known = counter in _NATIVE or counter in _SINO
        if known and _PARTICLES.fullmatch(rest):
            return counter
        if counter in _SINO:
            return ""  # 개월분: the longer word counts
    return ""


def takes_native(number: str, word: str, before: str = "", behind: str = "") -> bool:
    """Whether `number` before `word` (the letters right behind it) is native; `before` and
    `behind` are the text around both."""
    counter = counter_of(word)
    if counter not in _NATIVE or counter in _SINO:
        return False
    whole = number.replace(",", "")
    if not whole.isdigit() or not 1 <= int(whole) <= 99:
        return False
    rest = word[len(counter) :]
    if counter == "번":
        return _counts_times(rest, before, behind)
    if counter == "대":
        return _counts_machines(int(whole), rest, before, behind)
    if counter == "장":
        return not re.match(r"\s?\d+\s?절|\s\d+\s?조", behind) and not before.rstrip().endswith(
            "제"
        )
    if counter == "권":
        # 1권에서 is in the first volume.
        return not rest.startswith(("에서", "부터", "까지"))
    if counter == "시":
        return int(whole) <= 12
    if counter in {"달", "해", "말", "술", "단", "길", "입", "손", "발", "돌", "코", "되"}:
        return int(whole) <= 20
    return True


def counted(number: str, word: str, before: str = "", behind: str = "", gap: str = "") -> str:
    """`number` and the word behind it, as they are read; `gap` is what stood between them."""
    counter = counter_of(word)
    if takes_native(number, word, before, behind):
        said = native(int(number.replace(",", "")))
        if counter == "번째":
            said = {"한": "첫"}.get(said, said)
        return f"{said} {word}"
    apart = (counter in _NATIVE and counter != "장") or word.startswith(_APART)
    return f"{decimal(number)}{' ' if apart else gap}{word}"


def approximate(first: int, second: int, word: str) -> str:
    """``3-4명``: 서너 명; ``3-4일``: 삼사일. Empty where the numbers are not next to each other."""
    if second != first + 1 or second > 9:
        return ""
    if takes_native(str(first), word):
        return f"{_APPROXIMATE[first, second]} {word}"
    return f"{sino(first)}{sino(second)} {word}"


def _counts_times(rest: str, before: str, behind: str) -> bool:
    if _TIMES_BEFORE.search(before) and not re.match(r"\s?(?:출구|버스|문제|테이블)", behind):
        return True
    if _TIMES_BEHIND.match(rest + behind):
        return True
    if rest:
        return False
    match = _TIMES_VERB.match(behind)
    return bool(match and _VERB_END.fullmatch(match["word"]))


def _counts_machines(number: int, rest: str, before: str, behind: str) -> bool:
    if re.match(r"\s?\d", behind) and not rest:
        return False
    if _MACHINES.search(before):
        return True
    if number % 10 == 0:
        return False  # people in their twenties
    if rest:
        return number < 20
    noun = _NOUN_BEHIND.match(behind)
    if noun is None:
        return number < 10
    return bool(_VERB_END.fullmatch(noun["word"]))
