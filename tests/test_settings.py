from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from ditto_avatar.settings import Settings

ROOT = Path(__file__).parent.parent


def names() -> set[str]:
    return {
        str(field.validation_alias.choices[-1])
        if field.validation_alias is not None and hasattr(field.validation_alias, "choices")
        else f"DITTO_{name.upper()}"
        for name, field in Settings.model_fields.items()
    }


def test_everything_has_a_default(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    settings = Settings()
    assert settings.port == 7136
    assert settings.openai_api_key is None


def test_the_environment_and_a_file_are_read(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".env").write_text("DITTO_PORT=8000\nOPENAI_API_KEY=sk-secret\n")
    monkeypatch.setenv("DITTO_AVATAR", "james")
    settings = Settings()
    assert (settings.port, settings.avatar) == (8000, "james")
    assert settings.openai_api_key is not None
    assert settings.openai_api_key.get_secret_value() == "sk-secret"
    assert "sk-secret" not in repr(settings)


def test_a_variable_that_is_empty_is_not_set(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in names():
        monkeypatch.setenv(name, "")
    assert Settings() == Settings.model_construct()


def test_a_wrong_value_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DITTO_PORT", "many")
    with pytest.raises(ValidationError, match="port"):
        Settings()


def test_settings_cannot_be_changed() -> None:
    with pytest.raises(ValidationError):
        Settings().port = 1  # type: ignore[misc]


@pytest.mark.parametrize("file", ["docs/settings.md", "docs/settings.ko.md", ".env.example"])
def test_every_setting_is_documented(file: str) -> None:
    text = (ROOT / file).read_text(encoding="utf-8")
    assert [name for name in sorted(names()) if name not in text] == []


@pytest.mark.parametrize(
    ("name", "value"),
    [("overlap", 20), ("overlap", 90), ("sampling_timesteps", 2_000), ("template_n_frames", -2)],
)
def test_values_that_ditto_cannot_run_with_are_refused(name: str, value: int) -> None:
    with pytest.raises(ValidationError, match=name):
        Settings.model_validate({name: value})
