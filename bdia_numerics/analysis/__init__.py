"""Analysis of solvers: orders proved and measured, stability, errors and their budget, growth of perturbations, structure."""

from __future__ import annotations

from bdia_numerics.analysis.certified.enclosures import (
    Comparison,
    Counterexample,
    ErrorEnclosure,
    certify_better,
    enclose_error,
)
from bdia_numerics.analysis.designing.search import Design, design
from bdia_numerics.analysis.designing.templates import Multistep, multistep
from bdia_numerics.analysis.expansion.order import SymbolicOrder, symbolic_order, symmetry_order
from bdia_numerics.analysis.expansion.pattern import PatternOrder, order_on_pattern
from bdia_numerics.analysis.expansion.step import OrderCondition, order_conditions
from bdia_numerics.analysis.geometry import (
    Asymmetry,
    SymplecticDefect,
    asymmetry,
    model_jacobian,
    step_determinants,
    symplectic_defect,
)
from bdia_numerics.analysis.lint import Cost, Finding, lint
from bdia_numerics.analysis.measurement.budget import BestGamma, ErrorBudget, best_gamma, error_budget
from bdia_numerics.analysis.measurement.errors import GlobalError, LocalErrors, global_error, local_truncation_error
from bdia_numerics.analysis.measurement.leading_error import LeadingError, leading_error
from bdia_numerics.analysis.measurement.observed import GridFamily, ObservedOrder, OrderLevel, observed_order
from bdia_numerics.analysis.measurement.work_precision import Work, WorkPrecision, work_precision
from bdia_numerics.analysis.perturbation.amplification import (
    Amplification,
    WorstCase,
    amplification,
    gaussian_jacobian,
    worst_amplification,
)
from bdia_numerics.analysis.perturbation.growth import PRACTICAL, inverse_growth, inverse_growths
from bdia_numerics.analysis.perturbation.precision import Requirement, RoundTripError, required_dtype, round_trip_error
from bdia_numerics.analysis.sheet.datasheet import Datasheet, datasheet
from bdia_numerics.analysis.sheet.proved import Proved
from bdia_numerics.analysis.stability.characteristic import (
    GrowthParameter,
    StabilityInterval,
    StabilityRegion,
    characteristic_polynomial,
    growth_parameters,
    stability_interval,
    stability_polynomial,
    stability_region,
)
from bdia_numerics.analysis.stability.zero_stability import ZeroStability, zero_stability
from bdia_numerics.spaces.values import share

__all__ = [
    "PRACTICAL",
    "Amplification",
    "Asymmetry",
    "BestGamma",
    "Comparison",
    "Cost",
    "Counterexample",
    "Datasheet",
    "Design",
    "ErrorBudget",
    "ErrorEnclosure",
    "Finding",
    "GlobalError",
    "GridFamily",
    "GrowthParameter",
    "LeadingError",
    "LocalErrors",
    "Multistep",
    "ObservedOrder",
    "OrderCondition",
    "OrderLevel",
    "PatternOrder",
    "Proved",
    "Requirement",
    "RoundTripError",
    "StabilityInterval",
    "StabilityRegion",
    "SymbolicOrder",
    "SymplecticDefect",
    "Work",
    "WorkPrecision",
    "WorstCase",
    "ZeroStability",
    "amplification",
    "asymmetry",
    "best_gamma",
    "certify_better",
    "characteristic_polynomial",
    "datasheet",
    "design",
    "enclose_error",
    "error_budget",
    "gaussian_jacobian",
    "global_error",
    "growth_parameters",
    "inverse_growth",
    "inverse_growths",
    "leading_error",
    "lint",
    "local_truncation_error",
    "model_jacobian",
    "multistep",
    "observed_order",
    "order_conditions",
    "order_on_pattern",
    "required_dtype",
    "round_trip_error",
    "stability_interval",
    "stability_polynomial",
    "stability_region",
    "step_determinants",
    "symbolic_order",
    "symmetry_order",
    "symplectic_defect",
    "work_precision",
    "worst_amplification",
    "zero_stability",
]

__dir__ = __all__.copy  # what completion shows
share(*map(globals().get, __all__))
