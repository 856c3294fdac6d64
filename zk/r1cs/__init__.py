"""Models as rank-one constraints: sums times sums equal sums, over BN254's scalar field."""
