"""Analysis of solvers on a grid: how perturbations grow, and which number system a round trip needs."""

from __future__ import annotations

from bdia_numerics.analysis.amplification import (
    Amplification,
    WorstCase,
    amplification,
    gaussian_jacobian,
    worst_amplification,
)
from bdia_numerics.analysis.precision import Requirement, RoundTripError, required_dtype, round_trip_error

__all__ = [
    "Amplification",
    "Requirement",
    "RoundTripError",
    "WorstCase",
    "amplification",
    "gaussian_jacobian",
    "required_dtype",
    "round_trip_error",
    "worst_amplification",
]
