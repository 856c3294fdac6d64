"""Groth16 over BN254: powers of tau, keys, proofs and Solidity verifiers of `zk.r1cs` systems."""
