"""What the server does for a kiosk: its page, its texts, and the passcode that ends it."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import SecretStr

from ditto_avatar.errors import InvalidInput
from ditto_avatar.server.kiosk import Kiosk, read_texts
from ditto_avatar.settings import Settings
from ditto_avatar.types import Language
from tests.fakes.clock import ManualClock

from .conftest import ServeWith


async def test_the_page_of_a_kiosk_is_at_the_root_and_keeps_itself(serve: ServeWith) -> None:
    async with serve() as server:
        page = await server.http.get("/?kiosk")
        assert "static/kiosk/main.js" in page.text
        assert "static/kiosk/main.js" not in (await server.http.get("/")).text
        script = await server.http.get("/kiosk-offline.js")
        assert script.headers["content-type"].startswith("text/javascript")


async def test_only_the_passcode_ends_a_kiosk_and_few_tries_are_taken(serve: ServeWith) -> None:
    async with serve(kiosk_passcode="2468") as server:
        assert (await server.http.get("/api/kiosk")).json()["locked"] is True
        right = await server.http.post("/api/kiosk/exit", json={"passcode": "2468"})
        assert right.status_code == 204
        for _ in range(4):
            wrong = await server.http.post("/api/kiosk/exit", json={"passcode": "1357"})
            assert wrong.status_code == 403
        too_many = await server.http.post("/api/kiosk/exit", json={"passcode": "2468"})
        assert too_many.status_code == 429


async def test_without_a_passcode_anybody_may_end_it(serve: ServeWith) -> None:
    async with serve() as server:
        assert (await server.http.get("/api/kiosk")).json()["locked"] is False
        left = await server.http.post("/api/kiosk/exit", json={"passcode": ""})
        assert left.status_code == 204


@pytest.mark.parametrize("passcode", ["123", "12345678901234", "abcd", "12 4"])
def test_a_passcode_that_a_keypad_cannot_type_stops_the_server(passcode: str) -> None:
    with pytest.raises(InvalidInput, match="DITTO_KIOSK_PASSCODE"):
        Kiosk.of(Settings(kiosk_passcode=SecretStr(passcode)), ManualClock())


def test_texts_of_a_file_take_the_place_of_the_built_in_ones(tmp_path: Path) -> None:
    file = tmp_path / "kiosk.toml"
    file.write_text('[en]\ngreeting = "Welcome to the museum."\nquestions = ["Where is the café?"]')
    texts = read_texts(file)
    assert texts[Language.ENGLISH].questions == ("Where is the café?",)
    assert texts[Language.ENGLISH].invitations == ()
    assert texts[Language.KOREAN].greeting.startswith("안녕하세요")


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("[en]\ngreeting = 1", "en|greeting"),
        ("[en]\nwelcome = 'Hi'", "greeting"),
        ("[fr]\ngreeting = 'Bonjour'", "fr"),
        ("en = 'Hi'", "cannot be read"),
        ("[en", "cannot be read"),
    ],
)
def test_a_file_that_is_not_understood_says_where(
    tmp_path: Path, content: str, problem: str
) -> None:
    file = tmp_path / "kiosk.toml"
    file.write_text(content)
    with pytest.raises(InvalidInput, match=problem):
        read_texts(file)
