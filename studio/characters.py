"""Who the presenters are: shapes, skin, hair, clothes and light, nothing but data."""

from __future__ import annotations

from dataclasses import dataclass, field

from studio.arkit import Expression


@dataclass(frozen=True, slots=True)
class Character:
    """One presenter. Target weights add to the base mesh; colours are linear RGB."""

    name: str
    macro: dict[str, float]
    detail: dict[str, float]
    skin: str
    hair: str
    clothes: str
    eyebrows: str
    eyelashes: str
    eyes: str
    hair_gain: tuple[float, float, float] = (1.0, 1.0, 1.0)
    hair_saturation: float = 1.0
    hair_strands: tuple[float, float] = (220.0, 5.0)
    """How often the strands' noise repeats across and along the hair's picture."""
    hair_roughness: float = 0.5
    hair_specular: float = 0.25
    root_colour: tuple[float, float, float] = (0.03, 0.02, 0.016)
    grey: float = 0.0
    sweep: float = 0.0
    """Decimetres from the middle to which a fringe is combed aside; 0 leaves it."""
    brow_colour: tuple[float, float, float] = (0.02, 0.014, 0.01)
    lip_colour: tuple[float, float, float] = (0.45, 0.13, 0.12)
    lip_amount: float = 0.4
    blush: float = 0.1
    skin_gain: tuple[float, float, float] = (1.0, 1.0, 1.0)
    skin_saturation: float = 1.0
    subsurface_mm: float = 5.0
    cloth_tint: tuple[float, float, float] = (1.0, 1.0, 1.0)
    top: tuple[float, float, float] | None = None
    """A plain colour for clothes whose picture carries a pattern."""
    top_amount: float = 1.0
    hairline: float = 0.45
    lash_colour: tuple[float, float, float] = (0.006, 0.005, 0.005)
    lash_amount: float = 1.0
    lid_amount: float = 0.0
    rest: Expression = field(default_factory=dict)
    backdrop: str = "morning"
    span: float = 3.4
    """Decimetres from the picture's top to its bottom."""
    air: float = 0.22
    """Decimetres above the hair."""
    seed: int = 1
    exposure: float = 0.0


def _macro(people: str, sex: str, old: float, ideal: float = 0.0) -> dict[str, float]:
    """The whole-body shapes of people between 25 (`old` 0) and 90 years (`old` 1)."""
    shapes = {
        f"{people}-{sex}-young": 1 - old,
        f"{people}-{sex}-old": old,
        f"universal-{sex}-young-averagemuscle-averageweight": 1 - old,
        f"universal-{sex}-old-averagemuscle-averageweight": old,
    }
    if ideal:
        shapes[f"{sex}-young-averagemuscle-averageweight-idealproportions"] = ideal
    return shapes


def both(name: str, weight: float) -> dict[str, float]:
    """A detail target of both sides."""
    return {f"l-{name}": weight, f"r-{name}": weight}


MINA = Character(
    name="mina",
    macro=_macro("asian", "female", 0.04, 0.7),
    detail={
        "head-oval": 0.5,
        "chin-width-decr": 0.3,
        "chin-height-decr": 0.1,
        **both("eye-scale-incr", 0.3),
        **both("eye-height2-incr", 0.25),
        **both("cheek-volume-incr", 0.15),
        "nose-width2-decr": 0.25,
        "nose-scale-vert-decr": 0.1,
        "mouth-angles-up": 0.25,
        "mouth-scale-horiz-incr": 0.1,
    },
    skin="young_lightskinned_female_diffuse3.png",
    hair="long01",
    hair_gain=(0.26, 0.22, 0.22),
    hair_saturation=0.7,
    hair_specular=0.16,
    clothes="female_elegantsuit01",
    eyebrows="eyebrow001",
    eyelashes="eyelashes02",
    eyes="brown_eye.png",
    brow_colour=(0.035, 0.024, 0.018),
    lid_amount=0.45,
    lip_amount=0.5,
    lip_colour=(0.5, 0.13, 0.13),
    blush=0.12,
    top=(0.5, 0.58, 0.72),
    top_amount=0.86,
    hairline=0.35,
    exposure=0.15,
    rest={
        "mouthSmile": 0.28,
        "cheekSquint": 0.12,
        "browInnerUp": 0.2,
        "jawOpen": -0.015,
        "browDown": -0.2,
        "browOuterUp": -0.15,
    },
    backdrop="morning",
    seed=11,
)

JAMES = Character(
    name="james",
    macro=_macro("african", "male", 0.2, 0.6),
    detail={
        "head-square": 0.12,
        **both("eye-scale-incr", 0.1),
        "mouth-angles-up": 0.2,
    },
    skin="middleage_darkskinned_male_diffuse.png",
    hair="short01",
    clothes="male_elegantsuit01",
    eyebrows="eyebrow012",
    eyelashes="eyelashes03",
    eyes="brown_eye.png",
    skin_gain=(1.1, 1.12, 1.15),
    skin_saturation=0.8,
    hair_specular=0.1,
    hair_roughness=0.65,
    root_colour=(0.012, 0.009, 0.008),
    brow_colour=(0.008, 0.006, 0.005),
    lip_colour=(0.26, 0.09, 0.075),
    lip_amount=0.3,
    blush=0.05,
    rest={
        "mouthSmile": 0.33,
        "cheekSquint": 0.15,
        "browInnerUp": 0.12,
        "jawOpen": -0.01,
        "browDown": -0.25,
        "eyeSquint": 0.1,
    },
    subsurface_mm=3.5,
    backdrop="evening",
    seed=23,
)

SOFIA = Character(
    name="sofia",
    macro=_macro("caucasian", "female", 0.52, 0.4),
    detail={
        "head-oval": 0.3,
        "head-age-incr": 0.35,
        **both("eye-scale-incr", 0.15),
        **both("eye-bag-incr", 0.35),
        "mouth-angles-up": 0.2,
    },
    skin="old_lightskinned_female_diffuse.png",
    hair="bob02",
    sweep=0.62,
    clothes="female_casualsuit02",
    eyebrows="eyebrow001",
    eyelashes="eyelashes03",
    eyes="blue_eye.png",
    hair_gain=(0.6, 0.5, 0.4),
    hair_saturation=1.15,
    hair_strands=(420.0, 6.0),
    grey=0.2,
    root_colour=(0.2, 0.14, 0.09),
    hairline=0.25,
    lash_colour=(0.03, 0.02, 0.015),
    lash_amount=0.65,
    exposure=0.1,
    brow_colour=(0.06, 0.04, 0.03),
    lip_colour=(0.5, 0.14, 0.14),
    lip_amount=0.45,
    lid_amount=0.3,
    blush=0.14,
    skin_saturation=0.9,
    top=(0.09, 0.16, 0.2),
    rest={
        "mouthSmile": 0.24,
        "cheekSquint": 0.1,
        "browInnerUp": 0.08,
        "jawOpen": -0.01,
        "browDown": -0.1,
    },
    backdrop="studio",
    seed=37,
)

CHARACTERS = {character.name: character for character in (MINA, JAMES, SOFIA)}
