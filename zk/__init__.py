"""ONNX in, proof and verifier out. Knows nothing of digits, voices or the contracts."""
