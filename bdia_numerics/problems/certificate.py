"""How exact a flow is, and the flow together with that statement."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from bdia_numerics.spaces import Space
from bdia_numerics.spaces.mean_value import ball_of

Kind = Literal["closed form", "CDF transport", "enclosure", "reference"]


@dataclass(frozen=True)
class Certificate:
    """How a flow was computed and how far it can be from the exact solution.

    Parameters
    ----------
    kind
        "closed form" and "CDF transport" are exact up to rounding, "enclosure" has a proved radius, "reference" is a
        numerical solution with an estimated error.
    detail
        The formula or the method, in words.
    error
        Largest absolute error of an element of z: a bound for an enclosure, an estimate for a reference solution, None
        where only rounding in the number system of the states is left or where no solution has been computed yet.
    """

    kind: Kind
    detail: str
    error: float | None = None

    @property
    def exact(self) -> bool:
        """Whether rounding is the only error."""
        return self.kind in ("closed form", "CDF transport")

    @property
    def uncertainty(self) -> float:
        """The error as a number: 0 where rounding alone is left, NaN where no solution has been computed yet."""
        if self.exact:
            return 0.0
        return math.nan if self.error is None else self.error


class CertifiedFlow(NamedTuple):
    """States after a flow, shape (*batch, D), and the certificate of this very computation."""

    z: Any
    certificate: Certificate


def known_flow(problem: Any, z: Any, t_from: Any, t_to: Any, schedule: Any) -> tuple[Any, float]:
    """Return the states after a problem's flow, and the error that its certificate states; NaN for a flow without one."""
    certified = getattr(problem, "flow_certified", None)
    if certified is None:
        return problem.flow(z, t_from, t_to, schedule), math.nan
    moved, certificate = certified(z, t_from, t_to, schedule)
    return moved, certificate.uncertainty


def enclosure(z: Any, certificate: Certificate, space: Space) -> Certificate:
    """Return the certificate of a flow on balls: how it was computed, and its largest radius."""
    radii = [float(ball_of(x).rad()) for x in z.flat]
    # A radius has 30 bits, and a float holds it; the next float covers one that is subnormal.
    bound = max((r and math.nextafter(r, math.inf) for r in radii), default=0.0)
    return Certificate("enclosure", f"{certificate.kind} on {space.name}", bound)


CLOSED_FORM = Certificate(
    "closed form",
    "z -> alpha' mu + (alpha'^2 S + sigma'^2)^(1/2) (alpha^2 S + sigma^2)^(-1/2) (z - alpha mu), "
    "a few units of rounding in the states' number system",
)
CDF_TRANSPORT = Certificate(
    "CDF transport",
    "the 1-D flow conserves the cumulative distribution function; a few units of rounding in the states' number system",
)
LINE_TRANSPORT = Certificate(
    "CDF transport",
    "means on a line along an eigenvector of every covariance, the covariance across common: conservation of the CDF along "
    "the line, closed form across it; a few units of rounding in the states' number system",
)
RADIAL_TRANSPORT = Certificate(
    "CDF transport",
    "one centre, isotropic covariances: directions stay and the distribution function of the radius is conserved; a few "
    "units of rounding in the states' number system",
)
UNIFORM_TRANSPORT = Certificate(
    "CDF transport",
    "conservation of the distribution function of a uniform distribution with noise in each coordinate; a few units of rounding in the "
    "states' number system",
)
PRODUCT_TRANSPORT = Certificate(
    "CDF transport",
    "independent factors in an orthonormal basis, each moved by its own exact flow; a few units of rounding in the states' "
    "number system",
)
SHIFTED_MEAN = Certificate(
    "closed form",
    "guidance of equal covariances: the flow of N(m_u + w (m_c - m_u), C); a few units of rounding in the states' number system",
)
POWER_LAW = Certificate(
    "closed form",
    "guidance of equal means and commuting covariances: z - alpha m goes like V_u^((1-w)/2) V_c^(w/2), V = alpha^2 C + sigma^2; "
    "a few units of rounding in the states' number system",
)
REFERENCE = Certificate(
    "reference",
    "no closed form: Taylor steps (heyoka) or DOP853 at two tolerances; flow_certified says which ran and returns its error "
    "estimate",
)
ENCLOSABLE = Certificate(
    "reference", f"{REFERENCE.detail}; problems.certified_flow encloses this flow with a proved radius"
)
