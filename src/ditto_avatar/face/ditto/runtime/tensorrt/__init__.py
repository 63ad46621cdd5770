"""Ditto over TensorRT: ONNX out of the networks, engines out of ONNX, runners out of engines.

Only `library` imports TensorRT, and only when it is used.
"""
