"""The program of a child process: owns ONNX networks and runs what comes in on stdin.

Its argument is JSON: ``{"threads": 1, "models": {name: {"path": …, "outputs":
[[value, type]], "cut": null | {"value": …, "element": …, "half": "before" | "after"}}}}``. It ends
when stdin ends.
"""

from __future__ import annotations

import os
import queue
import re
import sys
import threading

import numpy as np
import onnxruntime

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from ditto_avatar.speech.child_processes import frames, inside
    from ditto_avatar.speech.neural import child_io, graph, protocol
else:
    # Its own files only: importing them from the package would import all that it needs.
    _HERE = os.path.dirname(os.path.abspath(__file__))
    sys.path += [_HERE, os.path.join(os.path.dirname(_HERE), "child_processes")]
    import child_io
    import frames
    import graph
    import inside
    import protocol


class Network:
    """One ONNX model in a session of its own."""

    def __init__(self, model: Model, threads: int) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 4
        # A plan of the memory is kept for each length of an input, and no two sentences have one.
        options.enable_mem_pattern = False
        self._session = model.open(options)
        model.close()
        self.inputs = [value.name for value in self._session.get_inputs()]
        self.outputs = [value.name for value in self._session.get_outputs()]

    def run(self, inputs: dict[str, Any], options: Any) -> dict[str, Any]:
        """Run the network. Raises whatever the library raises."""
        known = {name: array for name, array in inputs.items() if name in self.inputs}
        results = self._session.run(None, known, options)
        return dict(zip(self.outputs, (np.asarray(result) for result in results), strict=True))


class Model:
    """The file of a model, or a copy where it is wanted otherwise: half of it, or with more outputs
    where it has any of those that are wanted. Made before the limits, which forbid to write.
    Raises `ValueError` for a model that cannot be cut."""

    def __init__(self, path: str, outputs: list[list[Any]], half: dict[str, Any] | None) -> None:
        self.path = path
        self._is_half = half is not None
        self.copy: str | bytes | None = None
        held = graph.mapped(path)
        if half is not None:
            halves = graph.cut(held, half["value"], half["element"], [name for name, _ in outputs])
            self._write(halves.before if half["half"] == "before" else halves.after)
            return
        wanted = [one for one in outputs if re.search(re.escape(one[0].encode()), held)]
        if wanted:
            self._write([held, *(graph.extra_output(name, kind) for name, kind in wanted)])

    def _write(self, pieces: Iterable[memoryview | bytes]) -> None:
        if not hasattr(os, "memfd_create"):
            self.copy = b"".join(pieces)
            return
        # In memory, and yet a file: the library reads that piece by piece, where bytes would be
        # there twice.
        self._file = open(os.memfd_create("model"), "r+b")
        for piece in pieces:
            self._file.write(piece)
        self._file.flush()
        self.copy = f"/proc/self/fd/{self._file.fileno()}"

    def open(self, options: Any) -> Any:
        """Return a session of the model."""
        providers = ["CPUExecutionProvider"]
        if self.copy is not None:
            try:
                return onnxruntime.InferenceSession(self.copy, options, providers=providers)
            except Exception as error:
                if self._is_half:
                    raise
                # The name is there and means something else: the voice speaks without it.
                sys.stderr.write(f"no extra outputs: {error}\n")
        return onnxruntime.InferenceSession(self.path, options, providers=providers)

    def close(self) -> None:
        """Give the copy back."""
        if isinstance(self.copy, str):
            self._file.close()
        self.copy = None


def answer(networks: dict[str, Network], payload: bytes, options: Any) -> bytes:
    """Run what a RUN payload asks for; the frame that answers it."""
    try:
        head, inputs = protocol.unpack(payload)
        with child_io.processor_time() as spent:
            outputs = networks[head["network"]].run(inputs, options)
        return frames.frame(protocol.RESULT, protocol.pack({"cpu_s": spent()}, outputs))
    except Exception as error:
        # The border of the process: the server decides what a failure means.
        if options.terminate:
            return frames.frame(protocol.STOPPED)
        return frames.failure(error)


def listen(waiting: queue.SimpleQueue[tuple[bytes, Any]]) -> None:
    """Read stdin: put what is to be run into `waiting`, and stop what runs."""
    latest = onnxruntime.RunOptions()
    for kind, payload in inside.requests():
        if kind == protocol.STOP:
            latest.terminate = True
        elif kind == protocol.RUN:
            latest = onnxruntime.RunOptions()
            waiting.put((payload, latest))


def main() -> None:
    """Run networks until stdin ends."""
    problem: Exception | None = None
    models: dict[str, Model] = {}
    try:
        for name, model in child_io.order()["models"].items():
            models[name] = Model(model["path"], model["outputs"], model["cut"])
    except Exception as error:
        problem = error  # told when the way to the parent is open
    out, order = child_io.begin()
    try:
        if problem is not None:
            raise problem
        networks = {name: Network(model, order["threads"]) for name, model in models.items()}
    except Exception as error:
        # The border of the process: damaged models raise anything.
        inside.write(out, frames.failure(error))
        return
    inside.write(out, frames.frame(frames.READY))
    waiting: queue.SimpleQueue[tuple[bytes, Any]] = queue.SimpleQueue()
    threading.Thread(target=listen, args=(waiting,), daemon=True).start()
    while True:
        payload, options = waiting.get()
        inside.write(out, answer(networks, payload, options))


if __name__ == "__main__":
    main()
