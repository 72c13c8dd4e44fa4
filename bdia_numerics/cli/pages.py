"""The commands that write what is made, not typed: `bdia figures`, `bdia explore`, and `bdia pages` of a checkout's documentation."""

from __future__ import annotations

import webbrowser
from pathlib import Path
from tempfile import mkdtemp
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bdia_numerics.cli.options import PAGE, AsJson, counting, plots, put_json, show_table, site, studies
from bdia_numerics.runs.files import check, write
from bdia_numerics.spaces.later import Later
from bdia_numerics.texts import one_of

if TYPE_CHECKING:
    from bdia_numerics.pages.documents import Document

gallery = Later("bdia_numerics.pages.figures")


def figures(
    out: Annotated[Path, typer.Option(metavar="FOLDER", help="Where the figures go.")] = Path("figures"),
    only: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="A figure of --list, several with commas or again; all by default."),
    ] = None,
    data: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="The saved data; those that come with the package by default.")
    ] = None,
    recompute: Annotated[
        bool, typer.Option("--recompute", help="Run the studies anew, into --data or FOLDER/data of --out.")
    ] = False,
    formats: Annotated[str, typer.Option(help="Some of pdf, png, svg.")] = "pdf,png",
    as_list: Annotated[bool, typer.Option("--list", help="List the figures and their data, and stop.")] = False,
    as_json: AsJson = False,
) -> None:
    """Draw the paper's figures from saved data, as PDF and PNG, with a manifest of the data and settings behind each."""
    plots.required()
    names = _names(only, list(plots.figures.FIGURES))
    kinds = tuple(kind.strip() for kind in formats.split(","))
    if unknown := [kind for kind in kinds if kind not in ("pdf", "png", "svg")]:
        raise ValueError(f"--formats={unknown[0]} is none of pdf, png, svg")
    if as_list:
        _list_figures(names, plots.figures.FIGURES, gallery, as_json)
        return
    if out.exists() and not out.is_dir():
        raise ValueError(f"--out={out} is a file: give another folder")
    if out.is_dir():
        check("--out", out / "manifest.json")
    folder = _recomputed(names, plots.figures.FIGURES, data or out / "data") if recompute else _folder(data, gallery)
    with counting("figures", len(names)) as advance:
        manifest, missing = gallery.draw(names, folder, out, formats=kinds, advance=advance)
    if as_json:
        put_json(manifest | {"missing": missing})
    else:
        _print_figures(names, manifest, out, folder)
    for name, reason in missing.items():
        typer.echo(f"bdia: {name} is not drawn: {reason}", err=True)
    if missing:
        raise typer.Exit(1)


def _names(only: list[str] | None, known: list[str]) -> list[str]:
    wanted = [word.strip() for text in only or [] for word in text.split(",") if word.strip()] or known
    if unknown := [name for name in wanted if name not in known]:
        raise ValueError(f"--only={unknown[0]} is none of {', '.join(known)}")
    return [name for name in known if name in wanted]


def _folder(data: Path | None, gallery: Any) -> Path:
    folder: Path = data or gallery.shipped()
    if not folder.is_dir():
        raise ValueError(f"there is not a folder {folder} of saved data: give --data FOLDER, or --recompute")
    return folder


def _recomputed(names: list[str], known: Any, folder: Path) -> Path:
    for key in dict.fromkeys(key for name in names for key in known[name].data):
        file = gallery.DATA[key]
        typer.echo(f"{key}: study {file.study}, about {file.minutes:g} min of one core", err=True)
        with counting(key, sum(1 for _ in studies.study.cells(*gallery.study_of(file)))) as advance:
            gallery.recompute(key, folder, advance=advance)
    return folder


def _list_figures(names: list[str], known: Any, gallery: Any, as_json: bool) -> None:
    if as_json:
        data = {name: {"caption": known[name].caption, "data": list(known[name].data)} for name in names}
        put_json({"figures": data}, "--list")
        return
    rows = []
    for name in names:
        keys = known[name].data
        minutes = sum(gallery.DATA[key].minutes for key in keys)
        rows.append((name, known[name].title, ", ".join(keys) or "none", f"{minutes:g}" if keys else ""))
    show_table(("figure", "shows", "data", "minutes to recompute"), rows, whole=("figure",))


