"""The variable of a step: sigma/alpha, in which z/alpha moves along eps, t, or the angle, in which z moves along v."""

from __future__ import annotations

from typing import Any

from bdia_numerics.program import Evaluation, Form, Linear, Recorder
from bdia_numerics.texts import one_of

PREDICTIONS = {"sigma_bar": "eps", "t": "velocity", "angle": "v"}
"""What the slope is, by the variable. The angle is phi = atan(sigma/alpha) of a variance-preserving schedule: dz/dphi = v."""


def chosen(variable: str, *others: str) -> None:
    """Raise ValueError unless this is "sigma_bar", "angle" or one of the others."""
    one_of("variable", variable, ("sigma_bar", "angle", *others))


def slope(s: Recorder, variable: str, z: Linear, e: Evaluation) -> Linear:
    """Return the slope of z, or of z/alpha in sigma_bar, from the evaluation e = s.eps(z)."""
    return e if variable == "sigma_bar" else s.v(z, e) if variable == "angle" else s.velocity(z, e)


def position(s: Recorder, variable: str, time: Any) -> Any:
    """Return where a time lies."""
    return s.sigma_bar(time) if variable == "sigma_bar" else s.angle(time) if variable == "angle" else s.t(time)


def scale(s: Recorder, variable: str, time: Any) -> Any:
    """Return the factor between z and what moves: alpha in sigma_bar, else 1."""
    return s.alpha(time) if variable == "sigma_bar" else s.one


def moved(s: Recorder, variable: str, z: Linear, i: Any, j: Any, d: Any) -> Form:
    """Return z moved from t_i to t_j along one slope."""
    if variable == "sigma_bar":
        return z + s.delta(i, j, z, d)
    return z + (position(s, variable, j) - position(s, variable, i)) * d
