"""The four runs, solve, invert, encode and round_trip, and a bit-exact round trip with whether the model let it be one."""

from __future__ import annotations

import math
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from bdia_numerics.grids import Grid
from bdia_numerics.models import as_eps, prediction_of, witnessed
from bdia_numerics.problems.problem import known_flow
from bdia_numerics.problems.reference import reference_flow
from bdia_numerics.program import NotInvertibleError, Solver, condition_of, identity, parameters, structure
from bdia_numerics.runs.inversion import Method, as_method, default_for, name_of
from bdia_numerics.runs.solving import (
    DERIVED,
    Solution,
    check_arguments,
    encoding,
    has_inverse,
    inverse_plan,
    invert,
    prepared,
    solve,
)
from bdia_numerics.runs.state import State
from bdia_numerics.runs.stepwise import Model, Status, come_back, drive
from bdia_numerics.spaces import (
    Shown,
    Space,
    as_floats,
    given,
    is_broken,
    lattice,
    on_lattice,
    ordered,
    plain,
    require_finite,
    share,
    tree,
)
from bdia_numerics.texts import one_of, shown

__all__ = ["RoundTrip", "Solution", "Status", "encode", "invert", "round_trip", "solve"]


@ordered
def encode(
    solver: Solver,
    model: Model,
    grid: Grid,
    x_0: Any,
    method: Method | str | None = None,
    *,
    return_trajectory: bool = False,
) -> Solution:
    """Take data to noise.

    An exactly invertible solver makes its further states at the data end by DDIM steps on the reversed grid, then runs
    its derived inverse; `solve` from the resulting State returns x_0 exactly, but for rounding. Any other solver needs
    an approximate inversion, by default itself on the reversed grid, and eq. (10) for DDIM. The Solution names what ran.

    Parameters
    ----------
    solver, model, grid
        As for `solve`.
    x_0
        State at t_0, of shape (*batch, *data).
    method
        An inversion of `bdia_numerics.runs.inversion`, or its name, "ddim" or "reversed". By default the derived inverse; where there is
        none, `Reversed()`, the solver itself on the reversed grid, or `DDIMInversion()`, eq. (10), for DDIM.
    return_trajectory
        Whether to keep all N+1 states, indexed as in the paper.

    Returns
    -------
    Solution
        Its `.z` is the latent z_N, its `.inversion` the name of the inversion that ran.

    Raises
    ------
    NotInvertibleError
        (a ValueError) if the solver has an exact inverse, but not with these parameters or ends of the grid, and no `method` is
        given.
    ValueError, TypeError
        As for `solve`; ValueError where the inversion has no step from the data end, as for solvers that divide by sigma_0 = 0.

    Examples
    --------
    >>> from bdia_numerics import BDIA, encode, grids, problems, schedules, solve
    >>> grid = grids.uniform(schedules.vp_linear(), 20, t_min=0.1)
    >>> model = problems.Gaussian([0.0], 0.25).model(grid.schedule)
    >>> latent = encode(BDIA(), model, grid, [[0.3]])
    >>> latent.z.round(3), solve(BDIA(), model, grid, latent.state).z.round(12)
    (array([[0.524]]), array([[0.3]]))
    """
    check_arguments(solver, model, grid)
    if isinstance(x_0, State):
        raise TypeError(
            "x_0 is a State, which holds all registers: pass it to invert, or the data alone, the .z of a Solution"
        )
    method = as_method(method)
    x_0 = given("x_0", x_0)
    space, grid = prepared("x_0", x_0, grid)
    require_finite("x_0", x_0, space)
    if method is None:
        if has_inverse(solver, grid, prediction_of(model), space):
            course = encoding(solver, grid, prediction_of(model), space)
            return replace(drive(course, model, {"z": x_0}, space, return_trajectory), inversion=DERIVED)
        if parameters(solver) and condition_of(solver) is not None:
            inverse_plan(solver, grid, prediction_of(model), space)  # refuses these parameters, with the condition
    method = default_for(solver) if method is None else method
    found = method(solver, model, grid, x_0)
    shape = structure(solver)
    state = None
    if len(shape.registers) == 1 and found.status.ok is not False:
        times = {shape.output: grid.offset + grid.n}
        state = State(
            identity(solver, grid), grid.root, {shape.output: found.z}, times, prediction=prediction_of(model)
        )
    trajectory = (
        found.trajectory[np.arange(grid.n, -1, -1)] if return_trajectory and found.trajectory is not None else None
    )
    return replace(found, state=state, trajectory=trajectory, inversion=found.inversion or name_of(method))


def back_to_noise(solver: Solver, model: Model, grid: Grid, there: Solution, method: Method | None = None) -> Solution:
    """Return a run's way back: by the exact inverse, or by the inversion that is named, or of a solver without inverse that of `encode`."""
    if method is None and there.state is not None and structure(solver).keeps_noise:
        with suppress(NotInvertibleError):
            return invert(solver, model, grid, there.state)
    return encode(solver, model, grid, there.z, method)


