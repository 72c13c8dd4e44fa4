"""certify: which claims on a sampler hold, each decided by the assertion that says it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from time import perf_counter
from traceback import walk_tb
from typing import Any

from bdia_numerics import names
from bdia_numerics.analysis.measurement.errors import ExactProblem
from bdia_numerics.spaces.showing import Listing, Shown
from bdia_numerics.spaces.values import ordered, share
from bdia_numerics.testing.latents import PRACTICAL_SLOTS, assert_latent_valid
from bdia_numerics.testing.orders import assert_nfe, assert_order
from bdia_numerics.testing.returns import ENDS, assert_exactly_invertible, assert_round_trip
from bdia_numerics.testing.same import assert_same
from bdia_numerics.testing.samplers import (
    LAW,
    NOTES,
    SLOTS,
    FunctionSampler,
    InUse,
    Undecided,
    as_sampler,
    family_of,
)
from bdia_numerics.texts import one_of, real, refuse

SMOOTH = "smooth"
_NFE = re.compile(r"(\d+)([+-]\d+)?")


@dataclass(frozen=True, repr=False)
class Certified(Shown):
    """One claim, decided on one family of grids.

    Attributes
    ----------
    claim, family : str
        As they were written; no family where the claim is not on one.
    verdict : str
        "measured", "failed" or "undecided".
    numbers : str
        What was measured.
    reason : str
        What the assertion says where the claim does not hold or is undecided.
    seconds : float
        How long that took.
    """

    claim: str
    family: str
    verdict: str
    numbers: str
    reason: str
    seconds: float


@ordered
def certify(
    subject: Any,
    claims: Iterable[str],
    families: Sequence[str] = (SMOOTH,),
    *,
    invert: Any = None,
    mu: float | None = None,
    problem: ExactProblem = LAW,
) -> Listing[Certified]:
    """Decide claims on a sampler by the assertions of this module.

    Parameters
    ----------
    subject, invert, mu
        See `as_sampler`.
    claims
        Each "order=2", "inverse-order=1" (of the way from data to noise), "nfe=1" or "nfe=1+8" (a step, and a run besides),
        "inverse-nfe=1", "invertible" (exactly), "round-trip=1e-6" (its largest loss), "latent" (the noise end tends to that of the
        ODE), or "same=bdia:gamma=9/10" (it is that solver's program). With "@alternating" behind it a claim is on that family.
    families
        Of grids, on which all other claims but those on evaluations and programs are decided: as for `assert_order`.
    problem
        A distribution with `model`, `sample` and an exact `flow`.

    Returns
    -------
    tuple of Certified
        In the order of the claims.

    Raises
    ------
    ValueError, TypeError
        For arguments that are not claims, families or a sampler. What the sampler itself raises is a claim that fails.

    Examples
    --------
    >>> from bdia_numerics import BDIA
    >>> [(d.claim, d.verdict, d.numbers) for d in certify(BDIA(), ["nfe=1", "nfe=2"])]
    [('nfe=1', 'measured', '12 and 25 in 12 and 25 slots'), ('nfe=2', 'failed', '12 and 25 in 12 and 25 slots')]
    """
    sampler, ways = as_sampler(subject, invert, mu), {"invert": invert, "mu": mu, "problem": problem}
    refuse((not families, "families is empty: name one, such as smooth"))
    todo = [task for claim in claims for task in _tasks(claim, families, sampler.takes_grids)]
    refuse((not todo, "claims is empty: name one, such as order=2"))
    return Listing(_decided(claim, family, partial(check, subject, **ways)) for claim, family, check in todo)


def _tasks(claim: str, families: Sequence[str], takes_grids: bool) -> Iterator[tuple[str, str, Callable[..., Any]]]:
    """Yield a claim with each family of grids and the function of a subject that decides it."""
    head, _, own = str(claim).partition("@")
    name, sign, value = (part.strip() for part in head.partition("="))
    one_of("claim", name, CLAIMS)
    make, example = CLAIMS[name]
    refuse(
        (bool(sign) != bool(example), f"claim={claim}: write {name}{example}"),
        (own and name in ALONE, f"claim={claim}: {name} is on no family of grids: write {head}"),
    )
    for family in [own.strip()] if own else [""] if name in ALONE else families:
        chosen = None if family in ("", SMOOTH) else family_of(family) if takes_grids else family
        yield claim, family, make(claim, value, chosen)


def _decided(claim: str, family: str, check: Callable[[], Any]) -> Certified:
    began, noted, verdict, reason = perf_counter(), len(NOTES), "measured", ""
    try:
        check()
    except AssertionError as error:
        verdict, reason = "undecided" if isinstance(error, Undecided) else "failed", str(error)
    except (Exception, SystemExit) as error:
        if not _raised_by_sampler(error):
            raise  # of this package, which was asked for what it cannot do
        verdict, reason = "failed", f"it raises {type(error).__name__}: {error}"
    return Certified(claim, family, verdict, "; ".join(NOTES[noted:]), reason, perf_counter() - began)


def _raised_by_sampler(error: BaseException) -> bool:
    """Say whether a sampler raises an exception: code outside this package does, or asks this package for what it refuses, as a time."""
    frames = [frame for frame, _ in walk_tb(error.__traceback__)]
    began = next((k for k, frame in enumerate(frames) if frame.f_code is FunctionSampler._go.__code__), len(frames) - 1)
    names = (str(frame.f_globals.get("__name__")).partition(".")[0] for frame in frames[began:])
    return any(name != __name__.partition(".")[0] for name in names)


def _order(claim: str, value: str, family: Any, direction: str = "sample") -> Callable[..., Any]:
    order = real("order", value)
    return lambda subject, **ways: assert_order(subject, order, family=family, direction=direction, **ways)


def _nfe(claim: str, value: str, family: Any, direction: str = "sample") -> Callable[..., Any]:
    found = _NFE.fullmatch(value)
    if found is None:
        raise ValueError(f"claim={claim}: write evaluations of a step, and of a run besides, as in nfe=1 or nfe=1+8")
    step, extra = int(found[1]), int(found[2] or 0)
    return lambda subject, **ways: assert_nfe(subject, step, extra=extra, direction=direction, **ways)


def _grids(family: Any) -> Sequence[Any]:
    if not callable(family):
        return (None,)
    return [family(n) for n in (PRACTICAL_SLOTS if isinstance(family, InUse) else (SLOTS,))]


def _invertible(claim: str, value: str, family: Any) -> Callable[..., Any]:
    return lambda subject, **ways: [assert_exactly_invertible(subject, grid=grid, **ways) for grid in _grids(family)]


def _round_trip(claim: str, value: str, family: Any) -> Callable[..., Any]:
    most = real("round-trip", value)
    return lambda subject, **ways: [
        assert_round_trip(subject, tolerance=most, end=end, grid=grid, **ways)
        for grid in _grids(family)
        for end in ENDS
    ]


def _latent(claim: str, value: str, family: Any) -> Callable[..., Any]:
    return lambda subject, **ways: assert_latent_valid(subject, family=family, **ways)


def _same(claim: str, value: str, family: Any) -> Callable[..., Any]:
    solver = names.solver(value)
    return lambda subject, *, mu, **_: assert_same(subject, solver, mu=mu)


CLAIMS: dict[str, tuple[Callable[..., Callable[..., Any]], str]] = {
    "order": (_order, "=2"),
    "inverse-order": (partial(_order, direction="invert"), "=2"),
    "nfe": (_nfe, "=1"),
    "inverse-nfe": (partial(_nfe, direction="invert"), "=1"),
    "invertible": (_invertible, ""),
    "round-trip": (_round_trip, "=1e-6"),
    "latent": (_latent, ""),
    "same": (_same, "=bdia:gamma=9/10"),
}
"""By name: what makes the check of a claim from its text, its value and a family; and how its value is written."""
ALONE = ("nfe", "inverse-nfe", "same")
"""Claims on no family of grids."""


share(Certified)
