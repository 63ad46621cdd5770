"""What the doctor finds, with services on loopback that work and that refuse."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import grpc
import pytest
import torch
from pydantic import SecretStr

from ditto_avatar.doctor import Finding, State, examine
from ditto_avatar.settings import Settings
from tests.fakes import tensorrt
from tests.fakes.google_speech import FakeGoogle, fake_google
from tests.fakes.openai_server import Refusal, Talk, fake_openai
from tests.fakes.packs import make_pack

KEY = "sk-this-must-stay-secret"


@pytest.fixture(scope="module")
def packs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("packs")
    make_pack(folder / "oval", frames=5)
    return folder


def settings(packs: Path, data: Path, **changes: Any) -> Settings:
    values: dict[str, Any] = {
        "data_dir": data,
        "avatars_dir": packs,
        "avatar": "oval",
        "engine": "puppet",
        "_env_file": None,
    }
    return Settings(**{**values, **changes})


async def findings(settings: Settings) -> dict[str, Finding]:
    return {finding.part: finding for finding in await examine(settings)}


async def test_without_keys_everything_embedded_works(packs: Path, tmp_path: Path) -> None:
    found = await findings(settings(packs, tmp_path))
    assert [f.part for f in found.values() if f.state is State.BROKEN] == []
    assert "espeak-ng" in found["speech: espeak"].text
    assert "oval" in found["presenters"].text
    assert "puppet" in found["face"].text
    assert found["transcription"].state is State.ABSENT


async def test_keys_that_work_are_told(packs: Path, tmp_path: Path) -> None:
    async with fake_openai(Talk()) as openai, fake_google() as google:
        found = await findings(
            settings(
                packs,
                tmp_path,
                openai_api_key=SecretStr(KEY),
                openai_base_url=openai.base_url,
                openai_speech_url=openai.base_url,
                tts_api_key=SecretStr(KEY),
                google_endpoint=google.endpoint,
                google_plaintext=True,
            )
        )
    for part in ("dialogue: openai", "speech: openai", "speech: google", "transcription: openai"):
        assert found[part].state is State.GOOD, found[part].text
    assert google.keys == [KEY]
    assert KEY not in repr(found)


async def test_a_refused_key_is_broken_and_names_its_variable(packs: Path, tmp_path: Path) -> None:
    refusing = FakeGoogle(refuse=grpc.StatusCode.UNAUTHENTICATED)
    async with fake_openai(Refusal(401)) as openai, fake_google(refusing) as google:
        found = await findings(
            settings(
                packs,
                tmp_path,
                openai_api_key=SecretStr(KEY),
                openai_base_url=openai.base_url,
                tts_api_key=SecretStr(KEY),
                google_endpoint=google.endpoint,
                google_plaintext=True,
            )
        )
    assert found["dialogue: openai"].state is State.BROKEN
    assert "OPENAI_API_KEY" in found["dialogue: openai"].text
    assert found["speech: google"].state is State.BROKEN
    assert "TTS_API_KEY" in found["speech: google"].text
    assert found["speech: espeak"].state is State.GOOD
    assert KEY not in repr(found)


async def test_what_is_missing_is_broken_only_where_it_is_asked_for(
    packs: Path, tmp_path: Path
) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("no folder")
    found = await findings(
        settings(
            packs,
            blocked,
            avatar="nobody",
            engine="ditto",
            speech="google",
            database_url="postgresql+asyncpg://me:secret@127.0.0.1:9/none",
        )
    )
    broken = {part for part, finding in found.items() if finding.state is State.BROKEN}
    assert broken == {"presenters", "face", "data folder", "credentials", "database", "speech"}
    assert "oval" in found["presenters"].text
    assert "secret" not in found["database"].text
    assert "TTS_API_KEY" in found["speech"].text


async def test_how_ditto_would_run_is_told_with_the_reasons(packs: Path, tmp_path: Path) -> None:
    found = (await findings(settings(packs, tmp_path, device="cpu")))["ditto backend"]
    assert found.state is State.GOOD
    assert found.text.startswith("eager on cpu; not tensorrt: engines run on a CUDA device only; ")
    assert "; not compiled: " in found.text
    assert "(for RTX, without a GPU); none was ever run." in found.text


async def test_a_backend_that_cannot_be_used_is_broken_where_ditto_is_chosen(
    packs: Path, tmp_path: Path
) -> None:
    asked = {"device": "cpu", "backend": "compiled"}
    for engine, state in (("ditto", State.BROKEN), ("puppet", State.ABSENT)):
        chosen = settings(packs, tmp_path, engine=engine, checkpoints=tmp_path, **asked)
        found = (await findings(chosen))["ditto backend"]
        assert found.state is state
        assert found.text.startswith("DITTO_BACKEND=compiled cannot be used on cpu; not tensorrt")
    toaster = settings(packs, tmp_path, device="toaster")
    assert "'toaster' is no device" in (await findings(toaster))["ditto backend"].text


async def test_engines_for_a_gpu_are_looked_for_beside_the_checkpoint(
    packs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tensorrt.install(monkeypatch)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    old = SimpleNamespace(major=8, shared_memory_per_block_optin=163 * 1024)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _: old)
    chosen = settings(packs, tmp_path, device="cuda", checkpoints=tmp_path)
    found = (await findings(chosen))["ditto backend"]
    assert f"not tensorrt: {tmp_path}/engines holds no engines; " in found.text
    assert "not fused: its kernels need a GPU like H100" in found.text


async def command(tmp_path: Path, **environment: str) -> tuple[int, str]:
    """`ditto-avatar doctor`: its exit code and everything it printed."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("DITTO_", "OPENAI_", "TTS_"))}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "ditto_avatar.cli", "doctor",
        env={**kept, "DITTO_DATA_DIR": str(tmp_path), "COLUMNS": "200", **environment},
        cwd=tmp_path, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    printed, _ = await process.communicate()
    assert process.returncode is not None
    return process.returncode, printed.decode()


