"""The tables and the picture of docs/benchmarks.md."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.charts import BLUE, GREY, ORANGE, chart
from bench.documents import table
from bench.growth import exponent
from bench.prices import PRICES


@dataclass(frozen=True)
class Row:
    """The cost and the accuracy of a circuit."""

    network: str
    command: str
    accuracy: dict[str, Any]
    logrows: int
    cells: int
    setup: float
    witness: float
    prove: float
    verify: float
    memory: int
    proving_key: int
    proof: int
    code: int
    gas: int  # of a transaction that has a proof checked
    calldata: int  # bytes of it
    call: int | None = None  # gas of `join`, `judge` or `joinMany`
    accounts: int = 1  # in a proof

    @property
    def seconds(self) -> float:
        return self.witness + self.prove + self.verify


def summary(
    rows: dict[str, Row], notebooks: dict[str, str | None], points: list[dict[str, Any]]
) -> str:
    """The ratios to the notebooks, the circuits, and the growth of cost, in Markdown."""
    ratios = table(
        ["", "proving", "memory", "proving key", "gas to verify", "notebook"],
        [
            [
                f"`{name}`",
                f"**{other.seconds / row.seconds:.1f} x faster**",
                f"{other.memory / row.memory:.1f} x less",
                f"{other.proving_key / row.proving_key:.1f} x smaller",
                f"{1 - row.gas / other.gas:z.0%} less",
                other.network,
            ]
            for name, row in rows.items()
            if (other := rows.get(notebooks.get(name) or ""))
        ],
    )
    growth = table(
        ["cells", "rows", "prove", "memory", "key"],
        [
            [
                f"{point['cells']:,}",
                f"2^{point['shape']['logrows']}",
                f"{point['prove']:.2f} s",
                f"{point['memory'] / 1e6:,.0f} MB",
                f"{point['cost']['proving_key'] / 1e6:,.1f} MB",
            ]
            for point in points
        ],
    )
    return "\n\n".join(
        [
            ratios,
            tables(rows, notebooks),
            f"Proving time grows as the number of cells to the power of {exponent(points):.2f}:",
            growth,
        ]
    )


def tables(rows: dict[str, Row], notebooks: dict[str, str | None]) -> str:
    """The cost of each circuit: to prove, and on chain."""
    circuits = table(
        [
            *("", "network", "accuracy, float", "quantised", "on", "rows", "cells", "setup"),
            *("witness", "prove", "verify", "memory", "key", "proof", "verifier", "by"),
        ],
        [
            [
                f"`{name}`" if name in notebooks else name,
                row.network,
                *_in_words(row.accuracy),
                f"2^{row.logrows}",
                f"{row.cells:,}",
                f"{row.setup:.1f} s",
                f"{row.witness:.2f} s",
                f"{row.prove:.2f} s",
                f"{row.verify:.3f} s",
                f"{row.memory / 1e6:,.0f} MB",
                f"{row.proving_key / 1e6:,.1f} MB",
                f"{row.proof:,} B",
                f"{row.code:,} B",
                f"`{row.command}`",
            ]
            for name, row in rows.items()
        ],
    )
    chain = table(
        ["", "gas to verify", "`join`, `judge` or `joinMany`", *PRICES],
        [
            [
                f"`{name}`" if name in notebooks else name,
                f"{row.gas:,}",
                f"{row.call:,}" if row.call else "–",
                *(f"${p.dollars(row.call or row.gas, row.calldata):,.4f}" for p in PRICES.values()),
            ]
            for name, row in rows.items()
        ],
    )
    prices = "; ".join(f"{name} {price}" for name, price in PRICES.items())
    return "\n\n".join(
        [
            circuits,
            f"Dollars are for the call where given, else for verifying alone: {prices}.",
            chain,
        ]
    )


def batches(rows: dict[str, Row], singles: dict[str, Row]) -> str:
    """The cost of each account in a batch, beside that of a single proof, in Markdown."""
    return table(
        ["", "accounts", "proving, each", "against one alone", "memory", "gas, each", "saved"],
        [
            [
                f"`{name}`",
                f"{(row := rows[name]).accounts}",
                f"{row.prove / row.accounts:.2f} s",
                f"{row.prove / row.accounts / single.prove:.2f}",
                f"{row.memory / 1e6:,.0f} MB",
                f"{(each := (row.call or 0) / row.accounts):,.0f}",
                f"{1 - each / (single.call or 1):.0%}",
            ]
            for name, single in singles.items()
        ],
    )


def _in_words(measured: dict[str, Any]) -> list[str]:
    """The accuracy of the float model and of the circuit, and the samples."""
    kinds, on = ("float", "quantised"), f"{measured['samples']:,} {measured['source']}"
    if "correlation" in measured:
        return [
            f"correlation {measured['correlation'][kind]:.3f}, error {measured['error'][kind]:.3f}"
            for kind in kinds
        ] + [on]
    return [*(f"{measured[kind]:.2%}" for kind in kinds), on]


def picture(rows: dict[str, Row], points: list[dict[str, Any]], path: Path) -> None:
    """Draw the seconds of each circuit, and their growth with the cells."""
    with chart(path, width=10, columns=2) as (bars, growth):
        ordered = sorted(rows.items(), key=lambda item: item[1].seconds)
        names = [name for name, _ in ordered]
        colours = [GREY if name.endswith("notebook") else BLUE for name in names]
        drawn = bars.barh(names, [row.seconds for _, row in ordered], color=colours)
        bars.bar_label(drawn, [f" {row.seconds:.2f} s" for _, row in ordered])
        bars.set_xscale("log")
        bars.spines["bottom"].set_visible(False)
        bars.set(title="From input to a checked proof", xticks=[])
        bars.set_xlim(right=max(row.seconds for row in rows.values()) * 6)
        cells = [point["cells"] for point in points]
        growth.loglog(cells, [point["prove"] for point in points], "o-", color=ORANGE)
        growth.set(
            title=f"Proving grows as cells to the power of {exponent(points):.2f}",
            xlabel="cells",
            ylabel="seconds",
        )
