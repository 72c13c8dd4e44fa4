"""Finite precision: what a round trip loses in each format, and which one a tolerance needs."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import accumulate
from typing import Any

import numpy as np

from bdia_numerics import names
from bdia_numerics.analysis.perturbation.amplification import (
    Jacobian,
    advance,
    directed_run,
    gaussian_jacobian,
    output_of,
    slopes_of,
)
from bdia_numerics.grids import Grid
from bdia_numerics.program import Evaluate, Run, Segment, Solver, identity, parameters, record_start, rows
from bdia_numerics.runs.solving import starter_of
from bdia_numerics.spaces import Drawn, Numpy, ordered
from bdia_numerics.texts import one_of, shown

DTYPES, TENSORS = names.ARRAY_DTYPES, names.TORCH_DTYPES

Slopes = Mapping[int, float]
Row = tuple[int, Sequence[tuple[Any, int]], bool]
"""What is computed, its terms (coefficient, value), and whether the coefficients are those of a program, which are rounded, or slopes."""

# Root mean square of one rounding, in units of the unit roundoff: the error is uniform within half a unit in the last
# place, the mantissa m of the number log-uniform on [1, 2), so that E[1/m^2]/3 = 1/(8 log 2).
ROUNDING_RMS = math.sqrt(1 / (8 * math.log(2)))


@dataclass
class RoundedTrip:
    """Roundings of a trip by what each is at its end, found by adjoints.

    Attributes
    ----------
    values
        Size of every value of the trip, with its sign in the linear run that gave it.
    random
        Root of the sum of squares of the random roundings, in units of one of them.
    results
        The same where the result of a combination is rounded, and its products and partial sums are not.
    coefficients
        For each coefficient, what an error of 1 in it is at the end, and the exact coefficient.
    """

    values: Mapping[int, float]
    random: float = 0.0
    results: float = 0.0
    coefficients: list[tuple[float, Any]] = field(default_factory=list)

    def go(self, there: Run, back: Run, sent: str, slopes_there: Slopes, slopes_back: Slopes) -> None:
        """Count the roundings of both ways in what the register `sent` holds at the end of the way back.

        A perturbation anywhere on the way there is undone by the exact way back up to where it arose, so it travels to the end as one
        of the same registers on the way back does.
        """
        adjoint = {back.final[sent].number: 1.0}
        at_boundary: dict[int, dict[int, float]] = {}
        for segment in reversed(back.segments):
            for row in reversed(_rows(segment, slopes_back)):
                self.add(row, _pull_back(row, adjoint))
            at_boundary[segment.slot] = {h.number: adjoint.get(h.number, 0.0) for h in segment.before.values()}
        remembered: dict[int, float] = {}
        for segment in reversed(there.segments):
            local = dict(at_boundary[segment.slot])
            made = _rows(segment, slopes_there)
            for row in reversed(made):
                # What a later slot does with a value that it remembers counts for the rounding of that value alone:
                # the boundary between the slots has the rest.
                self.add(row, _pull_back(row, local) + remembered.pop(row[0], 0.0))
            own = {target for target, *_ in made} | {h.number for h in segment.before.values()}
            for number in local.keys() - own - at_boundary[segment.slot].keys():
                remembered[number] = remembered.get(number, 0.0) + local[number]

    def add(self, row: Row, weight: float) -> None:
        """Count a row's own roundings."""
        target, terms, rounded = row
        errors = [weight * self.values[target]]
        self.results = math.hypot(self.results, *errors)
        if rounded:
            products = [float(c) * self.values[number] for c, number in terms]
            inexact = [x for x, (c, _) in zip(products, terms, strict=True) if abs(math.frexp(c)[0]) != 0.5]
            errors = [weight * x for x in [*inexact, *[*accumulate(products)][1:]]]
            self.coefficients += [(weight * self.values[number], c) for c, number in terms]
        self.random = math.hypot(self.random, *errors)

    def error(self, dtype: str, largest: float) -> float:
        """Return the root-mean-square error at the end in a format; infinite where values, or errors, overflow."""
        return _in_range(self.within(dtype), largest, float(np.finfo(dtype).max))

    def rounded_once(self, single: float, eps: float, most: float, largest: float) -> float:
        """Return the error of a narrow format, of a given spacing at 1 and largest number, whose sums have float32's error `single`."""
        return _in_range(math.hypot(ROUNDING_RMS * self.results * eps / 2, single), largest, most)

    def within(self, dtype: str) -> float:
        """Return the error at the end in a format in which nothing overflows."""
        info = np.finfo(dtype)
        system = Numpy(info.dtype)
        with np.errstate(over="ignore"):
            systematic = sum(weight * _deviation(c, system) for weight, c in self.coefficients)
        return math.hypot(ROUNDING_RMS * self.random * float(info.eps) / 2, systematic)


