"""Films are signed and read; what was changed afterwards is refused."""

from __future__ import annotations

import asyncio
import datetime
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

pytest.importorskip("c2pa")

import c2pa
from cryptography import x509

from ditto_avatar.credentials.certificate import Certificate
from ditto_avatar.credentials.reading import read_credentials
from ditto_avatar.credentials.signing import Credentials
from ditto_avatar.credentials.statement import Statement
from ditto_avatar.errors import InvalidFilm, Unavailable
from tests.cancelling import cancelled_everywhere
from tests.fakes.packs import make_pack

STATEMENT = Statement("oval", "puppet", "Nobody: drawn by a test.", "Drawn.")


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_pack(tmp_path_factory.mktemp("packs") / "oval", frames=25) / "idle.mp4"


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    return Certificate.for_trying(tmp_path_factory.mktemp("certificate"))


@pytest.fixture
async def credentials(certificate: Certificate) -> AsyncIterator[Credentials]:
    credentials = Credentials(certificate)
    yield credentials
    await credentials.close()


@pytest.fixture
async def signed(credentials: Credentials, film: Path, tmp_path: Path) -> Path:
    target = tmp_path / "signed.mp4"
    await credentials.sign(film, target, STATEMENT)
    return target


async def test_a_signed_film_says_who_made_it(signed: Path) -> None:
    read = await read_credentials(signed)
    assert read.statement == STATEMENT
    assert read.made_by_ai
    assert read.made_with.startswith("Ditto Avatar ")
    assert read.signer.startswith("Ditto Avatar, self-signed")
    assert datetime.datetime.fromisoformat(read.made_at).tzinfo is not None
    assert not read.trusted


async def test_the_librarys_own_reader_finds_it_valid(signed: Path) -> None:
    with c2pa.Reader(signed) as reader:
        assert reader.get_validation_state() == "Valid"
        report = json.loads(reader.json())
    codes = {problem["code"] for problem in report.get("validation_status", [])}
    assert codes <= {"signingCredential.untrusted"}


async def test_the_signer_is_trusted_by_those_who_trust_its_root(
    signed: Path, certificate: Certificate, tmp_path: Path
) -> None:
    own, other = tmp_path / "own.pem", tmp_path / "other.pem"
    own.write_text(certificate.chain.partition("-----END CERTIFICATE-----\n")[2])
    other.write_text(Certificate.for_trying(tmp_path / "other").chain)
    assert (await read_credentials(signed, own)).trusted
    assert not (await read_credentials(signed, other)).trusted


@pytest.mark.parametrize("place", [0.5, 0.9])
async def test_a_film_that_was_changed_is_refused(signed: Path, place: float) -> None:
    data = bytearray(signed.read_bytes())
    data[int(len(data) * place)] ^= 1
    signed.write_bytes(data)
    with pytest.raises(InvalidFilm, match="not the film that was signed"):
        await read_credentials(signed)


async def test_a_statement_that_was_changed_is_refused(signed: Path) -> None:
    data = signed.read_bytes()
    assert data.count(b"puppet") == 1
    signed.write_bytes(data.replace(b"puppet", b"person"))
    with pytest.raises(InvalidFilm, match=r"hashedURI\.mismatch"):
        await read_credentials(signed)


async def test_a_film_without_credentials_is_refused(film: Path, tmp_path: Path) -> None:
    with pytest.raises(InvalidFilm, match="no content credentials"):
        await read_credentials(film)
    with pytest.raises(InvalidFilm, match="There is no film"):
        await read_credentials(tmp_path / "none.mp4")
    (tmp_path / "text.mp4").write_text("This is no film.")
    with pytest.raises(InvalidFilm, match=r"text\.mp4"):
        await read_credentials(tmp_path / "text.mp4")


async def test_what_cannot_be_signed_leaves_nothing(
    credentials: Credentials, film: Path, tmp_path: Path
) -> None:
    broken, target = tmp_path / "broken.mp4", tmp_path / "out" / "signed.mp4"
    target.parent.mkdir()
    broken.write_bytes(b"no film")
    with pytest.raises(InvalidFilm):
        await credentials.sign(broken, target, STATEMENT)
    assert list(target.parent.iterdir()) == []
    await credentials.sign(film, target, STATEMENT)
    assert list(target.parent.iterdir()) == [target]
    assert target.stat().st_mode == film.stat().st_mode


async def test_cancelling_a_signature_leaves_nothing(
    credentials: Credentials, film: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "out"
    folder.mkdir()
    target = folder / "signed.mp4"
    async for _ in cancelled_everywhere(lambda: credentials.sign(film, target, STATEMENT)):
        assert set(folder.iterdir()) <= {target}
        target.unlink(missing_ok=True)
    assert (await read_credentials(target)).statement == STATEMENT


async def test_several_films_are_signed_one_after_the_other(
    credentials: Credentials, film: Path, tmp_path: Path
) -> None:
    targets = [tmp_path / f"{index}.mp4" for index in range(3)]
    await asyncio.gather(*(credentials.sign(film, target, STATEMENT) for target in targets))
    assert all(target.is_file() for target in targets)


def test_the_certificate_for_trying_stays_and_is_its_owners(tmp_path: Path) -> None:
    folder = tmp_path / "credentials"
    first = Certificate.for_trying(folder)
    assert Certificate.for_trying(folder) == first
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o600}
    assert first.algorithm == "ES256"
    assert len(x509.load_pem_x509_certificates(first.chain.encode())) == 2


def test_a_key_of_another_certificate_is_refused(tmp_path: Path) -> None:
    Certificate.for_trying(tmp_path / "one")
    Certificate.for_trying(tmp_path / "two")
    with pytest.raises(Unavailable, match="not that of the certificate"):
        Certificate.read(tmp_path / "one/certificate.pem", tmp_path / "two/key.pem")
    with pytest.raises(Unavailable, match="DITTO_CREDENTIALS_CERTIFICATE"):
        Certificate.read(tmp_path / "none.pem", tmp_path / "two/key.pem")
