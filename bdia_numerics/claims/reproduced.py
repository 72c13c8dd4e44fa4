"""What results of `bdia reproduce` decide: a table's claim, by our figures beside the published ones, under the protocols that were run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from bdia_numerics.claims.entries import NOT_REPRODUCED
from bdia_numerics.claims.ledger import statements
from bdia_numerics.studies import load, protocols
from bdia_numerics.studies.records import config_of
from bdia_numerics.studies.reproduction import REPRODUCTION, rows, widened
from bdia_numerics.texts import refuse

Verdict = tuple[str, str, str]
"""Verdict, evidence and kind."""
ROUNDED = 0.005
"""Half of the last digit of a published figure."""
RUNS = 3
"""Fewest runs whose interval can hold a figure: it reaches 5.0 standard deviations to each side, that of two 15.6, nearly any distance."""


def read(folders: Iterable[Path]) -> dict[str, list[dict[str, Any]]]:
    """Return the rows of results by table, each with its data.

    Raises
    ------
    ValueError
        For a folder without finished results, results of another study, and such as this version does not know.
    """
    found: dict[str, list[dict[str, Any]]] = {}
    for folder in folders:
        path = folder / f"{REPRODUCTION.name}.nc"
        refuse(
            (not folder.is_dir(), f"--results={folder}: there is no such folder"),
            (
                not path.is_file(),
                f"--results={folder} has no {path.name}: run the same `bdia reproduce` again until it ends",
            ),
        )
        dataset = load(path)
        try:
            config = config_of(REPRODUCTION, dataset)
        except (TypeError, ValueError, KeyError) as error:
            raise ValueError(
                f"--results={folder} is of another version of bdia_numerics ({str(error).splitlines()[0]}): run `bdia reproduce` again"
            ) from None
        refuse(
            (
                config.table not in statements(),
                f"--results={folder} is of {config.table}, and the ledger has no claim about that: its figures are in the table of the run",
            )
        )
        found.setdefault(config.table, []).extend({**row, "data": config.chosen} for row in rows(dataset))
    return found


def decided(folders: Iterable[Path]) -> dict[str, Verdict]:
    """Return the verdicts of the claims that results of these folders are about, by id; errors as `read`."""
    return {table: verdict(table, found) for table, found in read(folders).items()}


def verdict(table: str, found: list[dict[str, Any]]) -> Verdict:
    """Return the verdict of a table by the rows of its results.

    It is measured if under one protocol the interval of one more run, from `RUNS` runs or more, has every published figure, and refuted
    if an interval excludes one under a protocol of which nothing is unpublished. There the intervals are widened to hold all figures of
    the table with 95%: of 16 true figures, one is outside of its own interval in every second table. Otherwise the claim stays open.
    """
    real = [row for row in found if not row["departs"]]
    if not real:
        said = f"stand-ins decide nothing: {found[0]['departs']}; {_said(found)}"
        return "needs-weights", said, "needs weights"
    wanted = {
        (data, steps, str(row))
        for data, own in protocols.FIGURES[table].items()
        for steps, figures in own.items()
        for row, figure in zip(next(iter(protocols.PROTOCOLS[table].values())).rows, figures, strict=True)
        if figure == figure
    }
    missed: dict[str, set[tuple[str, int, str]]] = {}
    met: dict[str, set[tuple[str, int, str]]] = {}
    for row in real:
        half = row["high"] - row["fid"]
        if row["published"] == row["published"] and half == half:
            away, place = abs(row["published"] - row["fid"]) - ROUNDED, (row["data"], row["steps"], row["solver"])
            if away > half * widened(row["runs"], len(wanted)):
                missed.setdefault(row["protocol"], set()).add(place)
            elif away <= half and row["runs"] >= RUNS:
                met.setdefault(row["protocol"], set()).add(place)

    def decision(verdict: str, protocol: str) -> Verdict:
        return verdict, f"under protocol {protocol}: {_said(r for r in real if r['protocol'] == protocol)}", verdict

    for protocol, own in met.items():
        if own == wanted and protocol not in missed:
            return decision("measured", protocol)
    for protocol in missed:
        if not protocols.PROTOCOLS[table][protocol.partition(":")[2]].unpublished:
            return decision("refuted", protocol)
    if missed and not met.keys() - missed.keys():
        unpublished: Mapping[str, str] = {
            p: protocols.PROTOCOLS[table][p.partition(":")[2]].unpublished for p in missed
        }
        return "open", f"{next(iter(unpublished.values()))}; {_said(real)}", f"{NOT_REPRODUCED} {', '.join(missed)}"
    left = min((wanted - own for own in met.values()), key=len, default=wanted)
    why = (
        f"{len(left)} of {len(wanted)} published figures are in no interval of {RUNS} or more runs under one protocol"
        if left
        else "results under one protocol contradict each other"
    )
    return "open", f"{why}; {_said(real)}", "undecided"


def _said(found: Iterable[dict[str, Any]]) -> str:
    """Return our figures with their intervals, and the published ones, in a text."""
    texts: dict[str, list[str]] = {}
    for row in found:
        low, figure = row["low"], row["published"]
        interval = f" ({low:.2f} to {row['high']:.2f})" if low == low else ""
        beside = f", published {figure:.2f}" if figure == figure else ""
        place = f"{row['protocol']}, {row['data']}, {row['steps']} steps"
        texts.setdefault(place, []).append(f"{row['solver']} {row['fid']:.2f}{interval}{beside}")
    return "; ".join(f"{place}: {', '.join(own)}" for place, own in texts.items())
