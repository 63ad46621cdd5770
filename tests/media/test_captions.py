from __future__ import annotations

import pytest

from ditto_avatar.errors import InvalidInput
from ditto_avatar.media.captions import Cue, read_srt, srt, web_vtt

CUES = [Cue(0, 1.5, "One."), Cue(3661.25, 3662, "안녕하세요.")]


def test_captions_that_are_written_are_read_again() -> None:
    assert read_srt(srt(CUES)) == CUES


def test_web_vtt_has_its_times_with_points_and_its_mark_on_top() -> None:
    text = web_vtt(CUES, Cue(0, 10, "AI"))
    assert text.split("\n")[2:6] == ["00:00:00.000 --> 00:00:10.000 line:0 align:end", "AI", "",
                                    "00:00:00.000 --> 00:00:01.500"]  # fmt: skip
    assert "01:01:01.250 --> 01:01:02.000" in text


def test_a_text_cannot_end_its_caption_or_begin_another() -> None:
    cue = Cue(0, 1, "One.\n\n00:00:05.000 --> 00:00:06.000\n<b>Two</b> & three.")
    lines = web_vtt([cue]).split("\n")
    assert [line for line in lines if "-->" in line] == ["00:00:00.000 --> 00:00:01.000"]
    assert "&lt;b&gt;Two&lt;/b&gt; &amp; three." in lines[3]
    assert len(read_srt(srt([cue]))) == 1


def test_srt_of_other_programs_is_read() -> None:
    text = (
        "\ufeff2\r\n00:00:02.5 --> 00:00:03,000 X1:0\r\n<i>Second</i>\r\nline.\r\n\r\n"
        "1\r\n00:00:00,000 --> 00:00:01,000\r\n{\\an8}First.\r\n\r\n\r\n"
        "3\r\n00:00:09,0 --> 00:00:10,0\r\n\r\n"
    )
    assert read_srt(text) == [Cue(0, 1, "First."), Cue(2.5, 3, "Second line.")]


@pytest.mark.parametrize("text", ["", "Just a text.", "1\nx --> y\nHello."])
def test_what_is_no_srt_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput, match="captions"):
        read_srt(text)
