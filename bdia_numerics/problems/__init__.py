"""Distributions with exact scores and exact flows: what solvers are judged against."""

from __future__ import annotations

from bdia_numerics.problems.certified_ode import certified_flow
from bdia_numerics.problems.combined import GuidedGaussians, Product
from bdia_numerics.problems.given import GivenFunction, from_eps, from_log_density, from_score
from bdia_numerics.problems.mixtures import Empirical, Gaussian, GaussianMixture, Law, digits, normal_quantiles
from bdia_numerics.problems.problem import Certificate, CertifiedFlow, NoisePrediction, Problem
from bdia_numerics.problems.reference import ReferenceFlow, reference_flow
from bdia_numerics.problems.uniform import Uniform
from bdia_numerics.spaces.values import share

__all__ = [
    "Certificate",
    "CertifiedFlow",
    "Empirical",
    "Gaussian",
    "GaussianMixture",
    "GivenFunction",
    "GuidedGaussians",
    "Law",
    "NoisePrediction",
    "Problem",
    "Product",
    "ReferenceFlow",
    "Uniform",
    "certified_flow",
    "digits",
    "from_eps",
    "from_log_density",
    "from_score",
    "normal_quantiles",
    "reference_flow",
]

__dir__ = __all__.copy  # what completion shows
share(*map(globals().get, __all__))
