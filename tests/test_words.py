"""Words that a recogniser writes otherwise are not wrong; words that it hears otherwise are."""

from __future__ import annotations

import pytest

from bench.words import words_wrong


@pytest.mark.parametrize(
    ("said", "heard"),
    [
        ("Pupils may borrow three books a month.", "pupils may borrow 3 books a month"),
        ("It took forty-two days.", "It took 42 days."),
        ("Across the grey harbour!", "Across the gray harbor."),
        ("Check in at the bedroom.", "Check-in at the bed room."),
        ("A bed room, please.", "a bedroom please"),
    ],
)
def test_another_way_to_write_a_word_is_not_wrong(said: str, heard: str) -> None:
    assert words_wrong(said, heard)[0] == 0


@pytest.mark.parametrize(
    ("heard", "wrong"),
    [
        ("the train stopped but we went to stations", 4),
        ("The train stopped two stations.", 1),
        ("The train stopped in between two stations.", 1),
        ("The train stopped between 3 stations.", 1),
        ("The train stopped between 117 stations.", 1),
        ("", 6),
    ],
)
def test_wrong_missing_and_additional_words_count(heard: str, wrong: int) -> None:
    assert words_wrong("The train stopped between two stations.", heard) == (wrong, 6)
