"""The connected chain, through Ape. Knows verifiers and proofs, but no application."""
