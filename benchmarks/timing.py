"""Processor time of several functions, taken in turn: what slows the machine for a while slows them all."""

import statistics
import time


def in_turn(functions, rounds):
    """Return {name: times in seconds, one a round} of {name: function}, after one unmeasured call of each."""
    for function in functions.values():
        function()
    times = {name: [] for name in functions}
    names = list(functions)
    for k in range(rounds):
        first = k % len(names)  # each takes each place
        for name in [*names[first:], *names[:first]]:
            begin = time.process_time()
            functions[name]()
            times[name].append(time.process_time() - begin)
    return times


def ratio(times, name, to):
    """Return the median over rounds of one function's time over another's in the same round."""
    return statistics.median(a / b for a, b in zip(times[name], times[to], strict=True))