def back_to_data(solver: Solver, model: Model, grid: Grid, there: Solution) -> Solution:
    """Return the run back from all that a run to noise left; where that failed, there is none, and it is returned itself."""
    return solve(solver, model, grid, there.z if there.state is None else there.state) if there.status.ok else there


@dataclass(frozen=True, repr=False)
class RoundTrip(Shown):
    """Both sides of a round trip.

    Attributes
    ----------
    error : float
        Root mean square, over all elements, of what came back less what was sent.
    latent : float
        Root mean square of the state at the far end less the true ODE state there. A round trip can be perfect with a
        wrong start, so it says nothing without this.
    reference_error : float
        Estimated error of the true state. For reference="fine" it is a root mean square; for a problem, the largest error of
        an element that its certificate states, 0 if only rounding is left (closed form, CDF transport) and NaN for a flow
        without a certificate. A state that was given is the truth by definition: 0.
    nfe : int
        Model evaluations of the way there and back.
    far, returned : array
        The state at the far end, and what came back; shape (*batch, *data). If the way there went wrong there is no way
        back: `returned` is None and the errors are NaN.
    status : Status
        Of the first run that went wrong, if any; else whether what came back is of any use: not if its error is as large as what was sent.
    inversion : str
        What ran from data to noise, such as "derived inverse" or "DDIM inversion (10)"; empty if the way there went wrong first.
    unsteady : str
        On a lattice: where the model gave two outputs for one input, so that bits are lost; empty if it did not. Floats do
        not evaluate a model twice at the same input, so there this says nothing.

    Examples
    --------
    >>> from bdia_numerics import BDIA, grids, problems, round_trip, schedules
    >>> grid = grids.uniform(schedules.vp_linear(), 20, t_min=0.1)
    >>> trip = round_trip(BDIA(), problems.Gaussian([0.0], 0.25).model(grid.schedule), grid, [[1.0]])
    >>> trip.nfe, trip.inversion, str(trip.status)
    (39, 'derived inverse', 'ok')
    """

    error: Any
    latent: Any
    reference_error: Any
    nfe: int
    far: Any
    returned: Any
    status: Status
    inversion: str = ""
    unsteady: str = ""

    def __str__(self) -> str:
        way = f", inversion: {self.inversion}" if self.inversion else ""
        return (
            f"{self.status}: returns to {float(self.error):.3g} (root mean square){way}; the far end is {float(self.latent):.3g} from the "
            f"true state, which is known to {float(self.reference_error):.1g}; {self.nfe} model evaluations"
        )


share(RoundTrip)
tree(RoundTrip, "error", "latent", "reference_error", "far", "returned", "status")


@ordered
def round_trip(
    solver: Solver,
    model: Model,
    grid: Grid,
    z: Any,
    end: str = "noise",
    reference: Any = "fine",
    *,
    method: Method | str | None = None,
) -> RoundTrip:
    """Go to the other end and back, and measure both how well it returns and how far the other end is from the truth.

    Parameters
    ----------
    solver, model, grid
        As for `solve`.
    z
        z_N if `end` is "noise", x_0 if it is "data"; shape (*batch, *data).
    end : {"noise", "data"}
        Where it begins and ends. "noise": solve, then invert. "data": encode, then solve from its State.
    reference
        Where the true state comes from: a problem with a `flow`, a state of z's shape, or "fine" for a numerical
        solution of the model's own ODE with an error estimate.
    method
        Passed to `encode`; used in both directions where the solver has no exact inverse.

    Returns
    -------
    RoundTrip
        The loss of the way there and back, and the distance of the far end from the true state.

    Raises
    ------
    ValueError
        For another `end`, or "fine" on a grid without a schedule.

    Examples
    --------
    >>> from bdia_numerics import BDIA, DDIM, grids, problems, round_trip, schedules
    >>> grid = grids.uniform(schedules.vp_linear(), 20, t_min=0.1)
    >>> law = problems.Gaussian([0.0], 0.25)
    >>> model = law.model(grid.schedule)
    >>> trips = [round_trip(solver, model, grid, [[1.0]], reference=law) for solver in (BDIA(), DDIM())]
    >>> [trip.error < 1e-14 for trip in trips], [f"{trip.latent:.1e}" for trip in trips]
    ([True, False], ['4.0e-03', '2.8e-02'])
    """
    one_of("end", end, ("noise", "data"))
    check_arguments(solver, model, grid)
    method = as_method(method)
    z = given("z", z)
    space, grid = prepared("z", z, grid)
    witness, unwatched = witnessed(model), model
    model = witness if space.integers else model
    there = encode(solver, model, grid, z, method) if end == "data" else solve(solver, model, grid, z)
    if there.status.ok is False:
        return RoundTrip(math.nan, math.nan, math.nan, there.nfe, there.z, None, there.status, there.inversion)
    if end == "data":
        back = solve(solver, model, grid, there.z if there.state is None else there.state)
    else:
        back = back_to_noise(solver, model, grid, there, method)
    truth, uncertainty = _truth(unwatched, grid, z, end, reference, space)
    error, way = space.rms(back.z - z), there.inversion or back.inversion
    return RoundTrip(
        error=error,
        latent=space.rms(there.z - truth),
        reference_error=uncertainty,
        nfe=there.nfe + back.nfe,
        far=there.z,
        returned=back.z,
        status=come_back(back.status, error, space.rms(as_floats(z)), exact=way == DERIVED),
        inversion=way,
        unsteady=witness.unsteady,
    )


