"""The paper's figures: drawn from saved data into a folder, with a manifest of the data and settings behind each."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from importlib import resources
from io import BytesIO
from pathlib import Path
from typing import Any

from bdia_numerics import names, studies
from bdia_numerics.pages.template import plots, rendered, versions
from bdia_numerics.runs.files import write
from bdia_numerics.spaces.later import Later
from bdia_numerics.studies.study import Dataset

as_printed = Later("bdia_numerics.claims.as_printed")
FORMATS = ("pdf", "png")
DPI = 200
PAGE_DPI, PAGE_COLOURS = 120, 48


@dataclass(frozen=True)
class DataFile:
    """How a file of data is made.

    Attributes
    ----------
    study
        Its name.
    changes
        Fields of its configuration that differ from the defaults.
    minutes
        Of one core.
    pixels : tuple of str
        Variables that are pictures, which are kept to two decimals, since a printed grey level needs no more.
    """

    study: str
    changes: Mapping[str, Any] = field(default_factory=dict)
    minutes: float = 1.0
    pixels: tuple[str, ...] = ()


_SHOWN = ("DDIM", "BDIA(gamma=1/2)", "BDIA(gamma=1)", "EDICT", "CBDIA", "OBELM", "BDIAHeun")
_TRIPS = ("DDIM", "DDIM by (23)", "BDIA", "EDICT(p=93/100)", "CBDIA", "OBELM")
_PAIR = ("DDIM", "DDIM by (23)", "BDIA(gamma=1/2)")
_GRIDS = ("leading", "cut", "trailing", "quad")
_GAMMAS = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
_ENCODE = (
    "DDIM", "DDIM by (23)", "DDIM by fixed point", "PLMS", "DPMSolverPP", "BDIA(gamma=1)", "BDIA(gamma=9/10)", "BDIA2", "BDIA3",
    "CBDIA", "EDICT", "EDICT(shifted=true)", "OBELM", "ALF", "ALF(variable=angle)", "Composed(base=ALF(variable=angle))",
    "Leapfrog(variable=angle)", "ReversibleHeun", "McCallumFoster", "Rex", "SymmetricMultistep(variable=angle)",
    "SymmetricMultistep(k=5, variable=angle)",
)  # fmt: skip
_ENCODE_GRIDS = ("leading", "trailing", "leading+1", "cut", "quad", "log_snr:t_min=0", "angle", "flow")
_LAWS = {
    "solvers": _ENCODE,
    "problems": ("mixture", "tight", "broad"),
    "guidances": (),
    "grids": _ENCODE_GRIDS,
    "dtypes": names.NUMPY_DTYPES,
    "network_dtypes": names.NUMPY_DTYPES,
    "images": 4,
}
_GUIDED = (
    "DDIM by (23)", "PLMS", "BDIA(gamma=1)", "EDICT", "EDICT(shifted=true)", "OBELM", "ALF", "ALF(variable=angle)", "ReversibleHeun",
)  # fmt: skip
_PIXELS = ("images", "sources")
_PLANE = {"real": (-2.5, 0.5), "imaginary": (-2.0, 2.0), "resolution": 49}

DATA: dict[str, DataFile] = {
    "samples": DataFile("samples", minutes=0.5),
    "returns": DataFile("returns", minutes=0.6),
    "editing": DataFile("editing", {"guidances": (1.0, 4.0)}, minutes=2, pixels=_PIXELS),
    "editing-ten-steps": DataFile(
        "editing", {"solvers": _PAIR, "guidances": (1.0, 4.0), "steps": 10}, minutes=0.2, pixels=_PIXELS
    ),
    "network-table": DataFile("network_table", minutes=60),
    "convergence": DataFile("convergence", {"solvers": _SHOWN}, minutes=0.2),
    "work-precision": DataFile("work_precision", minutes=0.1),
    "roundtrip": DataFile("roundtrip", {"solvers": _TRIPS, "ends": ("data",), "dtypes": ("float64",)}, minutes=0.1),
    "stability": DataFile(
        "stability",
        {"solvers": ("DDIM", "BDIA", "EDICT", "CBDIA"), "gammas": (0.0, 0.5, 0.9, 1.0), **_PLANE},
        minutes=0.1,
    ),
    "precision": DataFile("precision", {"solvers": ("BDIA",), "ends": ("noise",)}, minutes=0.2),
    "growth": DataFile(
        "growth",
        {"solvers": ("BDIA(gamma=1/2)", "BDIA(gamma=9/10)", "BDIA(gamma=1)", "EDICT(p=93/100)"), "iterations": 3},
        minutes=3,
    ),
    "map": DataFile("map", minutes=0.1),
    "map-digits": DataFile(
        "map", {"distribution": "digits", "grids": _GRIDS, "gammas": _GAMMAS, "steps": (10,)}, minutes=0.3
    ),
    "map-tight": DataFile(
        "map", {"distribution": "sharp", "grids": _GRIDS, "gammas": _GAMMAS, "steps": (10,)}, minutes=0.1
    ),
    "misprints": DataFile("misprints", minutes=0.1),
    "encode-laws": DataFile("encode_table", _LAWS | {"evaluations": (20,)}, minutes=0.5),
    "encode-laws-80": DataFile("encode_table", _LAWS | {"evaluations": (80,)}, minutes=1),
    "encode-network": DataFile("encode_table", minutes=2),
    "encode-guided": DataFile(
        "encode_table",
        {
            "solvers": _GUIDED,
            "problems": (),
            "guidances": (4.0,),
            "grids": ("trailing", "quad"),
            "fine": 60,
            "dtypes": names.NUMPY_DTYPES,
        },
        minutes=2,
    ),
}
"""By the name of the file, without .nc."""


def study_of(file: DataFile) -> tuple[studies.Study, Any]:
    """Return the study of a file, and its configuration."""
    study = (studies.STUDIES | {as_printed.MISPRINTS.name: as_printed.MISPRINTS})[file.study]
    return study, replace(study.config(), **file.changes)


def shipped() -> Path:
    """Return the folder of the data that come with the package: that of the checkout, or the wheel's."""
    package = Path(str(resources.files("bdia_numerics")))
    checkout = package.parent / "paper_figs" / "data"
    return checkout if checkout.is_dir() else package / "plots" / "data"


