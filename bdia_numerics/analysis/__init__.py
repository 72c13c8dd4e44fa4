"""Analysis of solvers: order and stability from their programs; on a grid, growth of perturbations and symplectic structure."""

from __future__ import annotations

from bdia_numerics.analysis.amplification import (
    Amplification,
    WorstCase,
    amplification,
    gaussian_jacobian,
    worst_amplification,
)
from bdia_numerics.analysis.gradient_field import Asymmetry, asymmetry, model_jacobian
from bdia_numerics.analysis.order import SymbolicOrder, symbolic_order
from bdia_numerics.analysis.precision import Requirement, RoundTripError, required_dtype, round_trip_error
from bdia_numerics.analysis.symplectic import SymplecticDefect, step_determinants, symplectic_defect

__all__ = [
    "Amplification",
    "Asymmetry",
    "Requirement",
    "RoundTripError",
    "SymbolicOrder",
    "SymplecticDefect",
    "WorstCase",
    "amplification",
    "asymmetry",
    "gaussian_jacobian",
    "model_jacobian",
    "required_dtype",
    "round_trip_error",
    "step_determinants",
    "symbolic_order",
    "symplectic_defect",
    "worst_amplification",
]
