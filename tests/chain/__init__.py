"""Contracts and proofs on a plain anvil and on every fork."""