def recompute(key: str, folder: Path, *, advance: Callable[[], None] = lambda: None) -> Dataset:
    """Run the study behind a file of data anew and write `folder/KEY.nc`; killed and called again, it goes on.

    Parameters
    ----------
    key
        Of `DATA`.
    folder
        Where the file goes; what is finished of a run is kept in `folder/KEY.run` until all of it is.
    advance
        Called after each cell.

    Raises
    ------
    ValueError
        If a cell failed; the file is then left as it was.
    """
    study, config = study_of(DATA[key])
    running = folder / f"{key}.run"
    found = studies.run(study, config, folder=running, retry=True, advance=advance)
    if failures := [task.failure for task in studies.tasks(running, study) if task.failure]:
        raise ValueError(
            f"{key}: {len(failures)} cells failed ({failures[0]}); mend that and call again, the others are kept"
        )
    for name in DATA[key].pixels:
        found[name] = found[name].round(2).assign_attrs(found[name].attrs | {"rounded": "to two decimals"})
    for variable in found.variables.values():
        if variable.dtype.kind in "fiub":
            variable.encoding |= {"zlib": True, "complevel": 9, "shuffle": True}
    studies.save(found, folder / f"{key}.nc")
    shutil.rmtree(running)
    return found


def draw(
    names: Sequence[str],
    data: Path,
    out: Path,
    *,
    formats: Sequence[str] = FORMATS,
    advance: Callable[[], None] = lambda: None,
) -> tuple[dict[str, Any], dict[str, str]]:
    """Draw figures from saved data into a folder, and write manifest.json and index.html there.

    Parameters
    ----------
    names
        Of `bdia_numerics.plots.figures.FIGURES`.
    data
        The folder of the .nc files.
    out
        Is made where it is missing. A manifest there keeps the entries of other figures.
    formats
        Of the files: "pdf", "png" or "svg".
    advance
        Called after each figure.

    Returns
    -------
    dict
        The manifest.
    dict
        Figures whose data are not there or cannot be read, and why.

    Raises
    ------
    ImportError
        Without matplotlib; the message names the extra.
    """
    plots.required()
    known = plots.figures.FIGURES
    out.mkdir(parents=True, exist_ok=True)
    entries, missing = _kept(out / "manifest.json", set(known)), {}
    for name in names:
        spec = known[name]
        try:
            found = _saved(name, spec, data)
        except (ValueError, ImportError) as error:
            missing[name] = str(error)
        else:
            figure = spec.draw(*found.values())
            made = {f"{name}.{kind}": plots.image(figure, format=kind, dpi=DPI) for kind in formats}
            for file, content in made.items():
                write(out / file, content)
            entries[name] = _entry(name, spec, found, figure, made)
        advance()
    manifest = {"drawn_with": versions(), "figures": {name: entries[name] for name in known if name in entries}}
    write(out / "manifest.json", json.dumps(manifest, indent=1, ensure_ascii=False) + "\n")
    write(out / "index.html", rendered("figures.html.j2", manifest=manifest, compact=_compact))
    return manifest, missing


