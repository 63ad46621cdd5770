"""Stand-ins for voices: networks with the interfaces of the real ones, of some kilobytes.

Piper's says every id for 5 + id % 4 frames of 256 samples, times the length scale, as a tone of
120 + 3 * id Hz; the empty id is silent. So its durations are known by construction.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

HOP, RATE_HZ = 256, 22_050
DURATIONS = "/Ceil_output_0"
FRAMES = "/Mul_7_output_0"
_SYMBOLS = " !,.?abdefhijklmnopstuvwzæðŋɐɑɔəɚɛɜɡɪɹʃʊʌʒθˈˌːɾᵻ"
IDS = {"_": [0], "^": [1], "$": [2]} | {sign: [3 + i] for i, sign in enumerate(_SYMBOLS)}


def frames_of(number: int) -> int:
    """How many frames the stand-in says the id `number`."""
    return 5 + number % 4


def write_piper(
    folder: Path, name: str = "en_US-stand-medium", *, espeak_voice: str = "en-us",
    durations: str = DURATIONS, frames: str = FRAMES,
) -> Path:  # fmt: skip
    """Write a voice file with its configuration; returns the voice file's path. `durations` names
    the inner value with the frames of every id, `frames` the one that the sound is made of."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.onnx"
    onnx.save(_piper(durations, frames), str(path))
    config = {
        "audio": {"sample_rate": RATE_HZ},
        "espeak": {"voice": espeak_voice},
        "inference": {"noise_scale": 0.0, "length_scale": 1.0, "noise_w": 0.0},
        "num_speakers": 1,
        "phoneme_id_map": IDS,
    }
    path.with_name(f"{path.name}.json").write_text(json.dumps(config), encoding="utf-8")
    return path


def write_endless(path: Path) -> Path:
    """Write a network that counts for hours, and gives ``output``."""
    body = helper.make_graph(
        [
            helper.make_node("Identity", ["go"], ["go_on"]),
            helper.make_node("Add", ["sum", "one"], ["next"]),
        ],
        "body",
        [
            helper.make_tensor_value_info("round", TensorProto.INT64, []),
            helper.make_tensor_value_info("go", TensorProto.BOOL, []),
            helper.make_tensor_value_info("sum", TensorProto.FLOAT, []),
        ],
        [
            helper.make_tensor_value_info("go_on", TensorProto.BOOL, []),
            helper.make_tensor_value_info("next", TensorProto.FLOAT, []),
        ],
    )
    graph = helper.make_graph(
        [helper.make_node("Loop", ["rounds", "", "input"], ["output"], body=body)],
        "endless",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, [])],
        [helper.make_tensor_value_info("output", TensorProto.FLOAT, [])],
        [_constant("rounds", np.int64(1 << 40)), _constant("one", np.float32(1))],
    )
    _save(graph, path)
    return path


def write_supertonic(folder: Path) -> Path:
    """Write four networks with Supertonic's interface: a character lasts 0.1 s, a tone sounds."""
    onnx_folder, styles = folder / "onnx", folder / "voice_styles"
    onnx_folder.mkdir(parents=True)
    styles.mkdir()
    f, i = TensorProto.FLOAT, TensorProto.INT64
    text: list[tuple[str, int, list[Any]]] = [
        ("text_ids", i, ["b", "n"]),
        ("text_mask", f, ["b", 1, "n"]),
    ]
    _write(
        onnx_folder / "duration_predictor.onnx",
        [
            helper.make_node("ReduceSum", ["text_mask", "axes"], ["sum"], keepdims=0),
            helper.make_node("Mul", ["sum", "tenth"], ["duration"]),
        ],
        [*text, ("style_dp", f, ["b", 2, 3])],
        ("duration", f, ["b"]),
        [_constant("axes", np.array([1, 2], np.int64)), _constant("tenth", np.float32(0.1))],
    )
    _write(
        onnx_folder / "text_encoder.onnx",
        [helper.make_node("Identity", ["text_mask"], ["text_emb"])],
        [*text, ("style_ttl", f, ["b", 4, 5])],
        ("text_emb", f, ["b", 1, "n"]),
        [],
    )
    _write(
        onnx_folder / "vector_estimator.onnx",
        [helper.make_node("Mul", ["noisy_latent", "latent_mask"], ["denoised"])],
        [
            ("noisy_latent", f, ["b", 8, "t"]),
            ("text_emb", f, ["b", 1, "n"]),
            ("style_ttl", f, ["b", 4, 5]),
            text[1],
            ("latent_mask", f, ["b", 1, "t"]),
            ("current_step", f, ["b"]),
            ("total_step", f, ["b"]),
        ],
        ("denoised", f, ["b", 8, "t"]),
        [],
    )
    _write(
        onnx_folder / "vocoder.onnx",
        [
            helper.make_node("ReduceMean", ["latent"], ["mean"], axes=[1], keepdims=1),
            helper.make_node("Tile", ["mean", "repeats"], ["long"]),
            helper.make_node("Squeeze", ["long", "middle"], ["wav"]),
        ],
        [("latent", f, ["b", 8, "t"])],
        ("wav", f, ["b", "s"]),
        [
            _constant("repeats", np.array([1, 1, 4_410], np.int64)),
            _constant("middle", np.array([1], np.int64)),
        ],
    )
    settings = {
        "ae": {"sample_rate": 44_100, "base_chunk_size": 2_205},
        "ttl": {"chunk_compress_factor": 2, "latent_dim": 4},
    }
    (onnx_folder / "tts.json").write_text(json.dumps(settings))
    indexer = [n if n else -1 for n in range(0x1200)]
    (onnx_folder / "unicode_indexer.json").write_text(json.dumps(indexer))
    for name in ("F1", "M1"):
        style = {
            "style_ttl": {"dims": [1, 4, 5], "data": [0.0] * 20},
            "style_dp": {"dims": [1, 2, 3], "data": [0.0] * 6},
        }
        (styles / f"{name}.json").write_text(json.dumps(style))
    return folder


