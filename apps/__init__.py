"""The applications: contracts that believe proofs. One module each, found by the registry."""
