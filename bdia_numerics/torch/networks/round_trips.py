"""Round trips on a network by dtype, steps, solver and guidance scale, beside what rounding alone is expected to cost them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from fractions import Fraction
from typing import Any

import torch

from bdia_numerics import grids
from bdia_numerics.analysis import round_trip_error
from bdia_numerics.formulas import table
from bdia_numerics.grids import Grid
from bdia_numerics.models import prediction_of
from bdia_numerics.program import Solver
from bdia_numerics.runs.encoding import invert, solve
from bdia_numerics.solvers import BDIA, EDICT
from bdia_numerics.torch.networks.loading import Loaded, load
from bdia_numerics.torch.networks.sampling import noise, rms
from bdia_numerics.torch.networks.steadiness import one_thread
from bdia_numerics.torch.tensors import DTYPES

SOLVERS: Mapping[str, Solver] = {
    "BDIA(gamma=1)": BDIA(),
    "BDIA(gamma=9/10)": BDIA(Fraction(9, 10)),
    "BDIA(gamma=1/2)": BDIA(Fraction(1, 2)),
    "EDICT(p=1)": EDICT(1),
    "EDICT(p=93/100)": EDICT(Fraction(93, 100)),
}


def trips(
    make: Callable[[torch.dtype, float], Any],
    solvers: Mapping[str, Solver],
    runs: Iterable[Grid],
    z: torch.Tensor,
    *,
    guidances: Sequence[float] = (1.0,),
    dtypes: Sequence[torch.dtype] = DTYPES,
    watch: Callable[[str], None] | None = None,
) -> list[dict[str, Any]]:
    """Take noise to data and back with each solver, grid, guidance scale and dtype of the states.

    Parameters
    ----------
    make
        ``make(dtype, guidance)`` is the model for states of a dtype.
    solvers
        Exactly invertible ones, by name.
    runs, guidances, dtypes
        Grids, scales and dtypes: all of their combinations are run.
    z
        z_N in the widest dtype, shape (batch, *data).
    watch
        Called before each trip with its steps and dtype.

    Returns
    -------
    list of dict
        One for each trip: "solver", "dtype", "steps" and "guidance"; "error", the root mean square of the noise that came back less the
        noise that was sent, NaN if a run was not finite; "status", "ok" or where it went wrong; and "predicted", which is
        `analysis.round_trip_error` of tensors of this dtype, with the slopes of a unit Gaussian: it knows neither the network nor the
        guidance.

    Raises
    ------
    NotInvertibleError
        (a ValueError) for a solver without derived inverse.
    """
    rows = []
    for grid in runs:
        expected: dict[str, Mapping[str, float]] = {}
        for guidance in guidances:
            for dtype in dtypes:
                model, sent, word = make(dtype, guidance), z.to(dtype), str(dtype).removeprefix("torch.")
                for name, solver in solvers.items():
                    if watch is not None:
                        watch(f"{grid.n} steps, {word}")
                    if name not in expected:
                        expected[name] = round_trip_error(solver, grid, prediction=prediction_of(model)).tensors
                    error, status = _trip(solver, model, grid, sent)
                    rows.append({
                        "solver": name, "dtype": word, "steps": grid.n, "guidance": guidance, "error": error, "status": status,
                        "predicted": expected[name][word],
                    })  # fmt: skip
    return rows


def _trip(solver: Solver, model: Any, grid: Grid, sent: torch.Tensor) -> tuple[float, str]:
    there = solve(solver, model, grid, sent)
    if not there.status.ok or there.state is None:
        return float("nan"), str(there.status)
    back = invert(solver, model, grid, there.state)
    return rms(back.z.double() - sent.double()) if back.status.ok else float("nan"), str(back.status)


def network_of(loaded: Loaded, labels: Sequence[int] | None) -> Callable[[torch.dtype, float], Any]:
    """Return `make` of `trips` for a network, which is moved from one dtype to the other in place.

    It is asked in float64 for states of float64 and in float32 for the others, so that one network is compared and its weights are never
    narrowed.
    """

    def make(dtype: torch.dtype, guidance: float) -> Any:
        kind = torch.float64 if dtype == torch.float64 else torch.float32
        return loaded.to(kind).model(labels, guidance=guidance)

    return make


def shipped_trips(
    *, slots: Sequence[int] = (10, 20, 40), labels: Sequence[int] = (3,), watch: Callable[[str], None] | None = None
) -> dict[str, Any]:
    """Return the trips of `SOLVERS` on the shipped network, guidance 1 and 3, as fields under "round_trips" beside how they were made.

    Parameters
    ----------
    slots
        Of uniform grids of the whole schedule.
    labels
        One for each state.
    watch
        As for `trips`.
    """
    network = load(dtype=torch.float64)
    runs = [grids.uniform(network.schedule, n) for n in slots]
    z = noise((len(labels), *(network.shape or ())), runs[0], 0, dtype=torch.float64)
    with one_thread():
        rows = trips(network_of(network, labels), SOLVERS, runs, z, guidances=(1.0, 3.0), watch=watch)
    return {"grid": "uniform", "labels": list(labels), "seed": 0, "round_trips": rows}


def cells(rows: Iterable[Mapping[str, Any]]) -> dict[tuple[int, str, float], dict[str, str]]:
    """Return the fields of trips as text: by steps, solver and guidance, then by dtype; in brackets what was expected, for guidance 1."""
    found: dict[tuple[int, str, float], dict[str, str]] = {}
    for row in rows:
        measured = f"{row['error']:.1e}" if row["status"] == "ok" else "not finite"
        expected = "inf" if row["predicted"] is None else f"{row['predicted']:.1e}"
        text = f"{measured} ({expected})" if row["guidance"] == 1 else measured
        found.setdefault((row["steps"], row["solver"], row["guidance"]), {})[row["dtype"]] = text
    return dict(sorted(found.items(), key=lambda item: (item[0][0], [*SOLVERS].index(item[0][1]))))


def markdown(rows: Iterable[Mapping[str, Any]]) -> str:
    """Return `cells` as a table of Markdown."""
    made = cells(rows)
    names = list(dict.fromkeys(name for texts in made.values() for name in texts))
    return table(
        ["steps", "solver", "guidance", *names],
        (
            [steps, f"`{solver}`", f"{guidance:g}", *map(texts.__getitem__, names)]
            for (steps, solver, guidance), texts in made.items()
        ),
    )
