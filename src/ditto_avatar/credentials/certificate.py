"""Read the certificate that films are signed with, or make one for trying."""

from __future__ import annotations

import datetime
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ditto_avatar.errors import Unavailable

if TYPE_CHECKING:
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey

_DAYS = 3_650
_BEFORE = datetime.timedelta(days=1)
"""Clocks differ: what was signed at once would come from the future."""
_ORGANIZATION = "Ditto Avatar, self-signed"


@dataclass(frozen=True, slots=True)
class Certificate:
    """Hold a certificate with those that vouch for it (PEM, its own first), its private key (PEM)
    and the algorithm (as C2PA names it) that fits the key."""

    chain: str
    key: str
    algorithm: str

    @classmethod
    def read(cls, chain: Path, key: Path) -> Certificate:
        """Read both from files. Raises `Unavailable` for files that are missing or do not hold
        what they should. Blocks."""
        try:
            texts = chain.read_text(encoding="ascii"), key.read_text(encoding="ascii")
            return cls(*texts, _algorithm_of(*texts))
        except (OSError, ValueError, TypeError) as error:
            raise Unavailable(
                "The certificate for content credentials cannot be used: expected PEM files in "
                f"DITTO_CREDENTIALS_CERTIFICATE and DITTO_CREDENTIALS_KEY ({error})."
            ) from error

    @classmethod
    def for_trying(cls, folder: Path) -> Certificate:
        """Read the self-signed one in `folder`, made when there is none yet; only its owner can
        read it. Raises `Unavailable`. Blocks."""
        chain, key = folder / "certificate.pem", folder / "key.pem"
        if not (chain.is_file() and key.is_file()):
            try:
                _make(folder, chain, key)
            except OSError as error:
                raise Unavailable(
                    f"A certificate for content credentials cannot be made in {folder}: "
                    f"{error.strerror}."
                ) from error
        return cls.read(chain, key)


def _algorithm_of(chain: str, key: str) -> str:
    """Name the algorithm of a key. Raises `ValueError` when C2PA has none for it, or when it does
    not belong to the certificate."""
    from cryptography import x509
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

    private = serialization.load_pem_private_key(key.encode(), None)
    public = x509.load_pem_x509_certificate(chain.encode()).public_key()
    if private.public_key() != public:
        raise ValueError("the key is not that of the certificate")
    match private:
        case ec.EllipticCurvePrivateKey():
            return {256: "ES256", 384: "ES384", 521: "ES512"}[private.curve.key_size]
        case rsa.RSAPrivateKey():
            return "PS256"
        case ed25519.Ed25519PrivateKey():
            return "ED25519"
    raise ValueError("expected an EC, RSA or Ed25519 key")


def _make(folder: Path, chain: Path, key: Path) -> None:
    """Write a certificate, and the one that vouches for it and for nothing else: C2PA takes none
    that vouches for itself."""
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    root_key = ec.generate_private_key(ec.SECP256R1())
    own_key = ec.generate_private_key(ec.SECP256R1())
    root = _signed(_ORGANIZATION, root_key, root_key, root=True)
    own = _signed("Films", own_key, root_key, root=False)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    pem = serialization.Encoding.PEM
    _write(chain, own.public_bytes(pem) + root.public_bytes(pem))
    plain = serialization.NoEncryption()
    _write(key, own_key.private_bytes(pem, serialization.PrivateFormat.PKCS8, plain))


def _signed(
    name: str, key: EllipticCurvePrivateKey, by: EllipticCurvePrivateKey, *, root: bool
) -> x509.Certificate:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes
    from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

    def named(common: str) -> x509.Name:
        return x509.Name(
            [
                x509.NameAttribute(NameOID.ORGANIZATION_NAME, _ORGANIZATION),
                x509.NameAttribute(NameOID.COMMON_NAME, common),
            ]
        )

    now = datetime.datetime.now(datetime.UTC)
    usage = dict.fromkeys(
        ("content_commitment", "key_encipherment", "data_encipherment", "key_agreement"), False
    )
    builder = (
        x509.CertificateBuilder()
        .subject_name(named(name))
        .issuer_name(named(_ORGANIZATION))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _BEFORE)
        .not_valid_after(now + datetime.timedelta(days=_DAYS))
        .add_extension(x509.BasicConstraints(root, 0 if root else None), critical=True)
        .add_extension(
            x509.KeyUsage(
                digital_signature=not root,
                key_cert_sign=root,
                crl_sign=root,
                encipher_only=False,
                decipher_only=False,
                **usage,
            ),
            critical=True,
        )
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )
    if not root:
        # What C2PA's profile of certificates asks for, beside the use for signing.
        purposes = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION])
        vouched = x509.AuthorityKeyIdentifier.from_issuer_public_key(by.public_key())
        builder = builder.add_extension(purposes, critical=False)
        builder = builder.add_extension(vouched, critical=False)
    return builder.sign(by, hashes.SHA256())


def _write(path: Path, data: bytes) -> None:
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(data)
