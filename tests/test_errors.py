from __future__ import annotations

import pytest

from ditto_avatar import errors


def domain_errors() -> list[type[errors.DittoAvatarError]]:
    """Those of the module; what engines derive for themselves never leaves them."""
    found = [errors.DittoAvatarError]
    for kind in found:
        found.extend(k for k in kind.__subclasses__() if k.__module__ == errors.__name__)
    return found


@pytest.mark.parametrize("kind", domain_errors())
def test_every_error_has_a_status_and_its_own_sentence(
    kind: type[errors.DittoAvatarError],
) -> None:
    outcome = errors.outcome_of(kind("What happened."))
    assert 400 <= outcome.status < 600
    assert outcome.code
    assert errors.public_text(kind("What happened.")) == "What happened."


def test_an_unexpected_error_tells_nothing_of_its_inside() -> None:
    error = RuntimeError("password=hunter2")
    assert errors.outcome_of(error).status == 500
    assert "hunter2" not in errors.public_text(error)


def test_a_special_error_keeps_its_own_row() -> None:
    assert errors.outcome_of(errors.InvalidAudio("x")).code == "invalid_audio"


def test_codes_name_one_thing_each() -> None:
    codes = [outcome.code for outcome in errors.OUTCOMES.values()]
    assert len(codes) == len(set(codes))
