"""The price of gas in dollars, at rates that are stated wherever they are used."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Price:
    """Gwei per unit of gas and dollars per coin; a rollup also pays mainnet for its data."""

    gwei: float
    coin: float
    l1_gwei: float = 0.0
    blob_gwei: float = 0.0

    def dollars(self, gas: int, calldata: int) -> float:
        fee = gas * self.gwei
        if self.l1_gwei:
            # Optimism's rule since Fjord, with its scalars. Proofs do not compress.
            size = max(100, 0.8365 * calldata - 42.5856)
            fee += size * (16 * 5_227 * self.l1_gwei + 1_014_213 * self.blob_gwei) / 1e6
        return fee / 1e9 * self.coin

    def __str__(self) -> str:
        data = f", data at {self.l1_gwei:g} gwei (blobs {self.blob_gwei:g})" if self.l1_gwei else ""
        return f"{self.gwei:g} gwei{data}, a coin at ${self.coin:,g}"


PRICES = {
    "mainnet": Price(gwei=2, coin=3_000),
    "Polygon": Price(gwei=50, coin=0.25),
    "Optimism": Price(gwei=0.001, coin=3_000, l1_gwei=2, blob_gwei=0.01),
}
