"""Distributions with exact scores and exact flows: what solvers are judged against."""

from __future__ import annotations

from bdia_numerics.problems.certificate import Certificate, CertifiedFlow
from bdia_numerics.problems.data import digits
from bdia_numerics.problems.empirical import Empirical
from bdia_numerics.problems.gaussian import Gaussian
from bdia_numerics.problems.law import Law, NoisePrediction
from bdia_numerics.problems.mixture import GaussianMixture
from bdia_numerics.problems.reference import ReferenceFlow, reference_flow

__all__ = [
    "Certificate",
    "CertifiedFlow",
    "Empirical",
    "Gaussian",
    "GaussianMixture",
    "Law",
    "NoisePrediction",
    "ReferenceFlow",
    "digits",
    "reference_flow",
]
