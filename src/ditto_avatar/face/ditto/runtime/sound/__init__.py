"""The audio encoder on the device: its ONNX graph read into torch modules."""
