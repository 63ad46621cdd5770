"""Serve the kiosk page: its texts, and the passcode that ends it."""

from __future__ import annotations

import re
import secrets
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import FileResponse
from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError

from ditto_avatar.clock import Clock
from ditto_avatar.errors import Forbidden, InvalidInput
from ditto_avatar.server.page_files import answer, page_file
from ditto_avatar.session.limits import RateLimit
from ditto_avatar.settings import Settings, revealed
from ditto_avatar.types import Language

_FOLDER = (Path(__file__).parent.parent / "web" / "kiosk").resolve()
# A keypad has digits only.
_PASSCODE = re.compile(r"[0-9]{4,12}")
# Ten thousand codes of four digits would take weeks: the hour's tries are for all addresses
# together, because somebody at the kiosk may come with telephones as well.
_TRIES_PER_HOUR = 30
_TRIES_AT_ONCE = 5
_EVERYBODY = ""

Sentence = Annotated[str, Field(min_length=1, max_length=300)]


class KioskTexts(BaseModel):
    """What the kiosk says and offers in one language."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    greeting: Sentence
    """Said to somebody who comes."""
    invitations: Annotated[tuple[Sentence, ...], Field(max_length=20)] = ()
    """Said one after the other while nobody is there."""
    questions: Annotated[tuple[Sentence, ...], Field(max_length=6)] = ()
    """Can be asked by a touch or a key."""


class KioskOut(BaseModel):
    """What the kiosk page needs to know."""

    locked: bool
    """Whether a passcode ends it."""
    texts: dict[Language, KioskTexts]


class KioskExit(BaseModel):
    """The code that was typed."""

    passcode: Annotated[str, Field(max_length=64)]


_TEXTS = {
    Language.ENGLISH: KioskTexts(
        greeting="Hello! What would you like to know?",
        invitations=(
            "Hello! Come closer and ask me something.",
            "Touch a question, or press its number.",
        ),
        questions=(
            "What can you do?",
            "How do I connect a language model?",
            "Do I need a GPU?",
        ),
    ),
    Language.KOREAN: KioskTexts(
        greeting="안녕하세요! 무엇이 궁금하신가요?",
        invitations=(
            "안녕하세요! 가까이 오셔서 무엇이든 물어보세요.",
            "궁금한 질문을 누르거나 번호를 눌러 주세요.",
        ),
        questions=(
            "무엇을 할 수 있나요?",
            "언어 모델은 어떻게 연결하나요?",
            "GPU가 필요한가요?",
        ),
    ),
}


@dataclass(frozen=True, slots=True)
class Kiosk:
    """The kiosk's texts by language, its passcode, and the tries that are allowed."""

    texts: Mapping[Language, KioskTexts]
    passcode: str | None
    tries: RateLimit

    @classmethod
    def of(cls, settings: Settings, clock: Clock) -> Kiosk:
        """Read the settings. Raises `InvalidInput` for a passcode or a file that cannot be one."""
        return cls(
            read_texts(settings.kiosk_texts),
            _passcode(settings.kiosk_passcode),
            RateLimit(_TRIES_PER_HOUR / 60, clock, "tries", burst=_TRIES_AT_ONCE),
        )

    @property
    def sentences(self) -> list[str]:
        """Everything the kiosk says by itself: drawn once, it comes from the cache."""
        texts = self.texts.values()
        return [said for text in texts for said in (text.greeting, *text.invitations)]

    def leave(self, passcode: str) -> None:
        """Return when `passcode` ends the kiosk. Raises `Forbidden` for a wrong one, and
        `RateLimited` after too many tries, the right one included."""
        if self.passcode is None:
            return
        self.tries.take(_EVERYBODY)
        if not secrets.compare_digest(passcode.encode(), self.passcode.encode()):
            raise Forbidden("That is not the passcode of the kiosk.")


def read_texts(path: Path | None) -> Mapping[Language, KioskTexts]:
    """Read a TOML file with a table for each language, `[en]` and `[ko]`; one that it leaves out
    keeps the built-in texts. Raises `InvalidInput`."""
    if path is None:
        return _TEXTS
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
        given = {Language(name): KioskTexts(**table) for name, table in content.items()}
    except ValidationError as error:
        problem = error.errors()[0]
        where = ".".join(map(str, problem["loc"]))
        raise InvalidInput(f"DITTO_KIOSK_TEXTS: {path.name}: {where}: {problem['msg']}.") from None
    except (OSError, ValueError, TypeError) as error:
        raise InvalidInput(f"DITTO_KIOSK_TEXTS: {path} cannot be read: {error}.") from error
    return {**_TEXTS, **given}


def _passcode(setting: SecretStr | None) -> str | None:
    passcode = revealed(setting)
    if passcode is not None and not _PASSCODE.fullmatch(passcode):
        raise InvalidInput("DITTO_KIOSK_PASSCODE: expected 4 to 12 digits, came something else.")
    return passcode


def _kiosk_of(request: Request) -> Kiosk:
    kiosk: Kiosk = request.app.state.parts.kiosk
    return kiosk


TheKiosk = Annotated[Kiosk, Depends(_kiosk_of)]
router = APIRouter(include_in_schema=False)


def page() -> FileResponse:
    """Return the kiosk page, which `/?kiosk` is."""
    headers = {"Cache-Control": "no-cache"}
    return FileResponse(_FOLDER / "index.html", media_type="text/html", headers=headers)


@router.get("/kiosk-offline.js")
async def offline(request: Request) -> Response:
    """Return the script that keeps the kiosk page for a time without a server. It lies beside the
    page, because it may keep only what lies below it."""
    path = _FOLDER / "offline.js"
    return answer(page_file(path, path.stat().st_mtime_ns), request.scope)


@router.get("/api/kiosk")
async def show_kiosk(kiosk: TheKiosk) -> KioskOut:
    """Return what the kiosk page needs to know."""
    return KioskOut(locked=kiosk.passcode is not None, texts=dict(kiosk.texts))


@router.post("/api/kiosk/exit", status_code=204)
async def leave_kiosk(given: KioskExit, kiosk: TheKiosk) -> None:
    """Say whether the passcode ends the kiosk."""
    kiosk.leave(given.passcode)
