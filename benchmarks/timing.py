"""Processor time of functions taken in turn, and the rows of figures.toml: limits, how a figure is shown, and the page that lists them."""

import datetime as dt
import os
import platform
import re
import statistics
import time
import tomllib
from pathlib import Path

import pytest

HERE = Path(__file__).parent
PAGE = HERE.parent / "docs" / "benchmarks.md"
ROWS = tomllib.loads((HERE / "figures.toml").read_text(encoding="utf-8"))
Rows = pytest.StashKey[dict]()
BEGIN, END = "<!-- figures of a run: begin -->", "<!-- figures of a run: end -->"


def processor(function, clock=time.process_time):
    """Return the time of one call in seconds: of the processor, all threads together, unless another clock is given."""
    begin = clock()
    function()
    return clock() - begin


def in_turn(functions, rounds, clock=time.process_time):
    """Return {name: times in seconds, one a round} of {name: function}, after one unmeasured call of each."""
    for function in functions.values():
        function()
    times = {name: [] for name in functions}
    names = list(functions)
    for k in range(rounds):
        first = k % len(names)  # each takes each place
        for name in [*names[first:], *names[:first]]:
            times[name].append(processor(functions[name], clock))
    return times


def ratio(times, name, to):
    """Return the median over rounds of one function's time over another's in the same round."""
    return statistics.median(a / b for a, b in zip(times[name], times[to], strict=True))


def least(times, name, to):
    """Return one function's least time over another's: for long calls, of which few rounds can be had."""
    return min(times[name]) / min(times[to])


def allowed(row, value, times):
    """Whether a figure is within so many times its limit; a row of `at_least` has its limit below."""
    about = ROWS[row]
    return value * times >= about["at_least"] if "at_least" in about else value <= times * about["limit"]


def better(row, one, other):
    """Return the better of two measurements of a row."""
    return (max if "at_least" in ROWS[row] else min)(one, other)


def shown(row, value):
    """Return a figure with its unit and its limit."""
    about = ROWS[row]
    limit = f"at least {about['at_least']:g}" if "at_least" in about else f"{about['limit']:g}"
    return f"{value:.3g}{about.get('unit', '')} (limit {limit}{about.get('unit', '')})"


def machine():
    """Return what the figures were measured on."""
    described = Path("/proc/cpuinfo")  # Linux; elsewhere Python's own word is all there is
    model = re.search(r"model name\s*: (.*)", described.read_text(encoding="utf-8")) if described.exists() else None
    name = model[1] if model else platform.processor() or platform.machine()
    return f"{name}, {os.cpu_count()} cores, Python {platform.python_version()}"


def written(page, found):
    """Return the page with the rows of this run in its table; a row that was not measured keeps its figure and its date.

    Below the table each date has the machines of its runs.
    """
    before, kept, after = re.split(f"{BEGIN}\n|{END}\n", page)
    lines = {x.split(" | ")[0].removeprefix("| "): x for x in kept.splitlines() if x.startswith("| ")}
    machines = [x for x in kept.splitlines() if x.startswith("- ")]
    today = f"{dt.datetime.now(dt.UTC):%Y-%m-%d}"
    for row, value in found.items():
        about = ROWS[row]
        figure, limit = shown(row, value).removesuffix(")").split(" (limit ")
        lines[about["what"]] = f"| {about['what']} | {about['against']} | {figure} | {limit} | {today} |"
    table = [lines[what] for what in (about["what"] for about in ROWS.values()) if what in lines]
    dates = {line.split(" | ")[-1].removesuffix(" |") for line in table}
    machines = [x for x in dict.fromkeys([*machines, f"- {today}: {machine()}"]) if x[2:12] in dates]
    head = ["| what | against | figure | limit | measured |", "|---|---|---|---|---|"]
    return f"{before}{BEGIN}\n" + "\n".join([*head, *table, "", *machines]) + f"\n{END}\n{after}"
