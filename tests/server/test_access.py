from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from typing import Any

import jwt
import pytest

from ditto_avatar.errors import DittoAvatarError, JoinNeeded, JoinRefused
from ditto_avatar.server.access import Access, Admitted, Asked
from ditto_avatar.server.keys import Key, Keyring, new_key
from ditto_avatar.server.wire.rest import NewToken
from ditto_avatar.session.grant import Grant
from ditto_avatar.types import Language

SECRET = bytes(range(32))
SHOP_TEXT, SHOP = new_key("shop")
PAGE = "https://shop.example"


class Wall:
    """The time of day, as a test sets it."""

    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


def access_of(*keys: Key, wall: Wall | None = None, secret: bytes = SECRET) -> Access:
    return Access(Keyring(keys), secret, "mina", wall or Wall())


def token_of(access: Access, key: Key = SHOP, **wanted: Any) -> str:
    return access.issue(key, NewToken(**wanted))[0]


def admitted(access: Access, credential: str | None, **asked: Any) -> Admitted:
    with access.admit(Asked(credential, asked.pop("origin", None), **asked)) as let_in:
        return let_in


def refusal(access: Access, credential: str | None, **asked: Any) -> str:
    with pytest.raises(JoinRefused) as refused:
        admitted(access, credential, **asked)
    return str(refused.value)


def test_without_keys_everybody_comes_in() -> None:
    access = access_of()
    assert access.open
    assert admitted(access, None, avatar="james") == Admitted("james", None, None)
    assert access.holds(None)


def test_with_keys_nobody_comes_in_without_a_token() -> None:
    with pytest.raises(JoinNeeded):
        admitted(access_of(SHOP), None)


def test_a_token_lets_in_with_its_limits() -> None:
    wall = Wall()
    access = access_of(SHOP, wall=wall)
    token = token_of(access, session_s=600, turns=5, turns_per_minute=2, language="ko")
    wall.now += 100
    let_in = admitted(access, token, avatar="james", language=Language.ENGLISH)
    assert let_in.avatar == "james"
    assert let_in.language is Language.KOREAN
    assert let_in.grant == Grant("shop", wall.now + 600, None, 5, 2)


def test_a_token_says_when_it_expires() -> None:
    wall = Wall()
    assert access_of(SHOP, wall=wall).issue(SHOP, NewToken(expires_s=60))[1] == wall.now + 60


def test_a_token_opens_one_session_only() -> None:
    access = access_of(SHOP)
    token = token_of(access)
    admitted(access, token)
    assert "used already" in refusal(access, token)


def test_a_token_for_several_sessions_opens_so_many() -> None:
    access = access_of(SHOP)
    token = token_of(access, uses=3)
    for _ in range(3):
        admitted(access, token)
    assert "used already" in refusal(access, token)


def test_a_session_that_could_not_be_opened_costs_no_use() -> None:
    access = access_of(SHOP)
    token = token_of(access)
    with pytest.raises(RuntimeError), access.admit(Asked(token, None)):
        raise RuntimeError
    admitted(access, token)


def test_two_who_come_at_once_with_one_token_are_not_both_let_in() -> None:
    access = access_of(SHOP)
    token = token_of(access)
    with access.admit(Asked(token, None)):
        assert "used already" in refusal(access, token)


def test_an_expired_token_is_refused_and_forgotten() -> None:
    wall = Wall()
    access = access_of(SHOP, wall=wall)
    used, late = token_of(access, expires_s=300), token_of(access, expires_s=300)
    admitted(access, used)
    wall.now += 299
    admitted(access, token_of(access))
    wall.now += 1
    assert "expired" in refusal(access, late)
    assert "expired" in refusal(access, used)
    wall.now += 300
    admitted(access, token_of(access))
    assert access.remembered == 1


def test_a_token_of_another_page_is_refused() -> None:
    access = access_of(SHOP)
    token = token_of(access, origins=[PAGE])
    for origin in ("https://evil.example", "http://shop.example", f"{PAGE}:444", "null", None):
        assert "another page" in refusal(access, token, origin=origin)
    admitted(access, token, origin=PAGE)


