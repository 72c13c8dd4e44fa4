"""The command `bdia unet`: samples of a network, and how perturbations grow in it."""

from __future__ import annotations

import warnings
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from bdia_numerics import names, program
from bdia_numerics.cli.options import (
    AsJson,
    Figure,
    Guidance,
    Inversion,
    OneGrid,
    OneSolver,
    TrustPickle,
    analysis,
    counting,
    figure_path,
    networks,
    plots,
    require_torch,
    runs,
    save_figure,
    say,
    show_table,
    tensors,
)
from bdia_numerics.texts import refuse, wholes


class Sampling(TyperGroup):
    """Subcommands of which `sample` is meant where none is named: `bdia unet`, `bdia unet PATH --steps 10`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if args[:1] == ["edit"]:
            raise ValueError(
                "`bdia unet edit` is now `bdia edit`; the study of it is `bdia figures --only fig6-editing`"
            )
        asks = args[:1] in (["-h"], ["--help"])
        return super().parse_args(ctx, args if asks or set(args[:1]) & set(self.commands) else ["sample", *args])


unet = typer.Typer(
    cls=Sampling,
    help="Samples of a network (`bdia unet [PATH]`, short for `bdia unet sample`), and studies of it.",
    rich_markup_mode=None,
    add_completion=False,
)


def draw_samples(
    path: Annotated[
        str | None,
        typer.Argument(
            help="A diffusers folder, a hub name, a checkpoint of DDIM or an EDM pickle; the shipped network of MNIST digits by default."
        ),
    ] = None,
    solver: OneSolver = "BDIA",
    steps: Annotated[int, typer.Option(help="Slots of the grid.")] = 20,
    grid: OneGrid = None,
    count: Annotated[int, typer.Option(help="Images.")] = 20,
    labels: Annotated[
        str | None,
        typer.Option(help="Class labels, such as 3,1,4; repeated up to the number of images. 0 to 9 by default."),
    ] = None,
    guidance: Annotated[
        float | None,
        typer.Option(help="Scale of classifier-free guidance; 1 is none. 2 by default where a null label is known."),
    ] = None,
    dtype: Annotated[str, typer.Option(help=f"Of the states: {', '.join(names.TORCH_DTYPES)}.")] = "float32",
    device: Annotated[str, typer.Option(help="Of the network and the states.")] = "cpu",
    inversion: Inversion = "default",
    fine: Annotated[
        int, typer.Option(help="Slots of the reference solution, 4 or more (11 evaluations for each); 0 leaves it out.")
    ] = 40,
    seed: Annotated[int, typer.Option(help="Seed of the noise.")] = 0,
    figure: Annotated[
        Path, typer.Option("--figure", metavar="PATH", help="The sheet of samples: .png, .pdf or .svg.")
    ] = Path("samples.png"),
    trust_pickle: TrustPickle = False,
    as_json: AsJson = False,
) -> None:
    """Sample from a network, go back to the noise, and compare both ends with a fine solution of the network's own ODE.

    The grid is trailing by default where training steps are numbered: leading ends with a short slot, in which gamma = 1 magnifies errors.
    """
    require_torch()
    if count < 1 or fine < 0 or 0 < fine < 4:
        raise ValueError(f"--count={count} --fine={fine}: pass at least one image, and 0 or at least 4 slots")
    if plots.available():
        figure_path(figure)
    chosen, kind, method = names.solver(solver), tensors.dtype_named(dtype), runs.inversion.named(inversion)
    loaded = load_network(path, device, kind, trust_pickle=trust_pickle)
    spacing = grid or loaded.best_spacing
    times = loaded.grid(steps, spacing)
    given = labels_of(labels, count, loaded.labels)
    guidance = (1.0 if loaded.null_label is None else 2.0) if guidance is None else guidance
    model = loaded.model(given, guidance=guidance)
    z = networks.sampling.noise((count, *loaded.shape), times, seed, dtype=kind, device=device)
    doubts = [said] if (said := networks.models.doubt(model, times, z)) else []
    with counting("", 4 if fine else 2) as advance:
        result = networks.sampling.sample(
            chosen, model, times, z, fine=fine, method=method, watch=lambda what: advance(what, int(what != "sampling"))
        )
    for said in doubts:
        warnings.warn(said, stacklevel=2)
    numbers = asdict(result)
    images = numbers.pop("images")
    notes = [note for note in loaded.notes if note not in loaded.altered]
    recognised = loaded.recognised(images, given) if result.status == "ok" else None
    found = {
        "network": path or "mnist", "solver": names.written(chosen), "steps": steps, "spacing": spacing, "dtype": dtype, "device": device,
        "guidance": guidance, "labels": given, "seed": seed, **numbers, "recognised": recognised,
        "warnings": [*loaded.altered, *doubts], "notes": notes if plots.available() else [*notes, plots.MISSING],
    }  # fmt: skip
    if found["status"] == "ok" and plots.available():
        _draw(images, found, figure)
    say(found, _lines, as_json)
    raise typer.Exit(int(not found["status"] == found["back_status"] == "ok"))


def load_network(path: str | None, device: str, kind: Any, *, trust_pickle: bool) -> Any:
    """Return what a path names, loaded; ValueError unless its images have a size."""
    loaded = networks.loading.load(path, trust_pickle=trust_pickle, device=device, dtype=kind)
    if loaded.shape is None:
        raise ValueError(f"path={path!r}: the network's configuration says no size of its images (sample_size)")
    return loaded


def labels_of(text: str | None, count: int, labels: int) -> list[int] | None:
    """Return one label an image, read from text, or all that a network has in turn; None for a network that takes none."""
    if text is None:
        return [k % labels for k in range(count)] if labels else None
    some = wholes("--labels", text)
    return [some[k % len(some)] for k in range(count)]


def _draw(images: Any, found: dict[str, Any], output: Path) -> None:
    columns = min(10, len(images))
    titles = [str(k) for k in found["labels"][:columns]] if found["labels"] else ()
    caption = f"{found['solver']}, {found['steps']} steps, guidance {found['guidance']:g}"
    caption += f", {found['spacing']} times" if found["spacing"] else ""
    save_figure(output, plots.pictures.sheet(images, columns=columns, titles=titles, caption=caption))
    found["sheet"] = str(output)


def _lines(found: dict[str, Any]) -> list[str]:
    way = found["inversion"]
    head = f"{found['solver']} on {found['network']}, {found['steps']} steps, guidance {found['guidance']:g}, {found['dtype']}"
    head += f": {found['status']}"
    wider = "" if found["dtype"] == "float64" else "another --dtype, "
    if found["status"] != "ok":
        return [f"{head}; try {wider}more --steps, or another --grid"]
    lines = [
        head,
        f"{found['nfe']} model evaluations there, {found['back_nfe']} back; {found['seconds']:.2f} s there",
        f"noise comes back to {found['round_trip']:.3g} (root mean square), inversion: {way}",
    ]
    if found["back_status"] != "ok":
        lines[-1] = f"noise does not come back ({way}): {found['back_status']}"
        if found["round_trip"] != found["round_trip"]:
            lines[-1] += f"; try {wider}fewer --steps, or a larger gamma or p"
    if found["distance"] == found["distance"]:
        latent = found["latent_distance"]
        latents = f"latents {latent:.3g} from" if latent == latent else "latents, which are not finite, from"
        lines.append(
            f"samples {found['distance']:.3g} (known to {found['reference_error']:.1g}) and {latents} the network's own ODE "
            f"(known to {found['reference_latent_error']:.1g})"
        )
    if found["recognised"] is not None:
        lines.append(
            f"{found['recognised']} of {len(found['labels'])} samples are read as their label by the classifier"
        )
    if "sheet" in found:
        lines.append(f"sheet of samples: {found['sheet']}")
    return [*lines, *(f"note: {note}" for note in found["notes"])]


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
    tabled = () if round_trips is None else wholes("--round-trips", round_trips)
    refuse(
        (count < 2, f"--count={count}: pass 2 states or more, since batches are compared"),
        (min(tabled, default=2) < 2, f"--round-trips={round_trips}: take 2 steps or more"),
    )
    steadiness, jacobians = networks.steadiness, networks.jacobians
    chosen, (double, single) = names.solver(solver), map(tensors.dtype_named, ("float64", "float32"))
    loaded = load_network(path, "cpu", double, trust_pickle=trust_pickle)
    given = labels_of(labels, count, loaded.labels)
    spacing = grid or loaded.best_spacing
    times = loaded.grid(steps, spacing)
    analysis.amplification(
        chosen, times, "invert"
    )  # refuses a solver without derived inverse before anything is measured
    z = networks.sampling.noise((count, *loaded.shape), times, seed, dtype=double)
    model = loaded.model(given, guidance=guidance)
    one = loaded.model(given and given[:1], guidance=guidance)
    found: dict[str, Any] = {
        "network": path or "mnist", "solver": names.written(chosen), "steps": steps, "spacing": spacing,
        "guidance": guidance, "labels": given, "seed": seed,
    }  # fmt: skip
    scales = (1.0, 3.0) if loaded.null_label is not None else (1.0,)
    with counting("", 7 + len(tabled) * len(scales) * len(tensors.DTYPES) * len(steadiness.SOLVERS)) as tell:
        for direction in ("sample", "invert"):
            tell(f"growth, {direction}")
            run = {"direction": direction, "iterations": iterations, "seed": seed}
            found[direction] = asdict(networks.growth.growth(chosen, model, times, z, **run))
        tell("curl")
        places = dict.fromkeys((times.n, max(times.n // 2, 1), 1))
        along = {"axes": z.ndim - 1, "jvp": jacobians.array_jvp(one), "probes": 8}
        curls = (analysis.asymmetry(jacobians.array_model(one), z[:1].numpy(), times.t[i], **along) for i in places)
        found["asymmetry"] = [{"index": i, "relative": c.relative} for i, c in zip(places, curls, strict=True)]
        tell("symplectic defect")
        two = len(program.structure(chosen).registers) == 2  # which the symplectic form pairs
        defect = networks.growth.probed_defect(chosen, one, times, z[:1], probes=4, seed=seed) if two else None
        found["symplectic"] = defect and asdict(defect)
        tell("bits")
        found["bits"] = steadiness.bits(chosen, one, times, z[:1])
        tell("repeatability")
        loaded = loaded.to(single)
        several = loaded.model(given, guidance=guidance)
        steady = steadiness.repeatability(several, z.to(single), times.t[times.n // 2])
        found["repeatability"] = {**asdict(steady), "exact": steady.exact, "in_words": str(steady)}
        tell("dtypes")
        ask = steadiness.network_of(loaded, given)
        found["trips"] = steadiness.trips(ask, {repr(chosen): chosen}, [times], z, guidances=(guidance,))
        if tabled:
            ask, grids = steadiness.network_of(loaded, given and given[:1]), [loaded.grid(n, spacing) for n in tabled]
            found["round_trips"] = steadiness.trips(ask, steadiness.SOLVERS, grids, z[:1], guidances=scales, watch=tell)
    if figure is not None:
        save_figure(figure, plots.rounding.perturbations(found))
    say(found, lines_of_growth, as_json)
    if tabled and not as_json:
        print_trips(found["round_trips"])


def lines_of_growth(found: dict[str, Any]) -> list[str]:
    """Return what `bdia unet growth` prints of what it found, but for the table of round trips."""
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
    steady = found["repeatability"]
    advice = "" if steady["exact"] else "; invert as you sampled, in the same batch"
    lines.append(f"float32 outputs of one input: {steady['in_words']}{advice}")
    for row in found["trips"]:
        expected = f", {row['predicted']:.2g} expected on a unit Gaussian" if row["guidance"] == 1 else ""
        lines.append(f"round trip in {row['dtype']}: {row['error']:.2g}{expected} ({row['status']})")
    return lines


def print_trips(trips: list[dict[str, Any]]) -> None:
    """Print the table of round trips that were asked for."""
    rows = networks.steadiness.cells(trips)
    names = list(next(iter(rows.values())))
    typer.echo("round trips of one state, in brackets what rounding is expected to cost on a unit Gaussian")
    lines = ((*at, f"{guidance:g}", *map(texts.__getitem__, names)) for (*at, guidance), texts in rows.items())
    show_table(("steps", "solver", "guidance", *names), lines, whole=("solver",))