def _piper(durations: str, frames: str) -> onnx.ModelProto:
    node = helper.make_node
    nodes = [
        node("Mod", ["input", "four"], ["rest"]),
        node("Add", ["rest", "five"], ["frames_i"]),
        node("Cast", ["frames_i"], ["frames"], to=TensorProto.FLOAT),
        node("Gather", ["scales", "second"], ["length"], axis=0),
        node("Mul", ["frames", "length"], ["scaled"]),
        node("Unsqueeze", ["scaled", "axis1"], ["deep"]),
        node("Ceil", ["deep"], [durations]),
        node("Squeeze", [durations, "axes01"], ["whole"]),
        node("CumSum", ["whole", "axis"], ["ends"]),
        node("ReduceSum", ["whole"], ["total"], keepdims=0),
        node("Range", ["zero", "total", "one"], ["frame"]),
        node("Unsqueeze", ["frame", "axis1"], ["frame_column"]),
        node("Unsqueeze", ["ends", "axis0"], ["ends_row"]),
        node("GreaterOrEqual", ["frame_column", "ends_row"], ["past"]),
        node("Cast", ["past"], ["past_i"], to=TensorProto.INT64),
        node("ReduceSum", ["past_i", "axis1"], ["index"], keepdims=0),
        node("Cast", ["input"], ["ids"], to=TensorProto.FLOAT),
        node("Squeeze", ["ids", "axis0"], ["ids_row"]),
        node("Gather", ["ids_row", "index"], ["id"], axis=0),
        node("Unsqueeze", ["id", "axes01"], ["id_channel"]),
        node("Unsqueeze", ["frame", "axes01"], ["frame_channel"]),
        node("Concat", ["id_channel", "frame_channel"], [frames], axis=1),
        # From here on, every frame is made of its own column.
        node("Gather", [frames, "first"], ["its_id"], axis=1),
        node("Gather", [frames, "second"], ["its_number"], axis=1),
        node("Unsqueeze", ["its_id", "axis2"], ["deep_id"]),
        node("Unsqueeze", ["its_number", "axis2"], ["deep_number"]),
        node("Mul", ["deep_number", "hop"], ["began"]),
        node("Add", ["began", "ramp"], ["time"]),
        node("Mul", ["deep_id", "three"], ["above"]),
        node("Add", ["above", "base"], ["hertz"]),
        node("Mul", ["time", "turn"], ["angle"]),
        node("Mul", ["hertz", "angle"], ["phase"]),
        node("Sin", ["phase"], ["sine"]),
        node("Sign", ["deep_id"], ["voiced"]),
        node("Mul", ["sine", "voiced"], ["heard"]),
        node("Mul", ["heard", "gain"], ["sound"]),
        node("Reshape", ["sound", "flat"], ["output"]),
    ]
    whole = {"four": 4, "five": 5, "first": 0, "second": 1, "axis": 0}
    lists = {"axis0": [0], "axis1": [1], "axis2": [2], "axes01": [0, 1], "flat": [1, 1, 1, -1]}
    real = {"hop": HOP, "zero": 0, "one": 1, "three": 3, "base": 120,
            "turn": 2 * np.pi / RATE_HZ, "gain": 0.3}  # fmt: skip
    constants = [
        *(_constant(name, np.int64(value)) for name, value in whole.items()),
        *(_constant(name, np.array(value, np.int64)) for name, value in lists.items()),
        *(_constant(name, np.float32(value)) for name, value in real.items()),
        _constant("ramp", np.arange(HOP, dtype=np.float32).reshape(1, 1, HOP)),
    ]
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        nodes,
        "stand-in",
        [
            value("input", TensorProto.INT64, ["b", "n"]),
            value("input_lengths", TensorProto.INT64, ["b"]),
            value("scales", TensorProto.FLOAT, [3]),
        ],
        [value("output", TensorProto.FLOAT, [1, 1, 1, "t"])],
        constants,
    )
    return _model(graph)


def _write(
    path: Path,
    nodes: list[onnx.NodeProto],
    inputs: list[tuple[str, int, list[Any]]],
    output: tuple[str, int, list[Any]],
    constants: list[onnx.TensorProto],
) -> None:
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        nodes, path.stem, [value(*one) for one in inputs], [value(*output)], constants
    )
    _save(graph, path)


def _save(graph: onnx.GraphProto, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    onnx.save(_model(graph), str(path))


def _model(graph: onnx.GraphProto) -> onnx.ModelProto:
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 15)], ir_version=8)


def _constant(name: str, value: Any) -> onnx.TensorProto:
    return numpy_helper.from_array(np.array(value), name)
