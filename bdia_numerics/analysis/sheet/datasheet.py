"""The datasheet, what is known of a solver on one page, and its measured part: a few seconds of runs beside an exact flow."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from fractions import Fraction
from typing import Any, TypeVar

import numpy as np

from bdia_numerics import models, names, schedules
from bdia_numerics.analysis.measurement.errors import ErrorRatio, error_over_ddim
from bdia_numerics.analysis.measurement.observed import GridFamily, ObservedOrder, observed_order
from bdia_numerics.analysis.measurement.work_precision import WorkPrecision, work_precision
from bdia_numerics.analysis.perturbation.amplification import amplification, gaussian_jacobian
from bdia_numerics.analysis.perturbation.growth import LIMIT, inverse_growths, listed
from bdia_numerics.analysis.perturbation.precision import required_dtype, round_trip_error
from bdia_numerics.analysis.sheet.proved import (
    Compared,
    Proved,
    Rows,
    attempted,
    compared_claims,
    compared_order,
    compared_ratio,
    orders,
    prove,
    summary,
)
from bdia_numerics.analysis.stability.characteristic import StabilityRegion, stability_region
from bdia_numerics.grids import Grid, uniform
from bdia_numerics.program import (
    Invertibility,
    Solver,
    Structure,
    identity,
    inverse_run,
    invertibility,
    make_plan,
    record_run,
    record_steps,
    structure,
    symbolised,
)
from bdia_numerics.runs.encoding import BitExact, bit_exact_round_trip, round_trip, solve
from bdia_numerics.runs.solving import DERIVED, starter_of
from bdia_numerics.solvers import DDIM
from bdia_numerics.spaces import FLOAT64, Shown

T = TypeVar("T")
Progress = Callable[[str], None]

SCHEDULE = schedules.vp_linear()
STEPS, BUDGETS, STATES, SEED = 50, (10, 20, 40, 80), 64, 0
KINDS = ("smooth", "alternating", "random", "own start")
ORDER_OPTIONS: Mapping[str, Mapping[str, Any]] = {"random": {"steps": (16, 32, 64, 128), "seeds": 6}}
ABOVE = Fraction(1, 100)
"""Where runs end of a solver that needs sigma > 0."""
WANTED = 1e-3
"""The error of a round trip for which a dtype is named."""


@dataclass(frozen=True)
class FloatTrip:
    """A round trip over `STEPS` slots, from noise.

    Attributes
    ----------
    inversion : str
        What ran on the way back.
    predicted, returned : mapping of str to float
        Root-mean-square error by dtype: expected for Gaussian data, where the way back is the derived inverse, and measured.
    amplified : mapping of str to float
        Growth of perturbations, "sample" and "invert", for Gaussian data.
    needed : str
        The dtype for an error of `WANTED`; empty without an exact inverse, which no dtype makes up for.
    """

    inversion: str
    predicted: Mapping[str, float]
    returned: Mapping[str, float]
    amplified: Mapping[str, float]
    needed: str


@dataclass(frozen=True, eq=False, repr=False)
class Measured(Shown):
    """What runs of a solver show; what could not be measured is named in `refused`, with the reason, and None.

    Attributes
    ----------
    orders : mapping of str to ObservedOrder
        By kind of grid, from exact first states, and "own start" for multistep solvers.
    ratio : ErrorRatio or None
        The error over DDIM's.
    regions : mapping of str to StabilityRegion
        "sample" and, where there is an inverse, "invert".
    work : WorkPrecision or None
        Beside DDIM, on grids uniform in t.
    trip, bit_exact
        The round trip in floats, and on the lattice.
    memory : mapping of str to int
        Arrays of the state's size: "registers" between steps, and the most that stand at once, "peak" in sampling and "peak_inverse" in
        inverting, None without an inverse.
    nfe_counted : mapping of str to int
        Evaluations that the model saw: "run" of `STEPS` slots, "step" one slot more.
    compared : tuple of Compared
        Proved and measured, side by side.
    end : str
        Where the runs of `STEPS` slots end, if that is not clean data, since the solver takes no such end.
    refused : mapping of str to str
    """

    orders: Mapping[str, ObservedOrder]
    ratio: ErrorRatio | None
    regions: Mapping[str, StabilityRegion]
    work: WorkPrecision | None
    trip: FloatTrip | None
    bit_exact: BitExact | None
    memory: Mapping[str, int | None] | None
    nfe_counted: Mapping[str, int] | None
    compared: tuple[Compared, ...]
    refused: Mapping[str, str]
    end: str = ""

    @property
    def differences(self) -> tuple[Compared, ...]:
        """Where proved and measured differ."""
        return tuple(row for row in self.compared if row.agrees is False)

    def rows(self) -> Rows:
        """Yield what was measured and nothing is proved of, as (label, text)."""
        end = f"; {self.end}" if self.end else ""
        if self.nfe_counted:
            yield (
                "NFE, counted",
                f"{self.nfe_counted['step']} per step, {self.nfe_counted['run']} in {STEPS} steps{end}",
            )
        if self.memory:
            held = self.memory
            back = f", {held['peak_inverse']} inverting" if held["peak_inverse"] else ""
            yield "memory", f"registers {held['registers']}, at most {held['peak']} arrays sampling{back}{end}"
        if self.work:
            yield from (("error, uniform in t", line) for line in _beside_ddim(self.work))
        if self.trip:
            yield (
                "growth of errors",
                ", ".join(f"{x:.3g} ({d})" for d, x in self.trip.amplified.items())
                + f", {STEPS} steps uniform in t{end}",
            )
            yield "inversion", self.trip.inversion
            for name in self.trip.predicted or self.trip.returned:
                parts = {"predicted": self.trip.predicted, "measured": self.trip.returned}
                yield (
                    f"round trip, {name}",
                    ", ".join(f"{word} {errors[name]:.1e}" for word, errors in parts.items() if name in errors) + end,
                )
            if self.trip.needed:
                yield f"to return within {WANTED:g}", self.trip.needed
        if self.bit_exact:
            b = self.bit_exact
            lattice = f"{b.differing_bits} bits differ; remainder {b.buffer_bits:.2f} bits an element"
            yield "bit-exact", (lattice if b.status.ok else str(b.status)) + end
        yield from ((f"no {name}", reason) for name, reason in self.refused.items())

    def as_dict(self) -> dict[str, Any]:
        """Return it as text, numbers, lists and dicts."""
        regions = {
            name: {"real": r.real.tolist(), "imaginary": r.imaginary.tolist(), "radius": r.radius.round(4).tolist()}
            for name, r in self.regions.items()
        }
        plain = {
            name: None if (x := getattr(self, name)) is None else asdict(x)
            for name in ("ratio", "work", "trip", "bit_exact")
        }
        return {
            "orders": {kind: asdict(order) for kind, order in self.orders.items()},
            **plain,
            "stability_region": regions,
            "memory": self.memory,
            "nfe_counted": self.nfe_counted,
            "compared": [asdict(row) for row in self.compared],
            "end": self.end,
            "refused": dict(self.refused),
        }


def _beside_ddim(work: WorkPrecision) -> Iterator[str]:
    other = {row.nfe: row.error for row in work.select(solver="DDIM")}
    for row in work.select(solver="solver"):
        beside = f", DDIM {other[row.nfe]:.2e}" if row.nfe in other else ""
        yield f"NFE {row.nfe}: {row.error:.2e}{beside}"


def law() -> Any:
    """Return the distribution on the line that datasheets measure on: two peaks, exact flow by transport of its distribution."""
    return names.distribution("mixture")


def measure(
    solver: Solver, proved: Proved, documented: Mapping[str, str], *, progress: Progress | None = None
) -> Measured:
    """Run a solver, and hold what shows against what is proved of it and what its docstring says.

    Parameters
    ----------
    solver, proved, documented
        The solver, what follows from its program, and the fields of its docstring.
    progress
        Called with the name of each part before it is measured.
    """
    refused: dict[str, str] = {}

    def attempt(name: str, make: Callable[[], T]) -> T | None:
        if progress is not None:
            progress(name)
        return attempted(name, make, refused)

    kinds = KINDS if structure(solver).depth else KINDS[:-1]
    seen = {kind: attempt(f"order, {kind}", lambda k=kind: _order(solver, k)) for kind in kinds}  # type: ignore[misc]
    orders = {kind: order for kind, order in seen.items() if order is not None}
    ratio = attempt("error over DDIM's", lambda: error_over_ddim(solver, law(), GridFamily()))
    t_min, end = last_time(solver)
    nfe = attempt("NFE", lambda: counted_evaluations(solver, t_min))
    both = {d: attempt(f"region, {d}", lambda d=d: stability_region(solver, direction=d)) for d in ("sample", "invert")}  # type: ignore[misc]
    compared = [compared_order(proved, order, kind) for kind, order in orders.items()]
    compared += [compared_ratio(proved, ratio)] if ratio is not None else []
    if nfe is not None:
        per_step = structure(solver).nfe
        compared.append(Compared("NFE per step", str(per_step), str(nfe["step"]), nfe["step"] == per_step))
        compared += compared_claims(documented, orders["smooth"], nfe["step"]) if "smooth" in orders else []
    grid, model = uniform(SCHEDULE, STEPS, t_min=t_min), law().model(SCHEDULE)
    return Measured(
        orders=orders,
        ratio=ratio,
        regions={name: region for name, region in both.items() if region is not None},
        work=attempt("work-precision", lambda: _work(solver)),
        trip=attempt("round trip", lambda: float_trip(solver, grid)),
        bit_exact=attempt("bit-exact run", lambda: bit_exact_round_trip(solver, model, grid, _noise(grid))),
        memory=attempt("memory", lambda: registers_and_arrays(solver, grid)),
        nfe_counted=nfe,
        compared=tuple(compared),
        refused=refused,
        end=end,
    )


PARTS = len(KINDS) + 8
"""How often `measure` calls its progress, at most."""


def _order(solver: Solver, kind: str) -> ObservedOrder:
    own = kind == "own start"
    options: dict[str, Any] = {"states": 16, "max_steps": 256, **ORDER_OPTIONS.get(kind, {})}
    family = GridFamily("smooth" if own else kind)
    return observed_order(solver, law(), family, start="own" if own else "exact", **options)


def _noise(grid: Grid) -> Any:
    return np.random.default_rng(SEED).standard_normal((STATES, 1)) * float(grid.sigma[grid.n])


def last_time(solver: Solver) -> tuple[Fraction | None, str]:
    """Return the last time of the runs, and in words where that is, unless they end at clean data: there log-SNR has no middle."""
    for t_min in (None, ABOVE):
        grid = uniform(SCHEDULE, STEPS, t_min=t_min)
        if attempted("run", lambda grid=grid: record_run(solver, starter_of(solver), grid), {}):  # type: ignore[misc]
            end = "" if t_min is None else f"on a grid that ends at sigma = {float(grid.sigma[0]):.2g}, not at 0"
            return t_min, end
    return None, ""


def counted_evaluations(solver: Solver, t_min: Fraction | None) -> dict[str, int]:
    """Return the evaluations that runs count: of a step, and of `STEPS` steps."""
    counts = []
    for n in (STEPS, STEPS + 1):
        grid = uniform(SCHEDULE, n, t_min=t_min)
        model = models.counted(law().model(SCHEDULE))
        solve(solver, model, grid, _noise(grid)[:1])
        counts.append(model.nfe)
    return {"run": counts[0], "step": counts[1] - counts[0]}


def _work(solver: Solver) -> WorkPrecision:
    family = GridFamily("smooth", variable="t", t_max=1, t_min=ABOVE)
    named = {"DDIM": DDIM(), "solver": solver}
    return work_precision(named, {"mixture": law()}, {"uniform in t": family}, BUDGETS, states=STATES, repeats=3)


def float_trip(solver: Solver, grid: Grid) -> FloatTrip:
    """Return what round trips in float32 and float64 lose, measured and predicted."""
    J, model, z = gaussian_jacobian(1.0), law().model(SCHEDULE), _noise(grid)
    trips = {d: round_trip(solver, model, grid, z.astype(d), reference=law()) for d in ("float32", "float64")}
    returned, ran = {d: float(trip.error) for d, trip in trips.items()}, trips["float64"].inversion
    exact = ran == DERIVED
    growth = {d: amplification(solver, grid, d, J=J).total for d in ("sample", "invert")[: 1 + exact]}
    predicted = dict(round_trip_error(solver, grid).errors) if exact else {}
    # The sheet has the solver in its head.
    needed = str(required_dtype(solver, grid, WANTED)).removeprefix(f"{solver} ") if exact else ""
    return FloatTrip(ran, predicted, returned, growth, needed)


def registers_and_arrays(solver: Solver, grid: Grid) -> dict[str, int | None]:
    """Return how many registers a run keeps, and how many arrays it holds at most, sampling and inverting."""
    peak = make_plan(record_run(solver, starter_of(solver), grid), FLOAT64).peak
    try:
        back: int | None = make_plan(inverse_run(record_steps(solver, grid))[0], FLOAT64).peak
    except ValueError:  # no inverse
        back = None
    return {"registers": len(structure(solver).registers), "peak": peak, "peak_inverse": back}


HOLDS = {
    "state": "state", "eps": "evaluation", "x0": "data prediction", "velocity": "velocity", "other": "neither state nor prediction",
}  # fmt: skip
GROWTH_STEPS = (10, 50)


@dataclass(frozen=True, repr=False)
class Datasheet(Shown):
    """What is known of a solver.

    Attributes
    ----------
    name, solver
        Its class, and with its parameters.
    structure
        Registers, model evaluations and passes over memory per step, read off the program.
    invertibility
        Whether the exact inverse exists, and under which condition.
    documented
        What its docstring says: "Order", "NFE", "Requires", "Source", ..., where it does.
    general
        What is proved with symbols for its parameters; None if it has none that can be symbols.
    given
        What is proved for its own parameters.
    measured
        What its runs show, and where that differs; None if it was not asked for.
    inverse_growth
        By number of steps and name of a grid in use (`analysis.PRACTICAL`): how many times the inverse enlarges errors there; empty
        without an inverse.

    Examples
    --------
    >>> from bdia_numerics import DDIM, datasheet
    >>> sheet = datasheet(DDIM(), measured=False)
    >>> sheet.structure.nfe, sheet.documented["Source"]
    (1, 'paper, eq. (6)-(8); Song, Meng, Ermon, ICLR 2021')
    """

    name: str
    solver: str
    structure: Structure
    invertibility: Invertibility | None
    documented: Mapping[str, str]
    general: Proved | None
    given: Proved
    measured: Measured | None = None
    inverse_growth: Mapping[int, Mapping[str, float]] = field(default_factory=dict)

    def __str__(self) -> str:
        exact = "not decided" if self.invertibility is None else str(self.invertibility)
        order = "order unknown" if self.given.order is None else f"order {orders(self.given.order)}"
        compared = f"; {summary(self.measured.compared)}" if self.measured else ""
        return f"Datasheet of {self.solver}: {order}; exactly invertible: {exact}{compared}"

    def sections(self) -> Iterator[tuple[str, Rows]]:
        """Yield the page: titles, each with rows of (label, text)."""
        yield self.solver, self._program()
        if self.general is not None:
            yield "Proved for all parameters", self.general.rows()
        values = ", ".join(f"{k} = {v}" for k, v in self.given.parameters.items())
        yield f"Proved for {values}" if values else "Proved", self.given.rows()
        if self.inverse_growth:
            yield "The inverse on grids in use", self._growth()
        if self.measured is not None:
            rows = self.measured.compared
            yield f"Proved and measured: {summary(rows)}", ((row.quantity, str(row)) for row in rows)
            yield "Measured", self.measured.rows()

    def as_dict(self) -> dict[str, Any]:
        """Return the page as text, numbers, lists and dicts."""
        shape, inverse = self.structure, self.invertibility
        return {
            "name": self.name,
            "solver": self.solver,
            "registers": list(shape.registers),
            "nfe": shape.nfe,
            "passes": shape.combinations,
            "invertible": None if inverse is None else inverse.invertible,
            "condition": "" if inverse is None or not inverse.invertible else str(inverse),
            "reason": "" if inverse is None else inverse.reason,
            "documented": dict(self.documented),
            "general": None if self.general is None else self.general.as_dict(),
            "given": self.given.as_dict(),
            "inverse_growth": {steps: dict(found) for steps, found in self.inverse_growth.items()},
            "measured": None if self.measured is None else self.measured.as_dict(),
        }

    def _growth(self) -> Rows:
        for steps, found in self.inverse_growth.items():
            yield f"errors grow, {steps} steps", listed(found)
        if any(value > LIMIT for found in self.inverse_growth.values() for value in found.values()):
            yield (
                "beware",
                f"latents are far from the ODE's where errors grow more than {LIMIT:g} times: see `bdia lint`",
            )

    def _program(self) -> Rows:
        shape = self.structure
        yield (
            "registers",
            ", ".join(
                f"{name} ({HOLDS[shape.kind(name)]}, {lag} {'slot' if lag == 1 else 'slots'} behind)" if lag else name
                for name, lag in zip(shape.registers, shape.lags, strict=True)
            ),
        )
        yield "NFE per step", str(shape.nfe)
        yield "passes per step", str(shape.combinations)
        if self.invertibility is not None:
            yield "exactly invertible", str(self.invertibility)
        yield from ((f"docs: {key}", text) for key, text in self.documented.items())


def datasheet(solver: Solver, *, measured: bool = True, progress: Progress | None = None) -> Datasheet:
    """Return the datasheet of a solver: what follows from its program, what its runs show, and where the two differ.

    Parameters
    ----------
    solver
        Any object with `registers` and `step`.
    measured
        Whether to run it, on a distribution with an exact flow; that takes a few seconds.
    progress
        Called with the name of each part that is measured, before it is.

    Returns
    -------
    Datasheet
        What a part has no result for is named in `refused`, with the reason.

    Raises
    ------
    TypeError, ValueError
        If the object is not a solver, as `program.structure` says.

    Examples
    --------
    >>> from bdia_numerics import BDIA, datasheet
    >>> sheet = datasheet(BDIA(gamma=1), measured=False)
    >>> sheet.given.order.order_smooth, sheet.given.order.order_rough, str(sheet.invertibility)
    (2, 1, 'gamma != 0')
    """
    shape, general = structure(solver), symbolised(solver)
    # A step that takes numbers only is not decided with symbols.
    verdict = attempted("invertibility", lambda: invertibility(solver), {})
    fields = {key: text for key in FIELDS if (text := documented(type(solver), key))}
    proved = prove(solver, names.options_of(solver))
    return Datasheet(
        name=type(solver).__name__,
        solver=identity(solver),
        structure=shape,
        invertibility=verdict,
        documented=fields,
        general=None if general is solver else prove(general, {}),
        given=proved,
        inverse_growth={n: found for n in GROWTH_STEPS if (found := inverse_growths(solver, n))},
        measured=measure(solver, proved, fields, progress=progress) if measured else None,
    )


FIELDS = ("Order", "NFE", "Requires", "Source", "Same as")


def documented(make: Any, field: str) -> str:
    """Return a field of a solver's docstring, with its continued lines."""
    text = inspect.getdoc(make) or ""
    match = re.search(rf"^{field} {{2,}}(.*(?:\n {{6,}}.*)*)", text, flags=re.MULTILINE)
    return " ".join(match[1].split()) if match else ""
