"""Ditto over TensorRT: ONNX out of the networks, engines out of ONNX, runners out of engines.

Only `build` and `runner` import the library, and only when they are used.
"""
