"""Real proofs against a real anvil; nothing is mocked."""
