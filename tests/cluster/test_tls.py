"""Servers and workers that show each other certificates, made here on the spot."""

from __future__ import annotations

import datetime
import ipaddress
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from ditto_avatar import assembly
from ditto_avatar.cluster.remote import RemoteEngine
from ditto_avatar.cluster.tls import Tls
from ditto_avatar.errors import InvalidInput, Unavailable
from ditto_avatar.face.avatar import Avatar
from ditto_avatar.settings import Settings
from ditto_avatar.worker import run_worker
from tests.cluster.test_server import free_port
from tests.cluster.test_workers import avatar, packs, speak
from tests.fakes.worker_process import real_worker

__all__ = ["avatar", "packs"]  # fixtures


class Authority:
    """Vouches for certificates, which it writes into `folder`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = _name("authority")
        made = _builder(self._name, self._name, self._key)
        made = made.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        self.path = folder / "ca.pem"
        self.path.write_bytes(_pem(made.sign(self._key, hashes.SHA256())))

    def certify(self, name: str) -> tuple[Path, Path]:
        """Files of a certificate for `name`, a host or an address, and of its key."""
        key = ec.generate_private_key(ec.SECP256R1())
        try:
            known: x509.GeneralName = x509.IPAddress(ipaddress.ip_address(name))
        except ValueError:
            known = x509.DNSName(name)
        made = _builder(_name(name), self._name, key)
        made = made.add_extension(x509.SubjectAlternativeName([known]), critical=False)
        paths = self.folder / f"{name}.pem", self.folder / f"{name}.key"
        paths[0].write_bytes(_pem(made.sign(self._key, hashes.SHA256())))
        paths[1].write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )
        return paths

    def tls(self, name: str) -> Tls:
        return Tls.read(*self.certify(name), self.path)


def _name(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey
) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
    )


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


async def connected(address: str, tls: Tls | None, first_s: float = 60) -> RemoteEngine:
    return await RemoteEngine.connect([address], None, lambda: None, first_s, tls=tls)


def mixed(own: Authority, other: Authority) -> Tls:
    """A server that `own` certifies, and which believes `other`."""
    certificate, key = own.certify("server")
    return Tls.read(certificate, key, other.path)


async def test_only_those_with_a_certificate_of_the_authority_draw(
    packs: Path, avatar: Avatar, tmp_path: Path
) -> None:
    ours, theirs = Authority(tmp_path / "ours"), Authority(tmp_path / "theirs")
    certificate, key = ours.certify("localhost")
    port = free_port()
    with real_worker(
        port,
        tmp_path,
        "0.0.0.0",
        DITTO_AVATARS_DIR=str(packs),
        DITTO_WORKER_CERTIFICATE=str(certificate),
        DITTO_WORKER_KEY=str(key),
        DITTO_WORKER_CA=str(ours.path),
    ):
        # The name in the address is the one in the certificate, whatever it resolves to.
        engine = await connected(f"localhost:{port}", ours.tls("server"))
        stream = await engine.open(avatar)
        await speak(stream, 5)
        assert len([frame async for frame in stream]) == 5
        await stream.cancel()
        await engine.close()

        strangers = {
            "a certificate of another authority": mixed(theirs, ours),
            "another authority for the worker": mixed(ours, theirs),
            "no certificate at all": None,
        }
        for tls in strangers.values():
            with pytest.raises(Unavailable):
                await connected(f"localhost:{port}", tls, first_s=2)
        # Right in everything but the name: this certificate is for localhost.
        with pytest.raises(Unavailable):
            await connected(f"127.0.0.1:{port}", ours.tls("server"), first_s=2)


async def test_files_that_cannot_be_used_are_named(tmp_path: Path) -> None:
    ours = Authority(tmp_path / "ours")
    certificate, key = ours.certify("a")
    _, other_key = ours.certify("b")
    for files in (
        (certificate, other_key, ours.path),
        (certificate, key, tmp_path / "missing"),
        (key, certificate, ours.path),
        (certificate, key, key),
    ):
        with pytest.raises(InvalidInput, match="DITTO_WORKER_CA"):
            Tls.read(*files)


async def test_a_certificate_without_its_key_is_refused(tmp_path: Path) -> None:
    settings = Settings(worker_certificate=tmp_path / "a.pem")
    with pytest.raises(InvalidInput, match="expected all three, came 1"):
        assembly.worker_tls(settings)
    with pytest.raises(InvalidInput, match="expected all three, came 1"):
        await run_worker(settings, "127.0.0.1", 0)


async def test_a_worker_that_others_reach_needs_a_secret() -> None:
    with pytest.raises(InvalidInput, match="DITTO_WORKER_TOKEN"):
        await run_worker(Settings(), "0.0.0.0", 0)
