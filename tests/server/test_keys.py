from __future__ import annotations

import stat
from pathlib import Path

import pytest

from ditto_avatar.errors import InvalidInput, StorageFull
from ditto_avatar.server.keys import Keyring, new_key
from ditto_avatar.server.secret import ServerSecret


def test_a_key_is_found_by_its_entry_in_the_settings() -> None:
    text, key = new_key("shop")
    other, _ = new_key("partner")
    ring = Keyring.read("DITTO_API_KEYS", f" {key.entry} ,")
    assert ring.find(text) == key
    assert ring.find(other) is None
    assert ring.find(key.digest) is None
    assert ring.find("") is None
    assert ("shop" in ring, "partner" in ring, len(ring)) == (True, False, 1)


def test_an_entry_says_nothing_about_its_key() -> None:
    text, key = new_key()
    assert text.removeprefix("ditto_")[:6] not in key.entry
    # 256 bits in base64 without padding.
    assert len(text.removeprefix("ditto_")) == 43
    assert key.name == key.digest[:8]


def test_two_keys_are_never_the_same() -> None:
    assert len({new_key()[0] for _ in range(100)}) == 100


def test_keys_are_read_from_a_file_with_comments(tmp_path: Path) -> None:
    (text, key), (_, given) = new_key("shop"), new_key("partner")
    file = tmp_path / "keys"
    file.write_text(f"# the shop's\n\n{key.entry}  # since May\n")
    ring = Keyring.read("DITTO_API_KEYS", given.entry, file)
    assert [found.name for found in ring.keys] == ["partner", "shop"]
    assert ring.find(text) == key


def test_a_key_in_place_of_its_entry_is_refused_and_not_repeated() -> None:
    text, _ = new_key("shop")
    with pytest.raises(InvalidInput, match="came a key itself") as refused:
        Keyring.read("DITTO_API_KEYS", text)
    assert text[6:] not in str(refused.value)


@pytest.mark.parametrize("entry", ["shop", "shop:", ":" + "0" * 64, "shop:" + "g" * 64, "a b:0"])
def test_a_malformed_entry_is_refused(entry: str) -> None:
    with pytest.raises(InvalidInput, match="expected NAME:DIGEST"):
        Keyring.read("DITTO_API_KEYS", entry)


def test_two_keys_of_one_name_are_refused() -> None:
    entries = ",".join(new_key("shop")[1].entry for _ in range(2))
    with pytest.raises(InvalidInput, match="a name of its own"):
        Keyring.read("DITTO_API_KEYS", entries)


def test_a_file_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="DITTO_API_KEYS_FILE"):
        Keyring.read("DITTO_API_KEYS", "", tmp_path / "none")


@pytest.mark.parametrize("name", ["", "a,b", "a:b", "a b", "x" * 33, "a\n"])
def test_a_name_that_could_be_misread_is_refused(name: str) -> None:
    with pytest.raises(InvalidInput, match="The name of a key"):
        new_key(name)


def test_the_secret_is_made_once_and_for_its_owner_only(tmp_path: Path) -> None:
    first = ServerSecret.of(None, tmp_path / "data")
    second = ServerSecret.of(None, tmp_path / "data")
    file = tmp_path / "data" / "token.secret"
    assert first.key_for("join") == second.key_for("join")
    assert first.key_for("join") != first.key_for("address")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert file.read_text() not in repr(first)


def test_servers_with_the_same_setting_share_a_secret(tmp_path: Path) -> None:
    shared = "0123456789abcdef" * 2
    one = ServerSecret.of(shared, tmp_path / "a")
    other = ServerSecret.of(shared, tmp_path / "b")
    assert one.key_for("join") == other.key_for("join")
    assert not list(tmp_path.iterdir())


def test_a_short_secret_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="DITTO_TOKEN_SECRET: expected at least 32"):
        ServerSecret.of("short", tmp_path)
    (tmp_path / "token.secret").write_text("")
    with pytest.raises(InvalidInput, match="came 0"):
        ServerSecret.of(None, tmp_path)


def test_a_secret_that_cannot_be_kept_is_told(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("a file in the folder's place")
    with pytest.raises(StorageFull, match="cannot be used"):
        ServerSecret.of(None, tmp_path / "data")
