"""Laws and schedules named in a word: in a configuration, on the command line, in a file of experiments."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

from bdia_numerics import problems, schedules

SCHEDULES = ("vp_linear", "vp_cosine", "edm", "ve", "flow")
LAWS = ("mixture", "tight", "gaussian", "plane")


def law(text: str) -> Any:
    """Return a law by name: `LAWS`, or 'gaussian:0.5' with its standard deviation.

    Raises
    ------
    ValueError
        For another name.
    """
    name, colon, size = text.partition(":")
    if name == "mixture" and not colon:
        return problems.GaussianMixture([0.4, 0.6], [[-1.0], [1.5]], [0.6, 0.4])
    if name == "tight" and not colon:
        return problems.GaussianMixture([0.4, 0.6], [[-1.0], [1.0]], [0.02, 0.05])
    if name == "plane" and not colon:
        return problems.GaussianMixture([0.4, 0.6], [[-1.0, 0.0], [1.0, 0.5]], [0.3, 0.4])
    if name == "gaussian":
        try:
            return problems.Gaussian([0], Fraction(size or "1") ** 2)
        except (ValueError, ZeroDivisionError):
            raise ValueError(f"problem={text!r}: {size!r} is no standard deviation, write gaussian:0.5") from None
    raise ValueError(f"problem={text!r} is unknown: use {', '.join(LAWS)}, or gaussian:0.5 with a standard deviation")


def schedule(text: str) -> Any:
    """Return a schedule by the name of its constructor; ValueError for another name."""
    if text not in SCHEDULES:
        raise ValueError(f"schedule={text!r} is unknown: use {', '.join(SCHEDULES)}")
    return getattr(schedules, text)()


def ratio(name: str, text: Any) -> Fraction:
    """Return a number like 9/10 or 0.9, decimals as they print; ValueError if it is none."""
    try:
        return Fraction(str(text))
    except (ValueError, ZeroDivisionError):
        raise ValueError(f"{name}={text} is no number: write 9/10 or 0.9") from None
