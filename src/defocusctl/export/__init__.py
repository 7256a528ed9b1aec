"""Networks as files for other programs: ONNX, torch.export programs, safetensors; each is checked."""
