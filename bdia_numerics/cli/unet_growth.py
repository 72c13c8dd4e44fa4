"""The command `bdia unet growth`."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from bdia_numerics.cli.options import AsJson, Figure, Guidance, OneGrid, OneSolver, TrustPickle
from bdia_numerics.cli.show import as_text, console, figure_path, progress, require_torch, save_figure, table
from bdia_numerics.cli.unet import labels_of, load_network, written
from bdia_numerics.texts import wholes


def show_growth(
    path: Annotated[
        str | None, typer.Argument(help="A network, as for `bdia unet`; the shipped one of MNIST digits by default.")
    ] = None,
    solver: OneSolver = "BDIA",
    steps: Annotated[int, typer.Option(help="Slots of the grid.")] = 10,
    grid: OneGrid = None,
    count: Annotated[int, typer.Option(help="States, 2 or more.")] = 2,
    labels: Annotated[str | None, typer.Option(help="Class labels, such as 3,1,4.")] = None,
    guidance: Guidance = 1.0,
    iterations: Annotated[int, typer.Option(help="Power iterations for the whole run.")] = 6,
    seed: Annotated[int, typer.Option(help="Seed of the noise and of the perturbations.")] = 0,
    round_trips: Annotated[
        str | None,
        typer.Option(
            metavar="STEPS", help="Add round trips by dtype, gamma, p and guidance at these steps, such as 10,20,40."
        ),
    ] = None,
    figure: Figure = None,
    trust_pickle: TrustPickle = False,
    as_json: AsJson = False,
) -> None:
    """Measure how perturbations grow in a network, both ways, and what rounding and batches do to its round trips."""
    require_torch()
    figure_path(figure)
    found = _measured(
        path,
        solver,
        steps,
        grid,
        count,
        labels,
        guidance,
        iterations,
        seed,
        round_trips,
        trust_pickle=trust_pickle,
    )
    if figure is not None:
        from bdia_numerics.plots.rounding import perturbations

        save_figure(figure, perturbations(found))
    if as_json:
        typer.echo(as_text(found))
    else:
        as_lines(found, tabled=round_trips is not None)


def as_lines(found: dict[str, Any], *, tabled: bool) -> None:
    """Print what was found, with a table where round trips were asked for."""
    for line in _lines(found):
        typer.echo(line)
    if tabled:
        _print(found["round_trips"])


def _measured(
    path: str | None,
    name: str,
    steps: int,
    spacing: str | None,
    count: int,
    labels: str | None,
    guidance: float,
    iterations: int,
    seed: int,
    round_trips: str | None,
    *,
    trust_pickle: bool,
) -> dict[str, Any]:
    from dataclasses import asdict

    import numpy as np

    from bdia_numerics import analysis, names
    from bdia_numerics.program import structure
    from bdia_numerics.torch.networks.growth import growth, probed_defect
    from bdia_numerics.torch.networks.jacobians import array_jvp, array_model
    from bdia_numerics.torch.networks.round_trips import SOLVERS, network_of, trips
    from bdia_numerics.torch.networks.sampling import noise
    from bdia_numerics.torch.networks.steadiness import bits, repeatability
    from bdia_numerics.torch.tensors import DTYPES, dtype_named

    if count < 2:
        raise ValueError(f"--count={count}: pass 2 states or more, since batches are compared")
    tabled = () if round_trips is None else wholes("--round-trips", round_trips)
    if tabled and min(tabled) < 2:
        raise ValueError(f"--round-trips={round_trips}: take 2 steps or more")
    chosen, double, single = names.solver(name), dtype_named("float64"), dtype_named("float32")
    loaded = load_network(path, "cpu", double, trust_pickle=trust_pickle)
    given = labels_of(labels, count, loaded.labels)
    spacing = loaded.best_spacing if spacing is None else spacing
    grid = loaded.grid(steps, spacing)
    analysis.amplification(
        chosen, grid, "invert"
    )  # refuses a solver without derived inverse before anything is measured
    z = noise((count, *loaded.shape), grid, seed, dtype=double)
    model = loaded.model(given, guidance=guidance)
    one = loaded.model(given and given[:1], guidance=guidance)
    found: dict[str, Any] = {
        "network": path or "mnist", "solver": written(chosen), "steps": steps, "spacing": spacing,
        "guidance": guidance, "labels": given, "seed": seed,
    }  # fmt: skip
    with progress() as bar:
        scales = (1.0, 3.0) if loaded.null_label is not None else (1.0,)
        task = bar.add_task("", total=7 + len(tabled) * len(scales) * len(DTYPES) * len(SOLVERS))

        def tell(what: str) -> None:
            bar.update(task, description=what, advance=1)

        def listed(values: dict[str, Any]) -> dict[str, Any]:
            return {k: v.tolist() if isinstance(v, np.ndarray) else v for k, v in values.items()}

        for direction in ("sample", "invert"):
            tell(f"growth, {direction}")
            grown = asdict(growth(chosen, model, grid, z, direction=direction, iterations=iterations, seed=seed))
            found[direction] = listed(grown)
        tell("curl")
        found["asymmetry"] = []
        for i in dict.fromkeys((grid.n, max(grid.n // 2, 1), 1)):
            t, at = grid.t[i], z[:1].numpy()
            curl = analysis.asymmetry(array_model(one), at, t, axes=z.ndim - 1, jvp=array_jvp(one), probes=8)
            found["asymmetry"].append({"index": i, "relative": curl.relative})
        tell("symplectic defect")
        two = len(structure(chosen).registers) == 2  # which the symplectic form pairs
        found["symplectic"] = (
            listed(asdict(probed_defect(chosen, one, grid, z[:1], probes=4, seed=seed))) if two else None
        )
        tell("bits")
        found["bits"] = bits(chosen, one, grid, z[:1])
        tell("batches")
        loaded = loaded.to(single)
        several = loaded.model(given, guidance=guidance)
        found["batches"] = asdict(repeatability(several, z.to(single), grid.t[grid.n // 2]))
        tell("dtypes")
        ask = network_of(loaded, given)
        found["trips"] = trips(ask, {repr(chosen): chosen}, [grid], z, guidances=(guidance,))
        if tabled:
            ask, run = network_of(loaded, given and given[:1]), [loaded.grid(n, spacing) for n in tabled]
            found["round_trips"] = trips(ask, SOLVERS, run, z[:1], guidances=scales, watch=tell)
    return found


def _lines(found: dict[str, Any]) -> list[str]:
    lines = [f"{found['solver']} on {found['network']}, {found['steps']} steps, guidance {found['guidance']:g}"]
    for direction in ("sample", "invert"):
        grown = found[direction]
        lines.append(
            f"{direction}: a perturbation grows up to {max(grown['total']):.3g} times (companion matrices with the network's slopes: "
            f"{max(grown['predicted']):.3g}, with slope 0: {grown['bare']:.3g}); one step {max(map(max, grown['steps'])):.3g} at most"
        )
    curls = ", ".join(f"{row['relative']:.2g} at i={row['index']}" for row in found["asymmetry"])
    lines.append(f"part of the Jacobian that is not a gradient: {curls}")
    if (defect := found["symplectic"]) is not None:
        largest, error, i = max(
            zip((x[0] for x in defect["steps"]), (x[0] for x in defect["step_errors"]), defect["slots"], strict=True)
        )
        lines.append(
            "symplectic defect, relative to the form that a gradient field keeps: "
            f"{largest:.2g} ± {error:.1g} in a step at most (i={i}), {defect['run'][0]:.2g} ± {defect['run_errors'][0]:.1g} in the run"
        )
    differing = (
        f"{'no count, since a run left the range,' if (count := found['bits'][f'from_{end}']) is None else count} from {end} and back"
        for end in ("noise", "data")
    )
    lines.append(f"bits that differ on the lattice: {', '.join(differing)}")
    batches = found["batches"]
    counts = {
        "the call": batches["repeated"], "the batch": max(batches["differing"].values()),
        **{f"the kernels ({name})": count for name, count in batches["kernels"].items()},
    }  # fmt: skip
    largest = max(batches["largest"], batches["largest_by_kernels"])
    found_in = ", ".join(f"{name} in {count} elements" for name, count in counts.items() if count)
    same = ", ".join(name for name, count in counts.items() if not count)
    if found_in:
        lines.append(
            f"float32 outputs depend on {found_in}, by {largest:.1e} of their size at most: "
            "invert as you sampled, in the same batch"
        )
    if same:
        lines.append(f"float32 outputs do not depend on {same}")
    for row in found["trips"]:
        expected = f", {row['predicted']:.2g} expected on a unit Gaussian" if row["guidance"] == 1 else ""
        lines.append(f"round trip in {row['dtype']}: {row['error']:.2g}{expected} ({row['status']})")
    return lines


def _print(trips: list[dict[str, Any]]) -> None:
    from bdia_numerics.torch.networks.round_trips import cells

    rows = cells(trips)
    names = list(next(iter(rows.values())))
    shown = table("steps", "solver", "guidance", *names)
    for (steps, solver, guidance), texts in rows.items():
        shown.add_row(str(steps), solver, f"{guidance:g}", *map(texts.__getitem__, names))
    shown.title = "round trips of one state, in brackets what rounding is expected to cost on a unit Gaussian"
    console().print(shown)