def _in_range(error: float, largest: float, most: float) -> float:
    # A normal variable exceeds six times its root mean square once in 10^9.
    return error if 6 * largest < most > 6 * error else math.inf


def _deviation(c: Any, system: Numpy) -> float:
    """Return by how much the coefficient that a run in this system takes differs from the exact one."""
    rounded = system.dtype.type(system.coefficient(c))
    return float(Fraction(*rounded.as_integer_ratio()) - c) if np.isfinite(rounded) else math.inf


def _rows(segment: Segment, slopes: Slopes) -> list[Row]:
    found: list[Row] = []
    for op in segment.ops:
        if isinstance(op, Evaluate):
            found.append((op.target, [(slopes[op.target], op.argument)], False))
        found += [(target, terms, True) for target, _, terms in rows(op)]
    return found


def _pull_back(row: Row, adjoint: dict[int, float]) -> float:
    """Add a row's share to the sensitivities to its terms; return the sensitivity to its own value."""
    target, terms, _ = row
    weight = adjoint.get(target, 0.0)
    for c, number in terms:
        adjoint[number] = adjoint.get(number, 0.0) + float(c) * weight
    return weight


HALVES = {"float16": (2.0**-10, 65504.0), "bfloat16": (2.0**-7, 3.39e38)}
"""Spacing at 1, and largest number."""
MARGIN = 3.0
"""How far measured errors may exceed predicted ones. For Gaussian data they are 0.5 to 1.2 of them in float32 and float64, 0.4 to 2 in
float16; for a mixture of two peaks 0.3 to 2.3."""


@dataclass(frozen=True, repr=False)
class RoundTripError(Drawn):
    """What a round trip is expected to lose, before a floating-point format is chosen.

    Attributes
    ----------
    solver, end
        What was analysed; "noise" is solve then invert, "data" encode then solve.
    steps
        Slots of the grid.
    per_unit_roundoff : float
        Root-mean-square error of what comes back, over the unit roundoff, were all coefficients rounded at random.
    errors : mapping of str to float
        Root-mean-square error in each of `DTYPES`, with the coefficients as that format rounds them; infinite where
        values overflow.
    tensors : mapping of str to float
        The same for tensors of each of `TENSORS`: those of 16 bits are summed in float32, with its coefficients, and rounded once.
    largest : float
        Largest root mean square of any value in the run; a format that cannot hold it overflows.
    scale : float
        Root mean square of what is sent.
    """

    solver: str
    end: str
    steps: int
    per_unit_roundoff: float
    errors: Mapping[str, float]
    tensors: Mapping[str, float]
    largest: float
    scale: float

    @property
    def digits_lost(self) -> float:
        """Decimal digits of the format that do not come back: log10 of the loss over that of one rounding of what is sent."""
        return math.log10(max(self.per_unit_roundoff / (ROUNDING_RMS * self.scale), 1.0))


@dataclass(frozen=True, repr=False)
class Requirement(Drawn):
    """The arithmetic that a round trip needs for a tolerance.

    Attributes
    ----------
    dtype : str
        "float16", "float32", "float64", "longdouble" or "mpmath".
    digits : int
        Decimal digits that would do: of mpmath, where that is the answer.
    errors : mapping of str to float
        Expected root-mean-square error by dtype.
    tolerance : float
        The error that was allowed.
    summary : str
        The answer in a sentence.
    """

    dtype: str
    digits: int
    errors: Mapping[str, float]
    tolerance: float
    summary: str

    def __str__(self) -> str:
        return self.summary