def _saved(name: str, spec: Any, folder: Path) -> dict[str, Dataset]:
    absent = [key for key in spec.data if not (folder / f"{key}.nc").is_file()]
    if absent:
        minutes = sum(DATA[key].minutes for key in absent)
        remedy = f"give --data FOLDER, or --recompute --only {name} (about {minutes:g} min of one core)"
        raise ValueError(f"there is no {absent[0]}.nc in {folder}: {remedy}")
    found = {key: studies.load(folder / f"{key}.nc") for key in spec.data}
    for key, dataset in found.items():
        if (study := dataset.attrs.get("study")) != DATA[key].study:
            raise ValueError(
                f"{folder / key}.nc holds study {study}, but the figure draws {DATA[key].study}: give --data FOLDER"
            )
    return found


def _kept(path: Path, known: set[str]) -> dict[str, Any]:
    """Return the entries of a manifest that stands there, if it is one."""
    try:
        entries = json.loads(path.read_text(encoding="utf-8"))["figures"]
    except (OSError, ValueError, KeyError, TypeError):
        return {}
    return {name: entry for name, entry in entries.items() if name in known}


def _entry(
    name: str, spec: Any, found: Mapping[str, Dataset], figure: Any, files: Mapping[str, bytes]
) -> dict[str, Any]:
    width, height = (round(float(x), 2) for x in figure.get_size_inches())
    return {
        "caption": spec.caption,
        "command": f"bdia figures --only {name}",
        "recompute": f"bdia figures --recompute --only {name}" if found else None,
        "inches": [width, height],
        "files": {file: {"bytes": len(c), "sha256": hashlib.sha256(c).hexdigest()} for file, c in files.items()},
        "data": {key: _provenance(dataset) for key, dataset in found.items()},
    }


def _provenance(dataset: Dataset) -> dict[str, Any]:
    kept = {name: str(dataset.attrs.get(name, "")) for name in ("study", "title", "commit", "seed")}
    texts = {name: json.loads(dataset.attrs.get(name, "{}")) for name in ("config", "versions")}
    return {"hash": studies.data_hash(dataset), **kept, **texts}


_compact = partial(json.dumps, ensure_ascii=False)


def documents(data: Path) -> dict[str, str | bytes]:
    """Return the page of the documentation and its pictures, drawn from the data in a folder, by their paths under docs/."""
    drawn = {name: spec.draw(*_saved(name, spec, data).values()) for name, spec in plots.figures.FIGURES.items()}
    pictures = {name: _small(plots.image(figure, format="png", dpi=PAGE_DPI)) for name, figure in drawn.items()}
    return {f"images/figures/{name}.png": png for name, png in pictures.items()} | {"figures.md": page()}


def _small(png: bytes) -> bytes:
    """Return a picture with a palette of few colours, which takes a third of the space."""
    from PIL import Image

    buffer = BytesIO()
    Image.open(BytesIO(png)).convert("RGB").quantize(PAGE_COLOURS).save(buffer, "png", optimize=True)
    return buffer.getvalue()


def page() -> str:
    """Return the page of the documentation, in Markdown: every figure with its caption."""
    return rendered("figures.md.j2", figures=plots.figures.FIGURES, data=DATA)