def _truth(model: Model, grid: Grid, z: Any, end: str, reference: Any, space: Space) -> tuple[Any, Any]:
    z = as_floats(z)
    ends = (grid.t[grid.n], grid.t[0]) if end == "noise" else (grid.t[0], grid.t[grid.n])
    if isinstance(reference, str) and reference != "fine":
        raise ValueError(f"reference={shown(reference)} is unknown: pass 'fine', a problem with a flow, or a state")
    if (hasattr(reference, "flow") or isinstance(reference, str)) and grid.schedule is None:
        raise ValueError(
            f"reference={shown(reference)} needs the schedule, and this grid was made from values: pass the true state"
        )
    if hasattr(reference, "flow"):
        moved, uncertainty = known_flow(reference, space.host(z), *ends, grid.schedule)
        return space.placed(moved), uncertainty
    if isinstance(reference, str):
        schedule: Any = grid.schedule
        eps = space.on_arrays(as_eps(model, schedule))
        fine = reference_flow(eps, schedule, space.host(z), *ends, rtol=space.reference_rtol)
        return space.placed(fine.z), fine.rms
    if np.shape(plain("reference", reference)) != np.shape(z):
        raise ValueError(
            f"reference={shown(reference)} has shape {np.shape(reference)}, z has {np.shape(z)}: pass the true state at the far end, "
            "a problem with a flow, or 'fine'"
        )
    try:
        broken = is_broken(reference, space)
    except TypeError:
        broken = True
    if broken:
        raise ValueError("reference holds NaN, infinite or no numbers: pass the finite true state at the far end")
    return reference, 0.0


@dataclass(frozen=True)
class BitExact:
    """Outcome of solve and invert on the lattice.

    Attributes
    ----------
    differing_bits : int or None
        Bits of the returned integers that are not those sent, over all elements; 0 unless the model is not deterministic. None
        where a run left the range, so that there is nothing to compare.
    unit : float
        Unit of the lattice in z.
    buffer_bits, bound_bits : float
        Size of the remainder buffer at the data end in bits an element, and log2(1/|det|) summed over the run's steps; NaN, like
        `distance`, if that run left the range.
    distance : float
        Largest difference of the data end from that of the run in floats of the model's dtype.
    unsteady : str
        Where the model gave two outputs for one input; empty if it did not.
    status : Status
        Of the first run that left the range, if any.
    nfe : int
        Model evaluations on the lattice, there and back.
    """

    differing_bits: int | None
    unit: float
    buffer_bits: float
    bound_bits: float
    distance: float
    unsteady: str
    status: Status
    nfe: int


@ordered
def bit_exact_round_trip(
    solver: Solver, model: Model, grid: Grid, z: Any, *, bits: int = 40, start: Mapping[str, Any] | None = None
) -> BitExact:
    """Take z_N to the data end and back on the lattice, and compare every bit.

    Parameters
    ----------
    solver, model, grid
        As for `solve`.
    z
        A Lattice, or floats, which are rounded to one with unit 2^-bits.
    start
        A value for every register, in place of the start from z, rounded like z; then the bits of all are compared.

    Raises
    ------
    ValueError
        For states that do not fit the lattice, a solver that loses bits (NotOnLatticeError), or one without an exact inverse
        (NotInvertibleError).
    """
    sent = on_lattice(z, bits)
    first = None if start is None else {name: on_lattice(value, bits) for name, value in start.items()}
    witness = witnessed(model)
    there = solve(solver, witness, grid, sent, first)
    if not there.status.ok or there.state is None:
        return BitExact(None, sent.factor, np.nan, np.nan, np.nan, witness.unsteady, there.status, there.nfe)
    back = invert(solver, witness, grid, there.state)
    if first is None and (lost := structure(solver).noise_lost):
        raise NotInvertibleError(lost, kind="lost", slot=grid.n, operation=None, missing=None)
    pairs = [(back.z, sent)] if first is None else [(back.state.registers[r], first[r]) for r in first]  # type: ignore[union-attr]
    differing = sum(returned.differing_bits(given) for returned, given in pairs) if back.status.ok else None
    plain = solve(solver, model, grid, sent.to_float(), first and {name: x.to_float() for name, x in first.items()})
    size, bound = lattice.bits_per_element(there.state.remainder)
    return BitExact(
        differing_bits=differing,
        unit=sent.factor,
        buffer_bits=size,
        bound_bits=bound,
        distance=float(np.max(np.abs(there.z - plain.z), initial=0.0)),
        unsteady=witness.unsteady,
        status=back.status,
        nfe=there.nfe + back.nfe,
    )