def _print_figures(names: list[str], manifest: Any, out: Path, folder: Path) -> None:
    rows = []
    for name in names:
        if entry := manifest["figures"].get(name):
            kilo = " ".join(f"{about['bytes'] / 1000:.0f}" for about in entry["files"].values())
            hashes = ", ".join(f"{key} {about['hash'][:12]}" for key, about in entry["data"].items())
            rows.append((name, " ".join(entry["files"]), kilo, hashes))
    show_table(("figure", "files", "kB", "hash of the data"), rows, whole=("figure",))
    typer.echo(f"from the data in {folder}; see {out / 'index.html'}", err=True)


def explore(
    preset: Annotated[
        str | None, typer.Argument(metavar="[PRESET]", help="Where it opens, one of those that are listed.")
    ] = None,
    out: Annotated[Path | None, typer.Option(metavar="PATH", help="Write the page there, and open no browser.")] = None,
    as_json: AsJson = False,
) -> None:
    """Open the explorer: one page on which two solvers run under your hand, with their errors, roots and round trips.

    It needs a browser with JavaScript, and no network. Its address holds every choice, so that a view can be shared as a link.
    """
    site.template.require_pages(asked=True)
    if preset is not None:
        one_of("preset", preset, site.explorer.PRESETS)
    check("--out", out, PAGE)
    place = out or Path(mkdtemp(prefix="bdia-")) / "explorer.html"
    write(place, page := site.explorer.render())
    if out is None:
        webbrowser.open(f"{place.absolute().as_uri()}#{preset or ''}")
    presets = {name: says for name, (says, _) in site.explorer.PRESETS.items()}
    if as_json:
        put_json({"page": str(place), "bytes": len(page.encode()), "presets": presets})
        return
    typer.echo(f"{place}{f'#{preset}' if preset else ''}")
    show_table(("preset", "shows"), presets.items(), whole=("preset",))


def pages(
    context: typer.Context,
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[NAME ...]", help="Pages of --list; all by default.")
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="Write docs/... and README.md under it; in the checkout by default."),
    ] = None,
    recompute: Annotated[
        bool, typer.Option("--recompute", help="Also run what takes minutes and is not saved: the claims, the studies.")
    ] = False,
    as_list: Annotated[bool, typer.Option("--list", help="List the pages and what they come from, and stop.")] = False,
    as_json: AsJson = False,
) -> None:
    """Write the pages of a checkout's documentation that nobody types, from saved data, the ledger and studies.

    Without --recompute those that need runs are left as they are. `bdia figures --recompute --data paper_figs/data` runs the studies behind
    the saved data of figures.
    """
    from bdia_numerics.cli.reference import SCHEMAS, page_of

    known = {**site.documents.DOCUMENTS, "commands": page_of(context.find_root().command), "json": SCHEMAS}
    if unknown := [name for name in names or () if name not in known]:
        raise ValueError(f"{unknown[0]} is none of {', '.join(known)}")
    chosen = {name: page for name, page in known.items() if not names or name in names}
    if as_list:
        _list_pages(chosen, as_json)
        return
    left = {name: f"about {d.minutes:g} min of one core" for name, d in chosen.items() if d.runs_first(recompute)}
    if names and left:
        name, minutes = next(iter(left.items()))
        raise ValueError(f"{name} is made from runs, {minutes}: give --recompute")
    plots.required()
    with counting("pages", len(chosen) - len(left)) as advance:
        found = site.documents.make(
            list(chosen), root=site.documents.checkout(), out=out, recompute=recompute, advance=advance, documents=known
        )
    if as_json:
        put_json({"pages": found, "left": left})
        return
    rows = ((name, path, what) for name, files in found.items() for path, what in files.items())
    show_table(("page", "file", ""), rows, whole=("page",))
    if left:
        typer.echo(f"bdia: left as they are, since they need --recompute: {', '.join(left)}", err=True)


def _list_pages(chosen: dict[str, Document], as_json: bool) -> None:
    listed = {
        name: {"files": d.files, "source": d.source, "minutes": d.minutes, "saved": d.saved or not d.minutes}
        for name, d in chosen.items()
    }
    if as_json:
        put_json({"pages": listed}, "--list")
        return
    runs = {name: f"{d.minutes:g}{', saved' if d.saved else ''}" if d.minutes else "" for name, d in chosen.items()}
    rows = ((name, d.files, d.source, runs[name]) for name, d in chosen.items())
    show_table(("page", "writes", "from", "minutes of runs"), rows, whole=("page",))
