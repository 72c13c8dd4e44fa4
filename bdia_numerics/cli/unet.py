"""The command `bdia unet`: samples of a network, and subcommands that study it."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from bdia_numerics import names
from bdia_numerics.cli.options import AsJson, Inversion, OneGrid, OneSolver, TrustPickle
from bdia_numerics.cli.show import as_text, figure_path, progress, require_torch, save_figure
from bdia_numerics.texts import wholes


class Sampling(TyperGroup):
    """Subcommands of which `sample` is meant where none is named: `bdia unet`, `bdia unet PATH --steps 10`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
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
            help="A diffusers folder, a hub name or an EDM pickle; the shipped network of MNIST digits by default."
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
    found = _run(
        path, solver, steps, grid, count, labels, guidance, dtype, device, fine, seed, figure,
        inversion=inversion, trust_pickle=trust_pickle,
    )  # fmt: skip
    if as_json:
        typer.echo(as_text(found))
    else:
        for line in _lines(found):
            typer.echo(line)
    raise typer.Exit(int(not found["status"] == found["back_status"] == "ok"))


def _run(
    path: str | None,
    name: str,
    steps: int,
    spacing: str | None,
    count: int,
    labels: str | None,
    guidance: float | None,
    dtype: str,
    device: str,
    fine: int,
    seed: int,
    output: Path,
    *,
    inversion: str,
    trust_pickle: bool,
) -> dict[str, Any]:
    from dataclasses import asdict

    from bdia_numerics import plots
    from bdia_numerics.runs.inversion import named
    from bdia_numerics.torch.networks.models import doubt
    from bdia_numerics.torch.networks.sampling import noise, sample
    from bdia_numerics.torch.tensors import dtype_named

    if count < 1 or fine < 0 or 0 < fine < 4:
        raise ValueError(f"--count={count} --fine={fine}: pass at least one image, and 0 or at least 4 slots")
    if plots.available():
        figure_path(output)
    chosen, kind, method = names.solver(name), dtype_named(dtype), named(inversion)
    loaded = load_network(path, device, kind, trust_pickle=trust_pickle)
    spacing = loaded.best_spacing if spacing is None else spacing
    grid = loaded.grid(steps, spacing)
    given = labels_of(labels, count, loaded.labels)
    guidance = (1.0 if loaded.null_label is None else 2.0) if guidance is None else guidance
    model = loaded.model(given, guidance=guidance)
    z = noise((count, *loaded.shape), grid, seed, dtype=kind, device=device)
    doubts = [said] if (said := doubt(model, grid, z)) else []
    with progress() as bar:
        task = bar.add_task("", total=4 if fine else 2)

        def tell(what: str) -> None:
            bar.update(task, description=what, completed=bar.tasks[0].completed + (what != "sampling"))

        result = sample(chosen, model, grid, z, fine=fine, method=method, watch=tell)
    for said in doubts:
        warnings.warn(said, stacklevel=2)
    numbers = asdict(result)
    images = numbers.pop("images")
    head = {
        "network": path or "mnist", "solver": written(chosen), "steps": steps, "spacing": spacing, "dtype": dtype, "device": device,
        "guidance": guidance, "labels": given, "seed": seed,
    }  # fmt: skip
    notes = [note for note in loaded.notes if note not in loaded.altered]
    found = {**head, **numbers, "recognised": loaded.recognised(images, given), "warnings": [*loaded.altered, *doubts]}
    found["notes"] = notes if plots.available() else [*notes, plots.MISSING]
    if found["status"] == "ok" and plots.available():
        _draw(images, found, output)
    return found


def load_network(path: str | None, device: str, kind: Any, *, trust_pickle: bool) -> Any:
    """Return what a path names, loaded; ValueError unless its images have a size."""
    from bdia_numerics.torch.networks.loading import load

    loaded = load(path, trust_pickle=trust_pickle, device=device, dtype=kind)
    if loaded.shape is None:
        raise ValueError(f"path={path!r}: the network's configuration says no size of its images (sample_size)")
    return loaded


def written(solver: Any) -> str:
    """Return a solver as the command line takes it, such as BDIA(gamma=9/10)."""
    from bdia_numerics.program import parameters

    return f"{type(solver).__name__}({', '.join(f'{name}={value}' for name, value in parameters(solver).items())})"


def labels_of(text: str | None, count: int, labels: int) -> list[int] | None:
    """Return one label an image, read from text, or all that a network has in turn; None for a network that takes none."""
    if text is None:
        return [k % labels for k in range(count)] if labels else None
    some = wholes("--labels", text)
    return [some[k % len(some)] for k in range(count)]


def _draw(images: Any, found: dict[str, Any], output: Path) -> None:
    from bdia_numerics.plots.pictures import sheet

    columns = min(10, len(images))
    titles = [str(k) for k in found["labels"][:columns]] if found["labels"] else ()
    caption = f"{found['solver']}, {found['steps']} steps, guidance {found['guidance']:g}"
    caption += f", {found['spacing']} times" if found["spacing"] else ""
    save_figure(output, sheet(images, columns=columns, titles=titles, caption=caption))
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
