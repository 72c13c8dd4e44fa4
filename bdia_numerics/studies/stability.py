"""Stability: roots of the characteristic polynomials, and their moduli over the plane of h lambda."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from bdia_numerics import names
from bdia_numerics.analysis import (
    characteristic_polynomial,
    stability_interval,
    stability_polynomial,
    stability_region,
    zero_stability,
)
from bdia_numerics.program import NotInvertibleError, structure
from bdia_numerics.spaces.later import sympy
from bdia_numerics.studies.study import DIRECTIONS, Cell, Study, Variable, among, check, contender, once, over_gammas


@dataclass(frozen=True)
class StabilityConfig:
    """What to compute.

    Attributes
    ----------
    solvers
        As `bdia_numerics.names` reads them; one that leaves its gamma open is taken with each of `gammas`.
    gammas
        From 0 to 1; the inverse has none at 0.
    directions
        "sample", the step, and "invert", its derived inverse where there is one.
    real, imaginary
        Ends of the part of the plane of h lambda.
    resolution
        Points along each axis.
    """

    solvers: tuple[str, ...] = ("DDIM", "BDIA", "EDICT", "CBDIA", "ReversibleHeun")
    gammas: tuple[float, ...] = (0.0, 0.25, 0.5, 0.75, 0.9, 1.0)
    directions: tuple[str, ...] = DIRECTIONS
    real: tuple[float, float] = (-3.0, 1.0)
    imaginary: tuple[float, float] = (-2.0, 2.0)
    resolution: int = 81

    def __post_init__(self) -> None:
        check(self, "solvers", "gammas", "directions", resolution=2)
        among(self, directions=DIRECTIONS)
        for name in ("real", "imaginary"):
            ends = getattr(self, name)
            if len(ends) != 2 or not ends[0] < ends[1]:
                raise ValueError(f"{name}={ends}: give two rising numbers")


def axes(config: StabilityConfig) -> dict[str, np.ndarray[Any, Any]]:
    """Return the points along each axis of the plane."""
    ends = {"imaginary": config.imaginary, "real": config.real}
    return {name: np.linspace(low, high, config.resolution) for name, (low, high) in ends.items()}


def _inner(config: StabilityConfig) -> dict[str, tuple[Any, ...]]:
    registers = max(len(structure(names.solver(text)).registers) for text in config.solvers)
    return {"root": tuple(range(registers)), **{name: tuple(x.tolist()) for name, x in axes(config).items()}}


def compute(config: StabilityConfig, cell: Cell) -> Mapping[str, Any]:
    """Return roots, moduli, region and intervals of one solver in one direction; a status alone where there is no inverse."""
    solver, direction = contender(cell), str(cell["direction"])
    zeta, x = sympy.Symbol("zeta"), sympy.Symbol("x")
    try:
        polynomial = stability_polynomial(solver, direction=direction, zeta=zeta, x=x)
    except NotInvertibleError as error:
        return {"status": str(error)}
    characteristic = characteristic_polynomial(solver, direction=direction, zeta=zeta)
    count, real = len(_inner(config)["root"]), axes(config)["real"]
    roots = _roots(characteristic, zeta, x, 0.0, count)
    region = stability_region(
        solver,
        direction=direction,
        real=config.real,
        imaginary=config.imaginary,
        resolution=config.resolution,
    )
    intervals = {axis: stability_interval(solver, axis, direction=direction).length for axis in ("real", "imaginary")}
    return {
        "root_real": roots.real + 0.0,
        "root_imaginary": roots.imag + 0.0,  # no negative zeros
        "modulus": np.array([np.abs(_roots(polynomial, zeta, x, at, count)) for at in real]).T,
        "radius": region.radius,
        "real_interval": float(intervals["real"]),
        "imaginary_interval": float(intervals["imaginary"]),
        "zero_stable": bool(zero_stability(solver, direction).stable),
        "polynomial": str(characteristic),
        "status": "ok",
    }


def _roots(polynomial: Any, zeta: Any, x: Any, at: float, count: int) -> np.ndarray[Any, Any]:
    """Return the roots at one value of x, the largest first, and NaN for as many as are missing; shape (count,)."""
    here = sympy.Poly(sympy.numer(sympy.together(polynomial)), zeta)
    coefficients = [complex(sympy.lambdify(x, c)(at)) for c in here.all_coeffs()]
    found = np.full(count, np.nan, dtype=complex)
    roots = np.roots(coefficients)
    found[: len(roots)] = roots[np.lexsort((-roots.imag, -roots.real, -np.round(np.abs(roots), 12)))]
    return found


STABILITY = Study(
    "stability",
    "Roots of the characteristic polynomials, and their moduli over the plane of h lambda",
    StabilityConfig,
    dims=lambda config: {"direction": config.directions, "solver": config.solvers, "gamma": config.gammas},
    inner=_inner,
    wanted=once,
    compute=compute,
    variables={
        "root_real": Variable("real part of a root for h lambda = 0", dims=("root",)),
        "root_imaginary": Variable("imaginary part of a root for h lambda = 0", dims=("root",)),
        "modulus": Variable("modulus of a root for real h lambda", dims=("root", "real")),
        "radius": Variable("largest modulus of a root", dims=("imaginary", "real")),
        "real_interval": Variable("length of the interval of stability on the negative real axis"),
        "imaginary_interval": Variable("length of the interval of stability on the imaginary axis"),
        "zero_stable": Variable("whether the root condition holds"),
        "polynomial": Variable("characteristic polynomial"),
        "status": Variable("status"),
    },
    finish=over_gammas,
    figure="rounding:regions",
)