async def test_the_command_succeeds_when_all_works(packs: Path, tmp_path: Path) -> None:
    code, printed = await command(tmp_path, DITTO_AVATARS_DIR=str(packs), DITTO_AVATAR="oval")
    assert code == 0, printed
    assert "espeak-ng" in printed


async def test_the_command_fails_on_a_refused_key_and_does_not_print_it(
    packs: Path, tmp_path: Path
) -> None:
    async with fake_openai(Refusal(401)) as openai:
        code, printed = await command(
            tmp_path,
            DITTO_AVATARS_DIR=str(packs),
            DITTO_AVATAR="oval",
            OPENAI_API_KEY=KEY,
            DITTO_OPENAI_BASE_URL=openai.base_url,
        )
    assert code == 1
    assert "refused the key" in printed
    assert KEY not in printed


async def test_wrong_settings_are_one_sentence_each(tmp_path: Path) -> None:
    code, printed = await command(tmp_path, DITTO_PORT="99999", DITTO_SPEAKING_RATE="fast")
    assert code == 1
    lines = printed.strip().splitlines()
    assert len(lines) == 2, printed
    assert "DITTO_PORT" in printed
    assert "DITTO_SPEAKING_RATE" in printed
    assert "Traceback" not in printed


async def test_it_says_what_films_are_signed_with(packs: Path, tmp_path: Path) -> None:
    pytest.importorskip("c2pa")
    signed = (await findings(settings(packs, tmp_path)))["credentials"]
    assert (signed.state, "self-signed" in signed.text) == (State.GOOD, True)
    off = (await findings(settings(packs, tmp_path, credentials="off")))["credentials"]
    assert off.state is State.ABSENT
    broken = settings(packs, tmp_path, credentials_key=tmp_path / "key.pem")
    assert (await findings(broken))["credentials"].state is State.BROKEN
