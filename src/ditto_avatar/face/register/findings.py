"""What can be wrong with a picture of a face, and what helps, in the languages of the page."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class Reason(StrEnum):
    """What is wrong, or to be known, about a picture."""

    NO_FACE = "no_face"
    TWO_FACES = "two_faces"
    SMALL = "small"
    SOFT = "soft"
    CUT_OFF = "cut_off"
    TURNED = "turned"
    DARK = "dark"
    BLOWN_OUT = "blown_out"
    BLURRED = "blurred"
    MOUTH_COVERED = "mouth_covered"
    EYES_COVERED = "eyes_covered"
    EYES_SHUT = "eyes_shut"
    GLASSES = "glasses"
    TEETH = "teeth"


# These are told, and the picture is used all the same.
NOTES: Final = frozenset({Reason.SOFT, Reason.GLASSES, Reason.TEETH})

REMEDIES: Final[Mapping[Reason, Mapping[str, str]]] = {
    Reason.NO_FACE: {
        "en": "No face was found. Look straight into the camera, with your whole head visible.",
        "ko": "얼굴을 찾지 못했어요. 머리 전체가 보이도록 카메라를 정면으로 봐 주세요.",
    },
    Reason.TWO_FACES: {
        "en": "There is more than one face. Use a picture of one person alone.",
        "ko": "얼굴이 두 명 이상 보여요. 한 사람만 나온 사진을 써 주세요.",
    },
    Reason.SMALL: {
        "en": "The face is too small. Come closer, or use a larger picture.",
        "ko": "얼굴이 너무 작아요. 더 가까이 오거나 더 큰 사진을 써 주세요.",
    },
    Reason.SOFT: {
        "en": "The face has few pixels and will look soft. Come closer, or use a larger picture.",
        "ko": "해상도가 낮아 흐릿하게 보일 수 있어요. 더 가까이 오거나 더 큰 사진을 써 주세요.",
    },
    Reason.CUT_OFF: {
        "en": "The face is cut off. Leave some space around your head.",
        "ko": "얼굴이 잘렸어요. 머리 둘레에 여유를 두어 주세요.",
    },
    Reason.TURNED: {
        "en": "The head is turned. Look straight into the camera, at the height of your eyes.",
        "ko": "고개가 돌아가 있어요. 눈높이의 카메라를 정면으로 봐 주세요.",
    },
    Reason.DARK: {
        "en": "The face is too dark. Turn towards a window or a lamp.",
        "ko": "얼굴이 너무 어두워요. 창문이나 조명 쪽을 바라봐 주세요.",
    },
    Reason.BLOWN_OUT: {
        "en": "The face is too bright. Move away from the strong light.",
        "ko": "얼굴이 너무 밝아요. 강한 빛을 피해 주세요.",
    },
    Reason.BLURRED: {
        "en": "The face is blurred. Hold still, and wipe the lens.",
        "ko": "얼굴이 흐려요. 움직이지 말고, 렌즈를 닦아 주세요.",
    },
    Reason.MOUTH_COVERED: {
        "en": "The mouth is covered. Take off the mask, or move your hand away.",
        "ko": "입이 가려져 있어요. 마스크를 벗거나 손을 치워 주세요.",
    },
    Reason.EYES_COVERED: {
        "en": "The eyes are covered. Take off dark glasses, and move hair aside.",
        "ko": "눈이 가려져 있어요. 선글라스를 벗고 머리카락을 넘겨 주세요.",
    },
    Reason.EYES_SHUT: {
        "en": "The eyes are shut. Take another picture with open eyes.",
        "ko": "눈을 감고 있어요. 눈을 뜬 사진을 써 주세요.",
    },
    Reason.GLASSES: {
        "en": "With glasses, blinks look less natural. Without them it works better.",
        "ko": "안경을 쓰면 눈 깜빡임이 덜 자연스러워요. 벗으면 더 잘 나와요.",
    },
    Reason.TEETH: {
        "en": "Your teeth show; the lips will be closed. A relaxed, closed mouth works best.",
        "ko": "이가 보여서 입술을 다문 모습으로 바꿔요. 편하게 다문 입이 가장 잘 나와요.",
    },
}


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing about a picture. It `blocks` unless the picture can be used all the same."""

    reason: Reason

    @property
    def blocks(self) -> bool:
        return self.reason not in NOTES

    def text(self, language: str = "en") -> str:
        """Return reason and remedy in `language`, English where it is not known."""
        texts = REMEDIES[self.reason]
        return texts.get(language, texts["en"])
