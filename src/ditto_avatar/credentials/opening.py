"""Open what signs films, as the settings say."""

from __future__ import annotations

from ditto_avatar.credentials.certificate import Certificate
from ditto_avatar.credentials.installed import has_library, need_library
from ditto_avatar.credentials.signing import Credentials
from ditto_avatar.errors import Unavailable
from ditto_avatar.settings import Settings


def open_credentials(settings: Settings) -> Credentials | None:
    """Return what signs films; None where the settings or a missing extra say that nothing does.
    Raises `Unavailable` for credentials that are wanted and cannot be had. Blocks."""
    own = settings.credentials_certificate, settings.credentials_key
    wanted = settings.credentials == "on" or any(own)
    if settings.credentials == "off" or not (wanted or has_library()):
        return None
    need_library()
    chain, key = own
    if chain is not None and key is not None:
        return Credentials(Certificate.read(chain, key))
    if any(own):
        raise Unavailable(
            "DITTO_CREDENTIALS_CERTIFICATE and DITTO_CREDENTIALS_KEY belong together: one is set."
        )
    return Credentials(Certificate.for_trying(settings.data_dir / "credentials"))
