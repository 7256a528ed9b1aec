"""The backends that run a network: PyTorch, or its exported graph in ONNX Runtime or OpenVINO."""
