"""The command `bdia edit`: an image to noise under one prompt or label, and back under others, with a sheet of pictures and the numbers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from bdia_numerics import names
from bdia_numerics.cli.options import (
    AsJson,
    OneGrid,
    OneSolver,
    counting,
    editing,
    figure_path,
    networks,
    plots,
    require_torch,
    save_figure,
    say,
    tensors,
)
from bdia_numerics.runs.files import check
from bdia_numerics.texts import listed, whole

SOURCE, TARGETS = "3", ("8", "5")
"""Labels of the shipped network where none are given."""


def edit(
    pipeline: Annotated[
        str | None,
        typer.Argument(
            help="A folder or a hub name of a diffusers pipeline; the shipped network of digits by default."
        ),
    ] = None,
    image: Annotated[
        Path | None, typer.Argument(help="The picture; a digit that the shipped network draws by default.")
    ] = None,
    source_prompt: Annotated[
        str | None, typer.Option(help="What the picture shows; its label for a network of labels.")
    ] = None,
    prompt: Annotated[
        list[str] | None,
        typer.Option(help="What the edit is to show; its label for a network of labels. Give it again for more edits."),
    ] = None,
    negative_prompt: Annotated[
        str | None, typer.Option(help="What neither picture nor edit shows; used both ways.")
    ] = None,
    solver: OneSolver = "BDIA",
    baselines: Annotated[
        str,
        typer.Option(help="Methods to compare with: ddim, fixed-point, edit-friendly, edict, null-text; or solvers."),
    ] = "",
    steps: Annotated[int, typer.Option(help="Steps of the grid.")] = 40,
    grid: OneGrid = None,
    guidance: Annotated[
        float | None,
        typer.Option(help="Scale of classifier-free guidance, both ways; the pipeline's own by default, 2 for labels."),
    ] = None,
    strength: Annotated[
        float, typer.Option(help="Part of the grid that is inverted, counted from the data end, in (0, 1].")
    ] = 1.0,
    control: Annotated[Path | None, typer.Option(help="The picture that steers the ControlNet.")] = None,
    controlnet: Annotated[
        str | None, typer.Option(help="A ControlNet for the pipeline: its folder or hub name.")
    ] = None,
    mask: Annotated[
        Path | None, typer.Option(help="A picture, white where the edit may change the image: PSNR is taken outside.")
    ] = None,
    fine: Annotated[
        int, typer.Option(help="Slots of RK4 for the network's own ODE, 4 or more (7 evaluations each); 0 for none.")
    ] = 0,
    dequantise: Annotated[
        str | None,
        typer.Option(
            help="Add noise first: level, at most half a grey level, which rounding to 8 bits removes; or noise, the least of the training."
        ),
    ] = None,
    dtype: Annotated[
        str, typer.Option(help=f"Floating-point format of the networks: {', '.join(names.TORCH_DTYPES)}.")
    ] = "float32",
    device: Annotated[str, typer.Option(help="Device of the networks, such as cuda.")] = "cpu",
    seed: Annotated[int, typer.Option(help="Seed of all noise.")] = 0,
    save: Annotated[
        Path | None, typer.Option(help="Write the inversion to a file of safetensors, for Inversion.load.")
    ] = None,
    figure: Annotated[
        Path, typer.Option("--figure", metavar="PATH", help="The sheet of pictures: .png, .pdf or .svg.")
    ] = Path("edited.png"),
    as_json: AsJson = False,
) -> None:
    """Edit a picture: take it to noise under a prompt that describes it, and back under other prompts.

    A sheet shows the picture, its reconstruction and the edits, with a row for each baseline. Without arguments the shipped network of
    digits turns a 3 into an 8 and a 5, and labels take the place of prompts.
    """
    require_torch()

    if plots.available():
        figure_path(figure)
    check("--save", save, (".safetensors",))
    if pipeline is not None and image is None:
        raise ValueError("IMAGE is missing: give the picture that is to be edited")
    methods = (solver, *listed(baselines))
    for one in methods:
        editing.methods.way_of(one)  # refuses a name before anything is run
    pipe = editing.open_pipeline(pipeline, controlnet=controlnet, device=device, dtype=tensors.dtype_named(dtype))
    labelled = hasattr(pipe, "labels")
    shipped = pipeline is None
    told = _read(labelled, source_prompt or (SOURCE if shipped else None), prompt or (list(TARGETS) if shipped else []))
    source: Any = image if image is not None else editing.drawn(pipe, told[0], seed)
    if mask is not None:
        shown = editing.images.pixels("image", source, 3)
        editing.psnr(shown, shown, mask)  # refuses a mask before anything is run
    options = {
        "steps": steps, "guidance_scale": guidance, "strength": strength, "negative_prompt": negative_prompt,
        "control_image": control and [str(control)], "grid": grid, "dequantise": dequantise or False, "generator": seed,
    }  # fmt: skip
    with counting("", len(methods) * (len(told[1]) + 2)) as advance:
        rows = [
            _row(pipe, source, told, one, options, advance, fine, mask, k == 0, save if k == 0 else None)
            for k, one in enumerate(methods)
        ]
    found = {
        "pipeline": pipeline or "mnist", "image": None if image is None else str(image), "source": told[0], "wanted": told[1],
        "steps": steps, "strength": strength, "seed": seed, "dtype": dtype, "device": device,
        "guidance": rows[0][1]["guidance"], "methods": [row for _, row in rows], "notes": [] if plots.available() else [plots.MISSING],
    }  # fmt: skip
    if plots.available():
        _draw(rows, found, figure)
    say(found, _lines, as_json)
    first = rows[0][1]
    raise typer.Exit(int(first["status"] != "ok" or any(value != value for value in first["psnr"])))


def _read(labelled: bool, source: str | None, wanted: list[str]) -> tuple[Any, list[Any]]:
    """Return what the picture shows, and what it is to show: texts, or labels."""
    if not labelled:
        return source or "", wanted
    return (
        None if source is None else whole("--source-prompt", source),
        [whole("--prompt", text) for text in wanted],
    )


def _row(
    pipe: Any, source: Any, told: tuple[Any, list[Any]], solver: str, options: dict[str, Any], advance: Callable[..., None],
    fine: int, mask: Any, repeats: bool, save: Path | None,
) -> tuple[list[Any], dict[str, Any]]:  # fmt: skip
    """Return the pictures of one method, the source first, and its numbers."""
    labelled = hasattr(pipe, "labels")
    made = {"labels" if labelled else "prompt": told[0]}
    advance(f"{solver}", 0)
    inv = editing.invert(pipe, source, solver=solver, **made, **options)
    if save is not None:
        inv.save(save)
    advance(f"{solver}")
    edits = []
    for one in told[1]:
        edits.append(inv.edit(labels=one) if labelled else inv.edit(one))
        advance(f"{solver}")
    back = inv.reconstruct()
    report = inv.report(fine=fine, edits=edits, mask=mask, reconstruction=back, repeats=repeats)
    advance(f"{solver}")
    pictures = [inv.source, back.images, *(one.images for one in edits)]
    read = None
    if labelled and pipe.data == "mnist":
        read = [int(networks.features.predicted(2 * x - 1)[0]) for x in pictures]
    numbers = {"solver": solver, "guidance": inv.guidance, **asdict(report), "read": read, "lines": report.lines()}
    return [x[0].permute(1, 2, 0).numpy() for x in pictures], numbers


def _draw(rows: list[tuple[list[Any], dict[str, Any]]], found: dict[str, Any], path: Path) -> None:
    behind = [
        ("latents return with an\nRMS error of {latents_error:.2g}" if row["differing"] else "returns exactly").format(
            **row
        )
        + f"\n{row['nfe']} evaluations there,\n{row['back_nfe']} back"
        for _, row in rows
    ]
    caption = f"{found['pipeline']}: {found['steps']} steps, guidance {found['guidance']:g}"
    caption += "" if found["strength"] == 1 else f", strength {found['strength']:g}"
    labels = isinstance(found["source"], int)
    heads = ["source", "reconstruction", *(f"as label {one}" if labels else f"as “{one}”" for one in found["wanted"])]
    said = f"label {found['source']}" if labels else f"“{found['source']}”" if found["source"] else "no prompt"
    drawn = plots.pictures.edits(
        [pictures for pictures, _ in rows],
        [editing.methods.title_of(row["solver"]) for _, row in rows],
        heads,
        behind,
        f"Inverted under {said}",
        caption,
    )
    save_figure(path, drawn)
    found["sheet"] = str(path)


def _lines(found: dict[str, Any]) -> list[str]:
    ends = f"{found['source']!r} to {', '.join(map(repr, found['wanted'])) or 'itself'}"
    lines = [f"{found['pipeline']}: {ends}, {found['steps']} steps, guidance {found['guidance']:g}, {found['dtype']}"]
    for row in found["methods"]:
        words = ("nothing" if digit < 0 else str(digit) for digit in row["read"] or ())
        read = [] if row["read"] is None else [f"the classifier reads {', '.join(words)}"]
        lines += [row["solver"], *(f"  {line}" for line in [*row["lines"], *read])]
    if "sheet" in found:
        lines.append(f"sheet: {found['sheet']}")
    return [*lines, *(f"note: {note}" for note in found["notes"])]
