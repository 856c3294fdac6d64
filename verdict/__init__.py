"""The `verdict` command: from an ONNX file to a proof and a verifier, without a chain."""
