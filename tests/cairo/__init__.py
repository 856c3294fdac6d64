"""Cairo programs of ONNX models, compiled and run for real."""
