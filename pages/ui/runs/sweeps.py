"""A grid of runs."""


def section() -> None:
    pass
