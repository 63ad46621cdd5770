"""Draw the inside of a mouth for faces that come from a photo: `python -m studio.inner_mouth`.

Upper teeth, lower teeth and tongue of the kit, each alone and in full light, since the puppet lays
them behind the lips of any face and shades them itself (`face/puppet/inner_mouth.py`).
"""

from __future__ import annotations

import argparse
from pathlib import Path
from tempfile import TemporaryDirectory

import cv2
import numpy as np
import numpy.typing as npt

from studio.arkit import SHAPES
from studio.build import PRESENTERS
from studio.characters import CHARACTERS
from studio.figure import Figure, Pose
from studio.kit import Points, kit_folder
from studio.paint import paint
from studio.project import camera_of
from studio.scene import Quality, Scene

MODEL = "sofia"
SCALE = 2.0
JAW = 0.3
"""The jaw is open a little: otherwise the camera looks at the edges of the lower teeth."""
_LAYERS = ("upper", "lower", "tongue")
_OUT = PRESENTERS.parent / "face" / "puppet" / "inner_mouth.npz"


class _OneRow(Figure):
    """A figure of whose teeth only one row is in the picture."""

    row = "upper"

    def _seated(self, teeth: Points, jaw: float) -> Points:
        seated = super()._seated(teeth, jaw)
        gone = self._lower_teeth if self.row == "upper" else ~self._lower_teeth
        # The rows hang together at the back: what goes shrinks into one place of what stays, the
        # furthest from the camera.
        alone = seated.copy()
        alone[gone] = seated[~gone][seated[~gone, 2].argmin()]
        return np.asarray(alone)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--samples", type=int, default=64, help="samples a pixel")
    parser.add_argument("--out", type=Path, default=_OUT)
    given = parser.parse_args()
    figure = _OneRow(CHARACTERS[MODEL], kit_folder(), painter=paint)
    with np.load(PRESENTERS / MODEL / "avatar.npz") as file:
        landmarks, jaw_open = (
            file["neutral_landmarks"],
            file["blendshapes"][SHAPES.index("jawOpen")],
        )
    middle = (landmarks[13, :2] + landmarks[14, :2]) / 2
    width = float(np.linalg.norm(landmarks[308, :2] - landmarks[78, :2]))
    low = np.floor(middle - width * np.array([0.95, 0.75]))
    size = np.ceil(width * np.array([1.9, 2.0]))
    box = (float(low[0]), float(low[1]), float(size[0]), float(size[1]))
    scene = Scene(figure, camera_of(figure), Quality(given.samples))
    with TemporaryDirectory() as folder:
        layers = [_layer(scene, figure, name, box, Path(folder)) for name in _LAYERS]
    ok, data = cv2.imencode(".webp", np.concatenate(layers), [cv2.IMWRITE_WEBP_QUALITY, 101])
    if not ok:
        raise OSError("the layers could not be encoded")
    np.savez(
        given.out,
        layers=data.reshape(-1),
        box=np.array(box, np.float32),
        landmarks=landmarks.astype(np.float32),
        jaw_px=np.float32(JAW * jaw_open[14, 1]),
    )


def _layer(
    scene: Scene, figure: _OneRow, name: str, box: tuple[float, float, float, float], folder: Path
) -> npt.NDArray[np.uint8]:
    """One layer alone, BGRA."""
    for mesh in figure.meshes:
        scene.show(mesh, shown=mesh == ("tongue" if name == "tongue" else "teeth"))
    figure.row = name
    weights = [0.0] * len(SHAPES)
    weights[SHAPES.index("jawOpen")] = 0.0 if name == "upper" else JAW
    scene.pose(Pose(tuple(weights)))
    path = folder / f"{name}.png"
    scene.render(path, SCALE, box)
    picture = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    if picture is None:
        raise OSError(f"{path} could not be drawn")
    return np.asarray(picture, np.uint8)


if __name__ == "__main__":
    main()