@ordered
def round_trip_error(
    solver: Solver,
    grid: Grid,
    *,
    end: str = "noise",
    J: Jacobian | None = None,
    data_rms: float = 1.0,
    prediction: str = "eps",
) -> RoundTripError:
    """Predict the error of `round_trip` by rounding.

    Each linear combination sum_k c_k v_k has the rounding error of each of its partial sums and, unless c_k is a power of
    two, of each product c_k v_k; each model output by one. These are taken as independent, of root mean square
    `ROUNDING_RMS` unit roundoffs. A coefficient has the error of its rounding to the format, the same for all states and often
    for all slots (p and 1-p of EDICT): these errors are added up with their signs. What is wrong at a slot reaches
    the end by the way back alone, since the way back undoes the way there.

    Parameters
    ----------
    solver, grid
        An exactly invertible solver, any grid of numbers.
    end : {"noise", "data"}
        "noise": solve, then invert. "data": encode, then solve.
    J
        d eps/dz along the run, as for `amplification`; by default that of a Gaussian of variance data_rms^2.
    data_rms
        Root mean square of an element of the data; the sizes of all values are those of a Gaussian of this spread, taken
        through the same program, from alpha and sigma of the end where the trip starts.
    prediction
        What the model predicts.

    Raises
    ------
    ValueError
        For another end, data_rms not positive, a solver without derived inverse (NotInvertibleError, with the reason), a J as in
        `amplification`.

    Notes
    -----
    First order in the unit roundoff: an error beyond the size of the states themselves is only known to be that large.

    Where a sum is rounded once and the assigned register has the coefficient 1 (BDIA with gamma = 1, tensors of 16 bits), the way back
    rounds to the very state that the way there left, unless the two lie on either side of a power of two: there the expectation is
    too high, by any factor. A model that rounds more than its output, as a network in the states' own dtype does, makes it too low.
    Rounding to nearest as independent random numbers: Higham, Accuracy and Stability of Numerical Algorithms, sec. 2.8.
    """
    one_of("end", end, ("noise", "data"))
    law = gaussian_jacobian(_positive("data_rms", data_rms) ** 2)
    # The inverse is derived first, so that a solver without one is refused with the reason.
    runs = {d: directed_run(solver, grid, d, prediction) for d in ("invert", "sample")}
    noise = end == "noise"
    there, back = (runs["sample"], runs["invert"]) if noise else (runs["invert"], runs["sample"])
    i = grid.n if noise else 0
    scale = math.hypot(float(grid.alpha[i]) * data_rms, float(grid.sigma[i]))
    # What the registers hold before the first step of `solve`, or the first slot of `encode`, for a linear eps.
    start = record_start(solver, starter_of(solver), grid, prediction, data_end=not noise)
    begun = _run_on(start, {"z": scale}, law)
    values = _values(there, back, {name: begun[h.number] for name, h in start.final.items()}, law)
    chosen = law if J is None else J
    sent = output_of(solver, back, "invert" if noise else "sample")
    trip = RoundedTrip(values)
    trip.go(there, back, sent, slopes_of(there, chosen), slopes_of(back, chosen))
    largest = max(map(abs, values.values()))
    loss = math.hypot(trip.random, *(w * float(c) for w, c in trip.coefficients)) * ROUNDING_RMS
    errors = {name: trip.error(name, largest) for name in DTYPES}
    single = trip.within("float32")
    halves = {name: trip.rounded_once(single, *limits, largest) for name, limits in HALVES.items()}
    tensors = halves | {name: errors[name] for name in TENSORS if name not in halves}
    finite = loss if math.isfinite(loss) else math.inf
    return RoundTripError(identity(solver), end, grid.n, finite, errors, tensors, largest, scale)


