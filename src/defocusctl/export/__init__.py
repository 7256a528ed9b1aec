"""Exports networks for other programs: ONNX, torch.export programs, safetensors; each file is checked."""
