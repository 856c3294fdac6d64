"""The networks, their data, their training and their export to ONNX."""
