"""The page offers a more natural voice, gets it when it is asked to, and lets people choose."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.fakes.page_server import PageServer
from tests.web.screen import expect_phase

pytestmark = pytest.mark.e2e


def offer(**changes: Any) -> dict[str, Any]:
    return {
        "name": "en_US-kristin-medium",
        "label": {"en": "Kristin", "ko": "크리스틴"},
        "languages": ["en", "ko"],
        "megabytes": 63.5,
        "license": "Public domain",
        "license_url": "https://example.org/card",
        "asks_license": False,
        "forbids": {"en": "", "ko": ""},
        "state": "absent",
        "share": 0,
        "message": "",
        **changes,
    }


def opened(page: Page, server: PageServer) -> None:
    page.goto(server.url)
    expect_phase(page, "ready")


def test_one_click_gets_the_voice_behind_the_conversation(page: Page, server: PageServer) -> None:
    server.offers = [offer()]
    opened(page, server)
    bar = page.locator("#voice-bar")
    expect(bar).to_contain_text("A more natural voice: Kristin. 64 MB, Public domain.")
    assert not [m for m in server.received if m["type"] == "voice POST"]
    bar.get_by_role("button", name="Download").click()
    expect(bar).to_contain_text("Kristin: 25 %. You can go on talking.")
    server.offers = [offer(state="loading", share=0.5)]
    expect(bar).to_contain_text("Kristin: 50 %")
    server.offers = [offer(state="installed", share=1)]
    expect(bar).to_be_hidden()
    server.wait_for("voice POST", name="en_US-kristin-medium")


def test_not_now_is_remembered(page: Page, server: PageServer) -> None:
    server.offers = [offer()]
    opened(page, server)
    page.locator("#voice-bar").get_by_role("button", name="Not now").click()
    expect(page.locator("#voice-bar")).to_be_hidden()
    opened(page, server)
    page.locator("#presenter-button").click()
    expect(page.locator("#voice-offers li")).to_have_count(1)
    expect(page.locator("#voice-bar")).to_be_hidden()


def test_terms_that_ask_are_accepted_in_the_menu_first(page: Page, server: PageServer) -> None:
    server.offers = [
        offer(
            asks_license=True,
            license="OpenRAIL-M",
            forbids={"en": "harm", "ko": "해를 끼치는 일"},
        )
    ]
    opened(page, server)
    page.get_by_role("button", name="한국어").click()
    bar = page.locator("#voice-bar")
    expect(bar).to_contain_text("더 자연스러운 목소리가 있어요: 크리스틴. 64MB, OpenRAIL-M.")
    bar.get_by_role("button", name="이용 조건 보기").click()
    row = page.locator("#voice-offers li")
    expect(row).to_contain_text("금지 사항: 해를 끼치는 일.")
    get = row.get_by_role("button", name="내려받기")
    expect(get).to_be_disabled()
    row.get_by_role("checkbox").check()
    get.click()
    asked = server.wait_for("voice POST")
    assert asked["body"] == '{"accept_license":true}'


def test_strangers_are_told_how_its_operator_gets_a_voice(page: Page, server: PageServer) -> None:
    server.offers = [offer()]
    server.may_download = False
    opened(page, server)
    page.locator("#presenter-button").click()
    row = page.locator("#voice-offers li")
    expect(row).to_contain_text("ditto-avatar voices download en_US-kristin-medium")
    expect(row.get_by_role("button")).to_have_count(0)
    expect(page.locator("#voice-bar")).to_be_hidden()


def test_a_chosen_voice_is_told_to_the_server_now_and_after_a_reload(
    page: Page, server: PageServer
) -> None:
    server.voices = [
        {"id": "kokoro/af_heart", "language": "en", "engine": "local", "label": "Heart"},
        {"id": "ko+f3", "language": "ko", "engine": "espeak", "label": "한국어, 여성"},
    ]
    opened(page, server)
    page.locator("#presenter-button").click()
    choice = page.get_by_role("combobox", name="Voice")
    expect(choice.locator("option")).to_have_text(["Automatic", "Heart"])
    choice.select_option("kokoro/af_heart")
    server.wait_for("voice.select", voices=["kokoro/af_heart"])
    page.evaluate("sessionStorage.clear()")
    opened(page, server)
    server.wait_for("voice.select", 2, voices=["kokoro/af_heart"])
    page.locator("#presenter-button").click()
    expect(choice).to_have_value("kokoro/af_heart")


@pytest.mark.parametrize("width", [1280, 360], ids=["desktop", "phone"])
@pytest.mark.parametrize("language", ["English", "한국어"])
def test_what_closes_the_offer_is_beside_its_sentence(
    page: Page, server: PageServer, width: int, language: str
) -> None:
    server.offers = [
        offer(
            label={
                "en": "Kristin, English (US), female",
                "ko": "크리스틴, 영어(미국), 여성",
            },
            license="Public domain (LibriVox), MIT",
        )
    ]
    page.set_viewport_size({"width": width, "height": 740})
    opened(page, server)
    page.get_by_role("button", name=language).click()
    bar = page.locator("#voice-bar")
    close = bar.get_by_role("button", name={"English": "Not now", "한국어": "나중에"}[language])
    expect(close).to_be_visible()
    frame, text, cross = (each.bounding_box() for each in (bar, bar.locator("span"), close))
    assert frame is not None
    assert text is not None
    assert cross is not None
    assert cross["y"] + cross["height"] / 2 < text["y"] + text["height"] + 1
    assert cross["x"] >= text["x"] + text["width"]
    assert cross["x"] + cross["width"] <= frame["x"] + frame["width"]
