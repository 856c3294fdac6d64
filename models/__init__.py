"""The networks that judge, their data, and their export to ONNX. Knows nothing of proofs."""
