"""Say what credentials state of a film, and what was read from one."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Statement:
    """State who is seen in a film, what drew the face, and who agreed to its use."""

    presenter: str
    engine: str
    consent: str
    provenance: str


@dataclass(frozen=True, slots=True)
class FilmCredentials:
    """Hold what credentials that are whole say of a film. Fields are empty where a film that was
    made by another program does not say so."""

    signer: str
    """Whom the certificate names; anybody can make one that nobody has vouched for."""
    trusted: bool
    """Whether the certificate leads to one of those that the reader trusts."""
    made_with: str
    source_type: str
    """A term of IPTC's digital source types; ``trainedAlgorithmicMedia`` is made by AI."""
    made_at: str
    statement: Statement | None

    @property
    def made_by_ai(self) -> bool:
        """Whether the film says that AI made it, wholly or in part."""
        return "trainedalgorithmicmedia" in self.source_type.lower()
