from __future__ import annotations

import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from ditto_avatar.cli import app
from ditto_avatar.server.keys import Keyring

run = CliRunner().invoke


@pytest.mark.parametrize(
    ("options", "setting", "name"),
    [
        ([], "DITTO_API_KEYS", "[0-9a-f]{8}"),
        (["--name", "shop"], "DITTO_API_KEYS", "shop"),
        (["--name", "ops", "--admin"], "DITTO_ADMIN_KEYS", "ops"),
    ],
)
def test_a_new_key_is_printed_with_the_line_that_lets_it_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: list[str], setting: str, name: str
) -> None:
    monkeypatch.chdir(tmp_path)
    result = run(app, ["keys", "new", *options])
    assert result.exit_code == 0
    printed = re.search(r"^(ditto_[\w-]{43})$", result.output, re.MULTILINE)
    line = re.search(rf"^{setting}=({name}:[0-9a-f]{{64}})$", result.output, re.MULTILINE)
    assert printed is not None
    assert line is not None
    assert Keyring.read(setting, line[1]).find(printed[1]) is not None
    # It is kept nowhere.
    assert not list(tmp_path.iterdir())


def test_a_key_with_a_senseless_name_is_one_clear_sentence() -> None:
    result = run(app, ["keys", "new", "--name", "a,b"])
    assert result.exit_code == 1
    assert "ditto_" not in result.output
