"""What runs a network on a tile: PyTorch, or the exported graph in ONNX Runtime or OpenVINO."""
