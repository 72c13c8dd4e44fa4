"""The command `bdia roundtrip`."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any

import typer

from bdia_numerics.cli.options import AsJson, Inversion
from bdia_numerics.cli.show import as_text, usage

SHAPE = (64, 2)
"""States, and the dimension of the law that the round trip runs on."""


def roundtrip(
    solver: Annotated[
        str,
        typer.Option(help="A solver of `bdia list`, or module:object, such as bdia:gamma=9/10."),
    ] = "BDIA",
    exact: Annotated[bool, typer.Option("--exact", help="Run on the integer lattice and compare every bit.")] = False,
    gamma: Annotated[str | None, typer.Option(help="gamma, such as 9/10.")] = None,
    gamma1: Annotated[str | None, typer.Option(help="gamma1, such as 19/20.")] = None,
    gamma2: Annotated[str | None, typer.Option(help="gamma2, such as 1/20.")] = None,
    p: Annotated[str | None, typer.Option(help="p, such as 93/100.")] = None,
    inversion: Inversion = "default",
    steps: Annotated[int, typer.Option(help="Slots of the grid.")] = 50,
    dtype: Annotated[str, typer.Option(help="float32 or float64.")] = "float64",
    bits: Annotated[int, typer.Option(help="The lattice's unit is 2^-bits.")] = 40,
    seed: Annotated[int, typer.Option(help="Seed of the noise.")] = 0,
    as_json: AsJson = False,
) -> None:
    """Go from noise to data and back, on a Gaussian mixture with its exact score.

    Without --exact: how well floats return, by which inversion, and how far the data end is from the true ODE state; beside DDIM
    inversion (10) stands (23), which tells the model the time of its state. With --exact: the number of
    differing bits and the size of the remainder buffer against its bound; the exit status is 1 if a bit differs.
    """
    given = {"gamma": gamma, "gamma1": gamma1, "gamma2": gamma2, "p": p}
    try:
        values = {k: v for k, v in given.items() if v is not None}
        found = _run(solver, values, steps, dtype, bits, seed, exact, inversion)
    except (ValueError, TypeError, ArithmeticError) as error:
        # The command's grid goes to clean data, and its remedy is an option.
        usage(
            str(error).replace(
                "end the grid above it (t_min > 0), or encode by another method, such as inversion.DDIMInversion()",
                "pass --inversion '(10)'",
            )
        )
    if as_json:
        typer.echo(as_text(found))
    else:
        for line in _lines(found):
            typer.echo(line)
    raise typer.Exit(int(found["status"] != "ok" or bool(found.get("differing_bits")) or bool(found.get("unsteady"))))


def _run(
    name: str, values: dict[str, str], steps: int, dtype: str, bits: int, seed: int, exact: bool, inversion: str
) -> dict[str, Any]:
    import numpy as np

    from bdia_numerics import grids, problems, schedules, spec
    from bdia_numerics.program import parameters
    from bdia_numerics.runs.bit_exact import bit_exact_round_trip
    from bdia_numerics.runs.encoding import round_trip
    from bdia_numerics.runs.inversion import INVERSIONS, name_of, named
    from bdia_numerics.runs.solving import DERIVED

    solver, method = spec.solver(name, **values), named(inversion)
    if dtype not in ("float32", "float64"):
        raise ValueError(f"--dtype={dtype}: pass float32 or float64")
    schedule = schedules.vp_linear()
    grid = grids.uniform(schedule, steps)
    law = problems.GaussianMixture([0.4, 0.6], [[-1.0, 0.0], [1.0, 0.5]], [0.05, 0.1])
    z = np.random.default_rng(seed).standard_normal(SHAPE).astype(dtype)
    model = law.model(schedule)
    shown = {k: str(v) for k, v in parameters(solver).items()}
    head = {"solver": type(solver).__name__, "parameters": shown, "steps": steps, "dtype": dtype, "exact": exact}
    if exact:
        if method is not None:
            raise ValueError(f"--exact runs the derived inverse: leave out --inversion={inversion}")
        outcome = asdict(bit_exact_round_trip(solver, model, grid, z, bits=bits))
        done = outcome.pop("status")
        status = (
            "ok" if done["ok"] else f"{done['register']} left the range 2^60 units in the slot from i={done['slot']}"
        )
        return {**head, "inversion": DERIVED, "elements": z.size, "bits": bits, **outcome, "status": status}
    names = ("inversion", "error", "latent", "reference_error", "nfe")

    def both_ways(method: Any) -> dict[str, Any]:
        trip = round_trip(solver, model, grid, z, method=method)
        return {**{k: getattr(trip, k) for k in names}, "status": str(trip.status)}

    found = head | both_ways(method)
    if method is None and found["inversion"] == name_of(INVERSIONS["(10)"]):
        found["beside"] = both_ways(INVERSIONS["(23)"])
    return found


def _lines(found: dict[str, Any]) -> list[str]:
    parameters = ", ".join(f"{k}={v}" for k, v in found["parameters"].items())
    lines = [f"{found['solver']}({parameters}), {found['steps']} steps, {found['dtype']}: {found['status']}"]
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
    return [
        *lines,
        *(
            f"returns to {way['error']:.3g} (root mean square), inversion: {way['inversion'] or 'none ran'}"
            for way in ways
        ),
        f"data end {found['latent']:.3g} from the true ODE state, which is known to {found['reference_error']:.1g}",
    ]
