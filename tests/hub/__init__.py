"""The prover hub and its page, as real processes."""
