"""The networks that judge, their training data, and their export to ONNX. Nothing here knows of proofs."""
