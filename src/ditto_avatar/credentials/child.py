"""Sign and read films with the C2PA library. A child process does this: `signing` and `reading`
start it."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import c2pa

from ditto_avatar import __version__
from ditto_avatar.errors import InvalidFilm
from ditto_avatar.guard.messages import Answer

GENERATOR = {"name": "Ditto Avatar", "version": __version__}
SOURCE_TYPE = "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"
PRESENTER = "org.ditto-avatar.presenter"
_FORMATS = {".mov": "video/quicktime"}
_ACTIONS = ("c2pa.actions.v2", "c2pa.actions")
_UNTRUSTED = "signingCredential.untrusted"
# Nothing here asks the network.
_SIGNING = {
    "verify": {"verify_after_sign": False, "remote_manifest_fetch": False},
    "builder": {"thumbnail": {"enabled": False}},
}


def sign_film(
    path: Path,
    part: str,
    target: str,
    statement: dict[str, str],
    chain: str,
    key: str,
    algorithm: str,
) -> Answer:
    """Write the film at `path` to `part`, with credentials that carry `statement`, and give it the
    name `target` when it is whole. Raises `InvalidFilm`."""
    context = c2pa.Context(c2pa.Settings.from_dict(_SIGNING))
    info = c2pa.C2paSignerInfo(c2pa.C2paSigningAlg[algorithm], chain.encode(), key.encode(), None)
    try:
        with (
            c2pa.Signer.from_info(info) as signer,
            c2pa.Builder(json.dumps(_manifest(path, statement)), context) as builder,
            path.open("rb") as film,
            Path(part).open("w+b") as signed,
        ):
            builder.sign(signer, _format_of(path), film, signed)
    except (c2pa.C2paError, OSError) as error:
        raise InvalidFilm(f"The film could not be signed: {error}.") from error
    try:
        # Open to those whom the film was open to.
        os.chmod(part, path.stat().st_mode & 0o777)
        os.replace(part, target)
    except OSError as error:
        raise InvalidFilm(f"The signed film could not be stored: {error.strerror}.") from error
    return Answer({})


def _format_of(path: Path) -> str:
    return _FORMATS.get(path.suffix.lower(), "video/mp4")


def _manifest(path: Path, statement: dict[str, str]) -> dict[str, Any]:
    made = {
        "action": "c2pa.created",
        "when": datetime.now(UTC).isoformat(timespec="seconds"),
        "digitalSourceType": SOURCE_TYPE,
        "softwareAgent": GENERATOR,
    }
    return {
        "claim_generator_info": [GENERATOR],
        "title": statement["presenter"] + (path.suffix or ".mp4"),
        "format": _format_of(path),
        "assertions": [
            {"label": "c2pa.actions.v2", "data": {"actions": [made]}},
            {"label": PRESENTER, "data": statement},
        ],
    }


def read_film(path: Path, anchors: str | None) -> Answer:
    """Read and check the credentials of the film at `path`; a signer counts as trusted when its
    certificate leads to one of `anchors` (PEM). Raises `InvalidFilm` when there are none, or when
    the film is not the one that was signed."""
    settings: dict[str, Any] = {
        "verify": {"verify_trust": anchors is not None, "remote_manifest_fetch": False}
    }
    if anchors is not None:
        settings["trust"] = {"user_anchors": anchors}
    context = c2pa.Context(c2pa.Settings.from_dict(settings))
    try:
        with (
            path.open("rb") as film,
            c2pa.Reader(_format_of(path), film, context=context) as reader,
        ):
            state, report = reader.get_validation_state(), json.loads(reader.json())
    except c2pa.C2paError.ManifestNotFound as error:
        raise InvalidFilm(f"{path.name!r} has no content credentials.") from error
    except c2pa.C2paError as error:
        raise InvalidFilm(f"The credentials of {path.name!r} cannot be read: {error}.") from error
    manifest = report["manifests"][report["active_manifest"]]
    problems = [problem["code"] for problem in report.get("validation_status", [])]
    if state == "Invalid" or set(problems) - {_UNTRUSTED}:
        raise InvalidFilm(
            f"{path.name!r} is not the film that was signed, or its credentials were changed: "
            f"{', '.join(problems) or state}."
        )
    return Answer({**_said(manifest), "trusted": state == "Trusted"})


def _said(manifest: dict[str, Any]) -> dict[str, Any]:
    """Name what a manifest says, as far as it says so."""
    data = {assertion["label"]: assertion["data"] for assertion in manifest["assertions"]}
    lists = [data[label]["actions"] for label in _ACTIONS if label in data]
    actions: list[dict[str, Any]] = lists[0] if lists else []
    created: dict[str, Any] = next((a for a in actions if a["action"] == "c2pa.created"), {})
    made_with = manifest.get("claim_generator_info") or [{}]
    signed = manifest["signature_info"]
    signer = [signed.get("issuer"), signed.get("common_name")]
    return {
        "signer": ", ".join(part for part in signer if part),
        "made_with": " ".join(made_with[0].get(part, "") for part in ("name", "version")).strip(),
        "source_type": str(created.get("digitalSourceType", "")).rpartition("/")[2],
        "made_at": str(created.get("when", "")),
        "statement": data.get(PRESENTER),
    }
