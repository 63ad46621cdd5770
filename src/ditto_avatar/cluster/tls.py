"""Encrypt what goes between servers and workers; both sides show a certificate."""

from __future__ import annotations

import ssl
from dataclasses import dataclass, field
from pathlib import Path

import grpc

from ditto_avatar.errors import InvalidInput


@dataclass(frozen=True, slots=True)
class Tls:
    """Hold, as PEM, the certificate and private key of this side, and the certificates that vouch
    for the other one's."""

    certificate: bytes
    key: bytes = field(repr=False)
    authority: bytes

    @classmethod
    def read(cls, certificate: Path, key: Path, authority: Path) -> Tls:
        """Read the files. Raises `InvalidInput` when one cannot be read or holds something else,
        and for a key that is not the certificate's. Blocks."""
        try:
            context = ssl.create_default_context(cafile=authority)
            # Without a password: nobody is there who could type one.
            context.load_cert_chain(certificate, key, password=lambda: "")
            return cls(certificate.read_bytes(), key.read_bytes(), authority.read_bytes())
        except (OSError, ValueError) as error:
            raise InvalidInput(
                "Expected PEM files in DITTO_WORKER_CERTIFICATE, DITTO_WORKER_KEY (of that "
                f"certificate, without a password) and DITTO_WORKER_CA ({error})."
            ) from error

    def for_worker(self) -> grpc.ServerCredentials:
        """Return what a worker listens with: callers without a certificate are turned away."""
        return grpc.ssl_server_credentials(
            [(self.key, self.certificate)],
            root_certificates=self.authority,
            require_client_auth=True,
        )

    def for_server(self) -> grpc.ChannelCredentials:
        """Return what a server calls workers with."""
        return grpc.ssl_channel_credentials(self.authority, self.key, self.certificate)
