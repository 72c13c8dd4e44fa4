"""Distributions, schedules and grids named in a word: in a configuration, on the command line, in a file of experiments."""

from __future__ import annotations

from collections.abc import Callable
from difflib import get_close_matches
from fractions import Fraction
from typing import Any

from bdia_numerics import grids, problems, schedules, spec
from bdia_numerics.grids import Grid

DISCRETE = ("ddpm_linear", "stable_diffusion")
SCHEDULES = ("vp_linear", "vp_cosine", "edm", "ve", "flow", *DISCRETE)
LAWS = ("mixture", "tight", "gaussian", "plane")


def law(text: str) -> Any:
    """Return a distribution by name: `LAWS`, or 'gaussian:0.5' with its standard deviation.

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
            deviation = Fraction(size or "1")
        except (ValueError, ZeroDivisionError):
            deviation = Fraction(0)
        if deviation <= 0:
            raise ValueError(f"problem={text!r}: {size!r} is not a standard deviation, write gaussian:0.5")
        return problems.Gaussian([0], deviation**2)
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
        raise ValueError(f"{name}={text} is not a number: write 9/10 or 0.9") from None


def _smooth(schedule: Any, n: int, **options: Any) -> Grid:
    return grids.alternating(schedule, n, ratio=1, **options)


_SPAN, _STEPS = ("t_max", "t_min"), ("final_alpha",)
GRIDS: dict[str, tuple[Callable[..., Grid], tuple[str, ...]]] = {
    "uniform": (grids.uniform, _SPAN),
    "quadratic": (grids.quadratic, _SPAN),
    "log_snr": (grids.log_snr, _SPAN),
    "asinh": (grids.asinh, _SPAN),
    "karras": (grids.karras, (*_SPAN, "rho", "append_zero")),
    "smooth": (_smooth, (*_SPAN, "variable")),
    "alternating": (grids.alternating, (*_SPAN, "variable", "ratio")),
    "random": (grids.random, (*_SPAN, "variable", "ratio", "seed")),
    "leading": (grids.leading, (*_STEPS, "steps_offset")),
    "linspace": (grids.linspace, _STEPS),
    "trailing": (grids.trailing, _STEPS),
}
"""By name: the constructor and its options. The last three are diffusers' spacings, of a discrete schedule's training steps."""


def grid(text: str) -> Callable[..., Grid]:
    """Return what makes a grid of a schedule and a number of slots.

    Parameters
    ----------
    text
        A name of `GRIDS`, with options behind it: 'karras:rho=5', 'alternating:ratio=3,variable=log_snr', 'leading:steps_offset=1'.

    Returns
    -------
    callable
        ``(schedule, n, **options) -> Grid``; options that this kind of grid has not, such as a seed, are left out, and those of the text
        come first.

    Raises
    ------
    ValueError
        For another name, an option that it has not, and a value that is none.
    """
    name, _, rest = text.partition(":")
    if name not in GRIDS:
        near = get_close_matches(name, GRIDS)
        raise ValueError(f"grid={text!r} is unknown: use {' or '.join(near) if near else ', '.join(GRIDS)}")
    make, known = GRIDS[name]
    own: dict[str, Any] = {}
    for pair in filter(None, rest.split(",")):
        key, equals, value = (part.strip() for part in pair.partition("="))
        if key not in known or not equals:
            raise ValueError(
                f"grid={text!r}: {pair} is not an option of {name}, which takes {', '.join(known)}, like {name}:{known[0]}=1"
            )
        own[key] = spec.number(key, value)

    def made(schedule: Any, n: int, **options: Any) -> Grid:
        return make(schedule, n, **{key: value for key, value in options.items() if key in known} | own)

    return made


def fits(text: str, schedule: str) -> bool:
    """Return whether a grid can be made of a schedule: counting training steps takes a discrete one."""
    return "t_max" in GRIDS[text.partition(":")[0]][1] or schedule in DISCRETE
