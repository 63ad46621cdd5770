"""The six Ditto networks in their folded form.

Batch norms and spectral norms of the checkpoint are already part of the weights here (see
`ditto_avatar.face.ditto.weights`); nothing in a forward pass leaves the device it runs on.
"""

from ditto_avatar.face.ditto.networks.appearance import AppearanceExtractor
from ditto_avatar.face.ditto.networks.decoder import Decoder
from ditto_avatar.face.ditto.networks.diffusion import MotionDiffusion
from ditto_avatar.face.ditto.networks.paths import ClipPath, FramePath
from ditto_avatar.face.ditto.networks.pose import MotionExtractor
from ditto_avatar.face.ditto.networks.sizes import RELEASED, Sizes
from ditto_avatar.face.ditto.networks.stitch import StitchNetwork
from ditto_avatar.face.ditto.networks.warp import WarpNetwork

__all__ = [
    "RELEASED",
    "AppearanceExtractor",
    "ClipPath",
    "Decoder",
    "FramePath",
    "MotionDiffusion",
    "MotionExtractor",
    "Sizes",
    "StitchNetwork",
    "WarpNetwork",
]
