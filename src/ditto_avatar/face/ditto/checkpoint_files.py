"""Which files make up a Ditto checkpoint, and under which terms each of them comes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ditto_avatar.models.files import file_key

REPOSITORY = "digital-avatar/ditto-talkinghead"

DITTO = "Apache-2.0 (Ditto)"
LIVE_PORTRAIT = "MIT (LivePortrait)"
MEDIAPIPE = "Apache-2.0 (MediaPipe)"
HUBERT = "Apache-2.0 (Ditto; after HuBERT, MIT)"


@dataclass(frozen=True, slots=True)
class CheckpointFile:
    """A file of the release: its place in the folder, its licence, the network in it, if any."""

    path: str
    license: str
    network: str | None = None


_TORCH, _AUX, _ONNX = "ditto_pytorch/models", "ditto_pytorch/aux_models", "ditto_onnx"

FILES: Mapping[str, CheckpointFile] = {
    "config": CheckpointFile("ditto_cfg/v0.4_hubert_cfg_trt_online.pkl", DITTO),
    "appearance_extractor": CheckpointFile(
        f"{_TORCH}/appearance_extractor.pth", LIVE_PORTRAIT, "appearance_extractor"
    ),
    "motion_extractor": CheckpointFile(
        f"{_TORCH}/motion_extractor.pth", LIVE_PORTRAIT, "motion_extractor"
    ),
    "stitch_network": CheckpointFile(
        f"{_TORCH}/stitch_network.pth", LIVE_PORTRAIT, "stitch_network"
    ),
    "warp_network": CheckpointFile(f"{_TORCH}/warp_network.pth", LIVE_PORTRAIT, "warp_network"),
    "decoder": CheckpointFile(f"{_TORCH}/decoder.pth", LIVE_PORTRAIT, "decoder"),
    "lmdm": CheckpointFile(f"{_TORCH}/lmdm_v0.4_hubert.pth", DITTO, "lmdm"),
    "audio_encoder": CheckpointFile(f"{_AUX}/hubert_streaming_fix_kv.onnx", HUBERT),
    "landmarks": CheckpointFile(f"{_AUX}/landmark203.onnx", LIVE_PORTRAIT),
    "face_detector": CheckpointFile(f"{_ONNX}/blaze_face.onnx", MEDIAPIPE),
    "face_mesh": CheckpointFile(f"{_ONNX}/face_mesh.onnx", MEDIAPIPE),
}


def place(folder: Path, name: str) -> Path:
    """Where the file of that name lies in a checkpoint folder."""
    return folder / FILES[name].path


def weights_key(folder: Path) -> str:
    """The key of all networks in a checkpoint folder; reads them whole, which takes seconds."""
    return file_key(place(folder, name) for name, entry in FILES.items() if entry.network)