@ordered
def required_dtype(
    solver: Solver,
    grid: Grid,
    tolerance: float,
    *,
    end: str = "noise",
    J: Jacobian | None = None,
    data_rms: float = 1.0,
    prediction: str = "eps",
    tensors: bool = False,
) -> Requirement:
    """Return the smallest floating-point format in which a round trip returns to within a tolerance.

    Parameters
    ----------
    solver, grid, end, J, data_rms, prediction
        As for `round_trip_error`.
    tolerance
        Root mean square, over all elements, of what may come back wrong. `MARGIN` times the predicted error must not exceed it.
    tensors
        Whether the formats are those of tensors, `TENSORS`, none of which is longer than float64.

    Returns
    -------
    Requirement
        ``str()`` of it is the answer in a sentence.

    Raises
    ------
    ValueError
        For a tolerance that is not positive; where the loss is too large for a float to hold; else as
        `round_trip_error`.

    Examples
    --------
    >>> from bdia_numerics import BDIA, analysis
    >>> analysis.required_dtype(BDIA(), analysis.GridFamily()(20), 1e-5).dtype
    'float32'
    """
    wanted = _positive("tolerance", tolerance)
    loss = round_trip_error(solver, grid, end=end, J=J, data_rms=data_rms, prediction=prediction)
    if not math.isfinite(loss.per_unit_roundoff):
        raise ValueError(f"{loss.solver} on {grid.n} slots loses more than 10^308 unit roundoffs: take fewer slots")
    # A decimal arithmetic of d digits has unit roundoff 10^-d.
    digits = max(math.ceil(math.log10(max(MARGIN * loss.per_unit_roundoff / wanted, 1.0))), 1)
    errors = loss.tensors if tensors else loss.errors
    dtype = next((name for name, error in errors.items() if MARGIN * error <= wanted), "mpmath")
    return Requirement(dtype, digits, errors, wanted, _sentence(loss, dtype, digits, errors, wanted))


def _sentence(loss: RoundTripError, dtype: str, digits: int, errors: Mapping[str, float], wanted: float) -> str:
    needs = dtype if dtype in errors else f"{digits} digits, more than any of these formats has"
    needs = f"mpmath with {digits} digits" if dtype == "mpmath" and "longdouble" in errors else needs
    parts = [f"{loss.solver} at {loss.steps} steps needs {needs} to return to {wanted:.1e}"]
    below = [name for name in errors if dtype not in errors or [*errors].index(name) < [*errors].index(dtype)]
    if below and math.isinf(errors[below[-1]]):
        parts.append(f"{below[-1]} overflows")
    elif below:
        near = (
            f", which a prediction good to a factor of {MARGIN:g} does not promise"
            if errors[below[-1]] <= wanted
            else ""
        )
        parts.append(f"{below[-1]} returns to {errors[below[-1]]:.1e}{near}")
    return "; ".join([*parts, f"the trip loses {loss.digits_lost:.1f} digits"])


def damping(solver: Solver) -> str:
    """Return what makes the inverse of a solver grow less, "gamma nearer to 1", empty where it has no such parameter."""
    values = {name: value for name, value in parameters(solver).items() if name in ("gamma", "p")}
    lower = (name for name, x in values.items() if not hasattr(x, "free_symbols") and not callable(x) and x < 1)
    return next((f"{name} nearer to 1" for name in lower), "")


def _positive(name: str, value: float) -> float:
    if not 0 < value < math.inf:
        raise ValueError(f"{name}={shown(value)} is not a positive number: pass one, such as 0.001")
    return float(value)


def _run_on(run: Run, inputs: Mapping[str, float], law: Jacobian) -> dict[int, float]:
    values = {run.inputs[name].number: value for name, value in inputs.items()}
    advance((op for part in run.segments for op in part.ops), values, slopes_of(run, law), run.definitions())
    return values


def _values(there: Run, back: Run, first: Mapping[str, float], law: Jacobian) -> dict[int, float]:
    """Return every value of the trip by its number; the way back takes the same ones, which it would reach unrounded."""
    values = _run_on(there, first, law)
    slopes, definitions = slopes_of(back, law), back.definitions()
    for number in definitions.keys() - values.keys():
        advance((definitions[number],), values, slopes, definitions)
    return values
