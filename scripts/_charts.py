"""Pictures of what circuits cost."""

import os
from collections.abc import Sequence
from contextlib import contextmanager
from pathlib import Path

BLUE, ORANGE, GREY = "#2f6fb3", "#d9722c", "#b8bcc4"


@contextmanager
def chart(path: Path, width: float = 7, height: float = 4.2, columns: int = 1):
    """Axes to draw on; the picture is saved whole, the same for the same figures."""
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
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{os.getpid()}.{path.name}")
    try:
        metadata = {"Date": None} if path.suffix == ".svg" else None
        figure.savefig(partial, dpi=150, metadata=metadata)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
        pyplot.close(figure)


def frontier(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """The points that no other beats in both directions, from left to right."""
    best: list[tuple[float, float]] = []
    for point in sorted(points):
        if not best or point[1] < best[-1][1]:
            best.append(point)
    return best
