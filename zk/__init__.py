"""Circuits, proofs and Solidity verifiers of ONNX models. Knows no application and no chain."""
