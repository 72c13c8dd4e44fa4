"""Processor time of functions; of several, taken in turn, since what slows the machine for a while slows them all."""

import statistics
import time


def timed(function, clock=time.process_time):
    """Return what a function returns, and the seconds that it took."""
    begin = clock()
    found = function()
    return found, clock() - begin


def in_turn(functions, rounds, clock=time.process_time):
    """Return {name: times in seconds, one a round} of {name: function}, after one unmeasured call of each."""
    for function in functions.values():
        function()
    times = {name: [] for name in functions}
    names = list(functions)
    for k in range(rounds):
        first = k % len(names)  # each takes each place
        for name in [*names[first:], *names[:first]]:
            times[name].append(timed(functions[name], clock)[1])
    return times


def ratio(times, name, to):
    """Return the median over rounds of one function's time over another's in the same round."""
    return statistics.median(a / b for a, b in zip(times[name], times[to], strict=True))


def least(times, name, to):
    """Return the least of one function's times over the least of another's."""
    return min(times[name]) / min(times[to])
