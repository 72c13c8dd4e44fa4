"""The command `bdia roundtrip`."""

from __future__ import annotations

import math
from dataclasses import asdict
from typing import Annotated, Any

import numpy as np
import typer

from bdia_numerics import names
from bdia_numerics.cli.options import (
    AsJson,
    Distribution,
    Inversion,
    OneGrid,
    OneSolver,
    ScheduleName,
    analysis,
    runs,
    say,
)
from bdia_numerics.formulas import number
from bdia_numerics.texts import one_of

STATES = 64


def roundtrip(
    solver: OneSolver = "BDIA",
    exact: Annotated[bool, typer.Option("--exact", help="Run on the integer lattice and compare every bit.")] = False,
    grid: OneGrid = "uniform",
    schedule: ScheduleName = "vp_linear",
    distribution: Distribution = "peaks",
    inversion: Inversion = "default",
    steps: Annotated[int, typer.Option(help="Slots of the grid.")] = 50,
    dtype: Annotated[str, typer.Option(help="float32 or float64.")] = "float64",
    bits: Annotated[int, typer.Option(help="The lattice's unit is 2^-bits.")] = 40,
    seed: Annotated[int, typer.Option(help="Seed of the noise.")] = 0,
    as_json: AsJson = False,
) -> None:
    """Go from noise to data and back, on a distribution with its exact score, a mixture of two narrow Gaussians in the plane by default.

    Without --exact it prints the error of the round trip, the inversion that ran, and the distance of the data end from the exact state.
    For DDIM it prints inversion (10) and inversion (23), in which the model is told the time of the state that it is given. With --exact it
    prints the number of differing bits and the size of the remainder buffer with its bound; the exit status is 1 if a bit differs, or
    if the error of what comes back is as large as the state.
    """
    chosen = names.solver(solver)
    law, levels = names.distribution(distribution), names.schedule(schedule)
    slots = names.grid(grid or "uniform")(levels, steps, seed=seed)
    found = _run(
        chosen, law, levels, slots, one_of("--dtype", dtype, ("float32", "float64")), bits, seed, exact, inversion
    )
    say(found, _lines, as_json, "--exact" * exact)
    raise typer.Exit(int(found["status"] != "ok" or bool(found.get("differing_bits")) or bool(found.get("unsteady"))))


def _run(
    solver: Any, law: Any, schedule: Any, grid: Any, dtype: str, bits: int, seed: int, exact: bool, inversion: str
) -> dict[str, Any]:
    derived, method, model = runs.solving.DERIVED, runs.inversion.named(inversion), law.model(schedule)
    size = round(
        math.hypot(grid.alpha[grid.n], grid.sigma[grid.n]), 12
    )  # 1 of variance preserving levels, but for rounding
    z = (size * np.random.default_rng(seed).standard_normal((STATES, law.dimension))).astype(dtype)
    options = names.options_of(solver)
    head = {"solver": type(solver).__name__, "parameters": options, "steps": grid.n, "dtype": dtype, "exact": exact}
    if exact:
        if method is not None:
            raise ValueError(f"--exact runs the derived inverse: leave out --inversion={inversion}")
        outcome = asdict(runs.encoding.bit_exact_round_trip(solver, model, grid, z, bits=bits))
        done = outcome.pop("status")
        status = (
            "ok" if done["ok"] else f"{done['register']} left the range 2^60 units in the slot from i={done['slot']}"
        )
        return {**head, "inversion": derived, "elements": z.size, "bits": bits, **outcome, "status": status}
    measures = ("inversion", "error", "latent", "reference_error", "nfe")

    def both_ways(method: Any) -> dict[str, Any]:
        trip = runs.encoding.round_trip(solver, model, grid, z, method=method)
        return {**{k: getattr(trip, k) for k in measures}, "status": str(trip.status)}

    found = head | both_ways(method)
    if found["status"] != "ok" and found["inversion"] == derived:
        found["amplification"] = analysis.inverse_growth(solver, grid)
    if method is None and found["inversion"] == runs.inversion.name_of(runs.inversion.INVERSIONS["(10)"]):
        found["beside"] = both_ways(runs.inversion.INVERSIONS["(23)"])
    return found


def _lines(found: dict[str, Any]) -> list[str]:
    written = ", ".join(f"{k}={v}" for k, v in found["parameters"].items())
    lines = [f"{found['solver']}({written}), {found['steps']} steps, {found['dtype']}: {found['status']}"]
    if found["exact"] and found["differing_bits"] is None:
        return lines
    if found["exact"]:
        lines += [
            f"{found['differing_bits']} differing bits in {found['elements']} integers of unit 2^-{found['bits']}",
            f"remainder buffer {found['buffer_bits']:.2f} bits an element, bound {found['bound_bits']:.2f} (log2 1/|det| over the run)",
            f"data end at most {found['distance']:.3g} from that of the run in {found['dtype']}",
        ]
        return [*lines, found["unsteady"]] if found["unsteady"] else lines
    ways = [found, *filter(None, [found.get("beside")])]
    if found.get("amplification"):
        lines.append(
            f"predicted: the inverse amplifies a disturbance {number(found['amplification'])} times towards the noise"
        )
    return [
        *lines,
        *(
            f"returns to {way['error']:.3g} (root mean square), inversion: {way['inversion'] or 'none ran'}"
            for way in ways
        ),
        f"data end {found['latent']:.3g} from the true ODE state, which is known to {found['reference_error']:.1g}",
    ]
