"""What a dataset says in plain values: a record for each cell, the rows of its study's table, and the data of its JSON.

`found.bdia` of a dataset of a study has its table, page and figure.
"""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Mapping
from dataclasses import asdict
from functools import cache
from pkgutil import resolve_name
from string import Formatter
from typing import Any

from bdia_numerics.formulas import number
from bdia_numerics.spaces.showing import Drawn
from bdia_numerics.studies.study import Dataset, Study, cells, over_seeds
from bdia_numerics.texts import one_of

COLUMNS = 12
"""Numbers in a row of a table whose study names no columns."""


def config_of(study: Study, found: Dataset) -> Any:
    """Return the configuration that a dataset was made with; ValueError for a dataset of another study."""
    if found.attrs.get("study") != study.name:
        raise ValueError(f"the dataset is of study {found.attrs.get('study')}, not {study.name}: give one of that")
    return study.config(**{name: _tuples(value) for name, value in json.loads(found.attrs["config"]).items()})


def _tuples(value: Any) -> Any:
    return tuple(map(_tuples, value)) if isinstance(value, list) else value


def records(study: Study, found: Dataset) -> list[dict[str, Any]]:
    """Return a record for each cell that is run and in the dataset, which may be a part: its place, numbers and texts by name.

    Parameters
    ----------
    study
        The study.
    found
        Its dataset.

    Returns
    -------
    list of dict

    Examples
    --------
    >>> from bdia_numerics import studies
    >>> from bdia_numerics.studies.records import records
    >>> study = studies.STUDIES["precision"]
    >>> config = study.config(solvers=("BDIA",), gammas=(0.9,), grids=("uniform",), steps=(20,), ends=("noise",))
    >>> records(study, studies.run(study, config))[0]["steps"]
    20
    """
    config = config_of(study, found)
    dims = list(study.dims(config))
    place = {dim: {value: k for k, value in enumerate(found[dim].values.tolist())} for dim in dims}
    columns = {str(k): v.transpose(*dims).values for k, v in found.data_vars.items() if set(v.dims) == set(dims)}
    return [
        dict(cell) | {k: _plain(study, k, v[tuple(place[dim][cell[dim]] for dim in dims)]) for k, v in columns.items()}
        for cell in cells(study, config)
        if all(cell[dim] in place[dim] for dim in dims)
    ]


def in_common(study: Study, found: Dataset) -> dict[str, Any]:
    """Return the numbers and lists of numbers that all cells share, by variable."""
    cellular = set(study.dims(config_of(study, found)))
    common = {str(k): v.values for k, v in found.data_vars.items() if not cellular & set(v.dims) and v.ndim < 2}
    return {k: [_plain(study, k, x) for x in v] if v.ndim else _plain(study, k, v) for k, v in common.items()}


def _plain(study: Study, name: str, value: Any) -> Any:
    value = getattr(value, "item", lambda: value)()
    counts = name in study.variables and study.variables[name].whole
    return int(value) if counts and math.isfinite(value) else value


def data(study: Study, found: Dataset) -> dict[str, Any]:
    """Return what the study's command prints as JSON: configuration, what the cells share, and their records."""
    config = asdict(config_of(study, found))
    return study.said({"config": config, **in_common(study, found), "cells": records(study, found)}, found)


def table(study: Study, found: Dataset) -> tuple[str, list[str], list[list[str]]]:
    """Return caption, heads and texts of the study's table.

    A number that is NaN has no text, and where a status is not "ok" a last column shows it.

    Parameters
    ----------
    study
        The study.
    found
        Its dataset.

    Returns
    -------
    caption, heads, rows
        Texts.

    Examples
    --------
    >>> from bdia_numerics import studies
    >>> from bdia_numerics.studies.records import table
    >>> study = studies.STUDIES["precision"]
    >>> config = study.config(solvers=("BDIA",), gammas=(0.9,), grids=("uniform",), steps=(20,), ends=("noise",))
    >>> table(study, studies.run(study, config))[1][:3]
    ['dtype', 'steps 20']
    """
    if not (study.columns or study.rows):
        return _pivot(study, found)
    rows = list(study.rows(found) if study.rows else records(study, found))
    caption = study.caption.format(**in_common(study, found) | asdict(config_of(study, found)))
    formats = dict(study.columns) or {name: "" for row in rows for name in row if name != "status"}
    if any(row.get("status", "ok") != "ok" for row in rows):
        formats["status"] = ""
    return caption, list(formats), [[_text(name, form, row) for name, form in formats.items()] for row in rows]


def _text(name: str, form: str, row: Mapping[str, Any]) -> str:
    values = [row.get(field, "") for _, field, _, _ in Formatter().parse(form) if field] or [row.get(name, "")]
    if all(value == "" or value != value for value in values):
        return ""
    return form.format(**row) if form else number(values[0]) if isinstance(values[0], float) else str(values[0])


def _pivot(study: Study, found: Dataset) -> tuple[str, list[str], list[list[str]]]:
    """Return the study's first number, a column for each coordinate of its last numeric dimension, the median over seeds."""
    name = next((n for n in study.variables if n in found and found[n].dtype.kind == "f" and found[n].ndim), None)
    if name is None:
        return "", [], []
    values, title = found[name], study.variables[name].long_name
    if "seed" in values.dims and values.sizes["seed"] > 1:
        values, title = over_seeds(values), f"{title}, median over {values.sizes['seed']} seeds"
    numeric = [d for d in values.dims if d in values.coords and values[d].dtype.kind in "if"]
    fits = [d for d in numeric if values.sizes[d] <= COLUMNS]
    fits.sort(key=lambda d: values.sizes[d] > 1)  # the last one that varies, if any does
    across = fits[-1] if fits else None
    rest = [d for d in values.dims if d != across]
    varying = [d for d in rest if values.sizes[d] > 1]
    title = ", ".join([title, *(f"{d} {values[d].item()}" for d in rest if d not in varying)])
    heads = [f"{across} {c}" for c in values[across].values] if fits else [name]
    lines = values.transpose(*rest, *fits[-1:]).values.reshape(-1, len(heads)).tolist()
    places = itertools.product(*(values[d].values for d in varying))
    # A row without a number is shown if its cells were to be run.
    wanted = {tuple(cell.get(str(d)) for d in varying) for cell in cells(study, config_of(study, found))}
    kept = [
        [*map(str, at), *map(number, row)]
        for at, row in zip(places, lines, strict=True)
        if any(x == x for x in row) or at in wanted
    ]
    return title, [*map(str, varying), *heads], kept


class StudyResult(Drawn):
    """What `found.bdia` is, for a dataset of one of `STUDIES`.

    Parameters
    ----------
    dataset
        Of `studies.run` or `studies.load`.
    """

    def __init__(self, dataset: Dataset) -> None:
        self.dataset = dataset

    def __str__(self) -> str:
        sizes = ", ".join(f"{n} {name}" for name, n in self.dataset.sizes.items())
        return f"{self.study.title}: {sizes}"

    @property
    def study(self) -> Study:
        """The study; ValueError for a dataset of another."""
        known = resolve_name("bdia_numerics.studies:STUDIES")
        return known[one_of("study", self.dataset.attrs.get("study", ""), known)]


@cache
def register() -> None:
    """Give xarray's datasets the accessor `bdia`, and import what the first dataset needs."""
    import xarray

    xarray.Variable((), 0)  # xarray looks for dask.array then, which takes longer to import than xarray itself
    xarray.register_dataset_accessor("bdia")(StudyResult)  # type: ignore[no-untyped-call]
