"""Schedules: alpha and sigma of eq. (1) as functions of t, with f and g^2 of eq. (3), in every number system.

Decimal parameters are kept as the decimals that were written, and evaluated in the system of t.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import Any

import numpy as np

from bdia_numerics.schedules.base import VARIABLES, Schedule, probability_flow
from bdia_numerics.schedules.continuous import EDM, VE, Flow, VPCosine, VPLinear
from bdia_numerics.schedules.discrete import Discrete, Functions, exact_table
from bdia_numerics.spaces import decimal, ordered, share
from bdia_numerics.texts import shown

__all__ = [
    "EDM",
    "VARIABLES",
    "VE",
    "Discrete",
    "Flow",
    "Functions",
    "Schedule",
    "VPCosine",
    "VPLinear",
    "ddpm_linear",
    "edm",
    "flow",
    "from_alphas_cumprod",
    "from_functions",
    "probability_flow",
    "stable_diffusion",
    "ve",
    "vp_cosine",
    "vp_linear",
]

__dir__ = __all__.copy  # what completion shows
share(*map(globals().get, __all__))

Real = float | int | str | Fraction


def _real(name: str, value: Real) -> Fraction:
    try:
        return decimal(value)
    except (TypeError, ValueError, ArithmeticError):
        raise ValueError(f"{name}={shown(value)} is not a finite number: pass an int, a float or a Fraction") from None


@ordered
def vp_linear(beta_min: Real = 0.1, beta_max: Real = 20.0) -> VPLinear:
    """Return the variance-preserving schedule with beta linear in t, t in [0, 1].

    Parameters
    ----------
    beta_min, beta_max
        beta at t = 0 and at t = 1; decimals mean what they print as.

    Returns
    -------
    VPLinear
        log(alpha) is minus a quarter of (beta_max - beta_min) t^2 less half of beta_min t.

    Raises
    ------
    ValueError
        Unless 0 < beta_min <= beta_max.

    Examples
    --------
    >>> from bdia_numerics import schedules
    >>> schedule = schedules.vp_linear(beta_min=0.1, beta_max=20)
    >>> round(schedule.alpha(0.5), 4), round(schedule.sigma(0.5), 4)
    (0.2812, 0.9597)
    """
    return VPLinear(_real("beta_min", beta_min), _real("beta_max", beta_max))


@ordered
def vp_cosine(s: Real = 0.008) -> VPCosine:
    """Return the cosine schedule, t in [0, 1] (Nichol and Dhariwal 2021).

    Parameters
    ----------
    s
        Offset of the cosine, which keeps the noise at the data end from vanishing too fast.

    Returns
    -------
    VPCosine
        alpha is cos(pi/2 (t+s)/(1+s)), divided by its value at t = 0.

    Raises
    ------
    ValueError
        Unless 0 <= s < 1.

    Examples
    --------
    >>> from bdia_numerics import schedules
    >>> schedule = schedules.vp_cosine()
    >>> round(schedule.alpha(0.5), 4), round(schedule.sigma(0.5), 4)
    (0.7027, 0.7114)
    """
    return VPCosine(_real("s", s))


def edm() -> EDM:
    """Return (alpha, sigma) = (1, t)."""
    return EDM()


def ve() -> VE:
    """Return (alpha, sigma) = (1, sqrt(t))."""
    return VE()


def flow() -> Flow:
    """Return (alpha, sigma) = (1-t, t)."""
    return Flow()


@ordered
def from_functions(
    alpha: Callable[[Any], Any],
    sigma: Callable[[Any], Any],
    *,
    alpha_dot: Callable[[Any], Any] | None = None,
    sigma_dot: Callable[[Any], Any] | None = None,
    t_min: Real = 0,
    t_max: Real = 1,
    variance_preserving: bool = False,
) -> Functions:
    """Return the schedule of any two callables of t.

    Parameters
    ----------
    alpha, sigma
        Functions of t with sigma/alpha increasing. They work in a number system if they take and return its scalars;
        they are asked at one time after the other.
    alpha_dot, sigma_dot
        Their derivatives, compared with differences at three times; see `Functions` for what is done without them.
    t_min, t_max
        The interval on which they are asked.
    variance_preserving
        Says that alpha^2 + sigma^2 = 1, which is checked at the ends and at three times between them.

    Returns
    -------
    Functions
        The schedule.

    Raises
    ------
    TypeError
        If one is not callable.
    ValueError
        Unless t_min < t_max, for a derivative of another function, and if `variance_preserving` is said of functions of which it is
        not true.

    Examples
    --------
    >>> from bdia_numerics import schedules
    >>> schedules.from_functions(lambda t: 1 - t, lambda t: t).sigma_bar(0.5)
    1.0
    """
    return Functions(
        alpha, sigma, alpha_dot, sigma_dot, _real("t_min", t_min), _real("t_max", t_max), variance_preserving
    )


@ordered
def from_alphas_cumprod(alphas_cumprod: Sequence[Any] | np.ndarray[Any, Any]) -> Discrete:
    """Return the discrete schedule of a table.

    Parameters
    ----------
    alphas_cumprod
        alpha^2 at t = 0..T-1, shape (T,): floats of any precision, mpf or Fractions, each taken as exact.

    Raises
    ------
    ValueError
        Unless the values fall strictly and lie in [0, 1]; for NaN.
    """
    return Discrete(table=exact_table(alphas_cumprod))


def stable_diffusion() -> Discrete:
    """Return the schedule of Stable Diffusion: 1000 steps, sqrt(beta) linear from sqrt(0.00085) to sqrt(0.012).

    Returns
    -------
    Discrete
        Times 0 to 999, data end first.

    Examples
    --------
    >>> from bdia_numerics import schedules
    >>> round(schedules.stable_diffusion().alpha(999), 4)
    0.0683
    """
    return Discrete(betas=("scaled_linear", 1000, Fraction(85, 100_000), Fraction(12, 1000)))


def ddpm_linear() -> Discrete:
    """Return the schedule of DDPM: 1000 steps, beta linear from 0.0001 to 0.02 (Ho et al. 2020)."""
    return Discrete(betas=("linear", 1000, Fraction(1, 10_000), Fraction(2, 100)))
