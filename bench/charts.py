"""Charts of the costs of circuits."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from zk.files import whole

BLUE, ORANGE, GREY = "#2f6fb3", "#d9722c", "#b8bcc4"


@contextmanager
def chart(path: Path, width: float = 7, height: float = 4.2, columns: int = 1) -> Iterator[Any]:
    """Axes to draw on, saved at the end of the block; the same figures give the same bytes."""
    import matplotlib

    matplotlib.use("agg")
    matplotlib.rcParams["svg.hashsalt"] = "verdict"
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(1, columns, figsize=(width, height), layout="constrained")
    for one in [axes] if columns == 1 else axes:
        one.spines[["top", "right"]].set_visible(False)
        one.grid(color="#e6e8ec", linewidth=0.6)
        one.set_axisbelow(True)
    yield axes
    try:
        metadata = {"Date": None} if path.suffix == ".svg" else None
        with whole(path) as partial:
            figure.savefig(partial, dpi=150, metadata=metadata)
    finally:
        pyplot.close(figure)


def frontier(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """The points that no other point beats in both directions, from left to right."""
    best: list[tuple[float, float]] = []
    for point in sorted(points):
        if not best or point[1] < best[-1][1]:
            best.append(point)
    return best
