"""How the time of a function grows with its input: the same on a slow machine as on a fast one."""

from collections.abc import Callable
from time import process_time

FACTOR = 8  # how much longer the long text is
LINEAR = 3 * FACTOR  # with room for a disturbed measurement; quadratic growth is FACTOR times FACTOR


def best_time(function: Callable, argument: object, repeats: int = 3) -> float:
    """Seconds of processor time, at least a millisecond: what is shorter is not measured but noise."""
    times = []
    for _ in range(repeats):
        begun = process_time()
        function(argument)
        times.append(process_time() - begun)
    return max(min(times), 1e-3)


def grows_linearly(function: Callable, make: Callable[[int], object], size: int) -> bool:
    """Whether ``function(make(FACTOR * size))`` takes about FACTOR times as long as ``function(make(size))``."""
    return best_time(function, make(FACTOR * size)) < LINEAR * best_time(function, make(size))
