"""Cairo programs of ONNX models: written, compiled, run, and computed again in Python."""
