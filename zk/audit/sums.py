"""Weighted sums of points of G1, fast enough for all points of an SRS."""

from collections.abc import Sequence

from zk.audit.curve import BASE_FIELD

Point = tuple[int, int] | None  # None is the point at infinity


def weighted_sum(points: Sequence[Point], weights: Sequence[int], bits: int) -> Point:
    """The sum of the points times their weights, which have at most this many bits."""
    window = max(4, len(points).bit_length() - 4)
    total: Point = None
    for low in reversed(range(0, bits, window)):
        for _ in range(window):
            total = add(total, total)
        groups: list[list[Point]] = [[] for _ in range(2**window)]
        for point, weight in zip(points, weights, strict=True):
            groups[weight >> low & 2**window - 1].append(point)
        groups[0] = []
        total = add(total, _climbed(_sums(groups)))
    return total


def _climbed(sums: list[Point]) -> Point:
    """The sum of the points times their positions in the list."""
    running: Point = None
    total: Point = None
    for point in reversed(sums[1:]):
        running = add(running, point)
        total = add(total, running)
    return total


def _sums(groups: list[list[Point]]) -> list[Point]:
    """The sum of each group. Halving all groups at once takes one inversion per round."""
    while any(len(group) > 1 for group in groups):
        pairs = [(g[i], g[i + 1]) for g in groups for i in range(0, len(g) - 1, 2)]
        added = iter(add_all(pairs))
        groups = [
            [next(added) for _ in range(len(group) // 2)] + group[len(group) // 2 * 2 :]
            for group in groups
        ]
    return [group[0] if group else None for group in groups]


def add(one: Point, other: Point) -> Point:
    return add_all([(one, other)])[0]


def add_all(pairs: Sequence[tuple[Point, Point]]) -> list[Point]:
    """The sum of each pair."""
    slopes = [_slope(one, other) for one, other in pairs]
    inverses = _inverses([below for _, below in slopes])
    sums: list[Point] = []
    for (one, other), (above, below), inverse in zip(pairs, slopes, inverses, strict=True):
        if one is None or other is None:
            sums.append(other if one is None else one)
        elif below == 0:
            sums.append(None)
        else:
            slope = above * inverse % BASE_FIELD
            x = (slope * slope - one[0] - other[0]) % BASE_FIELD
            sums.append((x, (slope * (one[0] - x) - one[1]) % BASE_FIELD))
    return sums


def _slope(one: Point, other: Point) -> tuple[int, int]:
    """The slope of the line through two points, or of the tangent, as a fraction."""
    if one is None or other is None:
        return 0, 0
    if one == other:
        return 3 * one[0] * one[0], 2 * one[1] % BASE_FIELD
    return other[1] - one[1], (other[0] - one[0]) % BASE_FIELD


def _inverses(numbers: list[int]) -> list[int]:
    """The inverse of each number, and 0 for 0."""
    before, product = [], 1
    for number in numbers:
        before.append(product)
        product = product * (number or 1) % BASE_FIELD
    inverse, found = pow(product, -1, BASE_FIELD), [0] * len(numbers)
    for place in reversed(range(len(numbers))):
        if numbers[place]:
            found[place] = inverse * before[place] % BASE_FIELD
            inverse = inverse * numbers[place] % BASE_FIELD
    return found
