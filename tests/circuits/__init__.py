"""Circuits, builds, verifiers and their audits; no chain is shared."""
