"""What the attributes and slots of `<ditto-avatar>` do: a real server, a real browser."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, Playwright, expect

from tests.e2e.conftest import Server
from tests.e2e.shop import element, join_token, open_with, server, site, told
from tests.e2e.test_microphone import recording, said
from tests.fakes.browser import SOUND_FLAG, chromium
from tests.fakes.openai_server import Transcript, fake_openai_in_thread
from tests.fakes.site import Site

__all__ = ["server", "site"]
pytestmark = pytest.mark.e2e

QUESTION = "What can you do?"
SILENT = """[...guide.shadowRoot.querySelectorAll("video")]
  .filter((video) => !video.paused).every((video) => video.muted)"""


def with_inner(tag: str, inner: str) -> str:
    return tag.replace("></ditto-avatar>", f">{inner}</ditto-avatar>")


def test_slots_take_the_place_of_caption_and_controls(
    page: Page, server: Server, site: Site
) -> None:
    inner = '<p slot="captions" id="mine"></p><button slot="controls" id="ask">Opening?</button>'
    tag = element(server, join_token(server, site), id="guide")
    open_with(page, server, site, with_inner(tag, inner))
    page.evaluate(
        """() => {
          guide.addEventListener("caption", ({ detail }) => (mine.textContent = detail.text));
          document.getElementById("ask").onclick = () => guide.say("We open at nine.");
        }"""
    )
    told(page, "ready")
    expect(page.locator("#guide").get_by_role("textbox")).to_have_count(0)
    expect(page.locator("#guide [part=caption]")).to_be_hidden()
    page.locator("#ask").click()
    expect(page.locator("#mine")).to_have_text("We open at nine.")
    told(page, "ended")
    expect(page.locator("#mine")).to_be_empty()


def test_a_face_is_a_picture_alone_and_can_be_talked_to_by_script(
    page: Page, server: Server, site: Site
) -> None:
    open_with(
        page, server, site, element(server, join_token(server, site), id="guide", display="face")
    )
    told(page, "ready")
    guide = page.locator("#guide")
    expect(guide.get_by_role("textbox")).to_have_count(0)
    expect(guide.get_by_role("log")).to_have_count(0)
    expect(guide.get_by_text("AI-generated", exact=True)).to_be_visible()
    page.evaluate(f"guide.ask({QUESTION!r})")
    told(page, "speaking")


@pytest.mark.parametrize("attribute", [{"muted": ""}, {"start": "muted"}])
def test_a_muted_element_plays_without_sound_until_the_button_is_pressed(
    page: Page, server: Server, site: Site, attribute: dict[str, str]
) -> None:
    open_with(
        page, server, site, element(server, join_token(server, site), id="guide", **attribute)
    )
    told(page, "ready")
    page.evaluate("guide.say('Nobody hears this sentence, which is long enough to be stopped.')")
    told(page, "speaking")
    assert page.evaluate(SILENT)
    mute = page.locator("#guide").get_by_role("button", name="Mute")
    expect(mute).to_have_attribute("aria-pressed", "true")
    mute.click()
    expect(mute).to_have_attribute("aria-pressed", "false")
    assert not page.evaluate(SILENT)


def test_an_element_that_waits_for_a_click_connects_when_it_is_asked(
    page: Page, server: Server, site: Site
) -> None:
    sockets: list[str] = []
    page.on("websocket", lambda socket: sockets.append(socket.url))
    tag = element(server, join_token(server, site), id="guide", start="click", avatar="james")
    open_with(page, server, site, tag)
    james = f"{server.url}/avatars/james/poster.webp"
    expect(page.locator("#guide .stage .poster")).to_have_attribute("src", james)
    assert not sockets
    page.evaluate("guide.say('Good morning.')")
    told(page, "speaking", text="Good morning.")
    expect(page.locator("#guide .stage .poster")).to_have_attribute("src", james)


def test_a_token_keeps_the_presenter_that_the_page_wishes_for(
    page: Page, server: Server, site: Site
) -> None:
    token = join_token(server, site, avatars=["mina", "sofia"])
    open_with(page, server, site, element(server, token, id="guide", avatar="sofia"))
    told(page, "ready")
    sofia = f"{server.url}/avatars/sofia/poster.webp"
    expect(page.locator("#guide .stage .poster")).to_have_attribute("src", sofia)
    refused = join_token(server, site, avatars=["mina"])
    open_with(page, server, site, element(server, refused, id="guide", avatar="sofia"))
    told(page, "error", code="join_refused")


def test_the_microphone_asks_what_was_said(
    playwright: Playwright, site: Site, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("microphone")
    sound = recording(folder / "person.wav", 1.0, said(QUESTION), 20.0)
    flags = (
        SOUND_FLAG,
        "--use-fake-device-for-media-stream",
        "--use-fake-ui-for-media-stream",
        f"--use-file-for-fake-audio-capture={sound}%noloop",
    )
    with fake_openai_in_thread(Transcript(QUESTION)) as openai, chromium(playwright, flags) as own:
        hearing = Server(
            folder,
            DITTO_OPENAI_SPEECH_URL=openai.base_url,
            OPENAI_API_KEY="sk-loopback",
            DITTO_ALLOWED_ORIGINS=site.origin,
        )
        hearing.start()
        page = own.new_context(permissions=["microphone"]).new_page()
        open_with(page, hearing, site, element(hearing, id="guide"))
        told(page, "ready")
        loaded = "performance.getEntriesByType('resource').map(({ name }) => name).join()"
        assert "microphone.js" not in page.evaluate(loaded)
        page.evaluate("guide.startMicrophone({ handsFree: true })")
        expect(page.locator("#guide").get_by_role("log")).to_contain_text(QUESTION)
        page.evaluate("guide.stopMicrophone()")
        expect(page.locator("#guide .microphone")).to_have_attribute("aria-pressed", "false")
        hearing.stop()