def test_a_token_for_another_presenter_is_refused() -> None:
    access = access_of(SHOP)
    token = token_of(access, avatars=["james", "ana"])
    assert "another presenter" in refusal(access, token, avatar="mina")
    # Who asks for none gets the first that is allowed.
    assert admitted(access, token).avatar == "james"
    assert admitted(access, token_of(access, avatars=["james", "mina"])).avatar is None


def _tampered(token: str, changes: Mapping[str, Any]) -> str:
    head, body, signature = token.split(".")
    claims = json.loads(base64.urlsafe_b64decode(body + "=="))
    changed = json.dumps({**claims, **changes}).encode()
    return ".".join([head, base64.urlsafe_b64encode(changed).rstrip(b"=").decode(), signature])


def _claims(**changes: Any) -> dict[str, Any]:
    claims = {"iss": "ditto-avatar", "sub": "shop", "jti": "1", "exp": 2**40, "uses": 1}
    return {**claims, "session_s": 60, **changes}


@pytest.mark.parametrize(
    "forged",
    [
        "nonsense",
        "a.b.c",
        _tampered(token_of(access_of(SHOP)), {"uses": 1_000}),
        token_of(access_of(SHOP, secret=b"another secret of 32 characters.")),
        jwt.encode(_claims(), "", "none"),
        jwt.encode(_claims(), SECRET * 2, "HS512"),
        jwt.encode(_claims(iss="somebody"), SECRET, "HS256"),
        jwt.encode({**_claims(), "jti": None}, SECRET, "HS256"),
        jwt.encode({"sub": "shop", "iss": "ditto-avatar"}, SECRET, "HS256"),
    ],
    ids=["text", "dots", "changed", "foreign", "unsigned", "algorithm", "issuer", "id", "partial"],
)
def test_a_token_that_this_server_did_not_make_is_refused(forged: str) -> None:
    assert "not made by this server" in refusal(access_of(SHOP), forged)


def test_a_key_lets_programs_in_but_no_pages() -> None:
    access = access_of(SHOP)
    assert admitted(access, SHOP_TEXT).grant == Grant("shop")
    admitted(access, SHOP_TEXT)
    assert "a page needs a join token" in refusal(access, SHOP_TEXT, origin=PAGE)
    assert "not one of this server's" in refusal(access, new_key("shop")[0])


def test_taking_a_key_away_ends_its_tokens_and_sessions() -> None:
    token = token_of(access_of(SHOP))
    later = access_of(new_key("partner")[1])
    assert "no longer valid" in refusal(later, token)
    assert not later.holds(Grant("shop"))


def test_a_session_holds_until_its_time_is_over() -> None:
    wall = Wall()
    access = access_of(SHOP, wall=wall)
    grant = admitted(access, token_of(access, session_s=600)).grant
    wall.now += 599
    assert access.holds(grant)
    wall.now += 1
    assert not access.holds(grant)


def test_a_session_from_before_there_were_keys_ends() -> None:
    assert not access_of(SHOP).holds(None)


def test_servers_with_one_secret_take_each_others_tokens() -> None:
    token = token_of(access_of(SHOP))
    assert admitted(access_of(SHOP), token).grant is not None


@pytest.mark.parametrize(
    "wanted",
    [
        {"expires_s": 0},
        {"expires_s": 86_401},
        {"uses": 0},
        {"session_s": 0},
        {"origins": []},
        {"origins": ["shop.example"]},
        {"origins": ["https://shop.example/path"]},
        {"origins": ["https://a.example,https://b.example"]},
        {"avatars": []},
        {"turns": 0},
        {"admin": True},
    ],
)
def test_a_token_with_senseless_limits_cannot_be_asked_for(wanted: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(wanted))):
        NewToken(**wanted)


def test_refusals_have_codes_of_their_own() -> None:
    from ditto_avatar.errors import outcome_of

    def told(error: DittoAvatarError) -> tuple[str, int, int | None]:
        outcome = outcome_of(error)
        return outcome.code, outcome.status, outcome.close

    assert told(JoinNeeded()) == ("join_needed", 401, 4407)
    assert told(JoinRefused()) == ("join_refused", 403, 4407)
