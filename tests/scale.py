"""The size of long tests: short by default, long with `ape test --full`."""

full = False


def scaled(short: int, long: int) -> int:
    """An amount, for constants of test modules."""
    return long if full else short
