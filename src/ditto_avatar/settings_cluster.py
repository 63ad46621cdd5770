"""What can be configured about drawing at workers; part of `settings.Settings`."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings


class ClusterSettings(BaseSettings):
    """The fields of `Settings` that begin with worker."""

    workers: str = Field(
        "",
        description="workers (`ditto-avatar worker`) that draw instead of this process, as "
        "host:port by commas; a name with several addresses is several workers, and "
        "cluster://host:port those that `ditto-avatar cluster` keeps there",
    )
    worker_token: SecretStr | None = Field(
        None, description="secret that servers and workers share, at least 32 characters"
    )
    worker_certificate: Path | None = Field(
        None,
        description="a PEM file with the certificate that this server or worker shows to the "
        "other side; with it what goes between them is encrypted",
    )
    worker_key: Path | None = Field(
        None, description="a PEM file with the private key of that certificate"
    )
    worker_ca: Path | None = Field(
        None,
        description="a PEM file with the certificates that vouch for the other side's; nobody "
        "else is let in",
    )
