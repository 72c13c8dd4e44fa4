"""What is measured on real data: DDIM and BDIA on handwritten digits, and published tables by results of `bdia reproduce`."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from bdia_numerics.claims.entries import NOT_REPRODUCED
from bdia_numerics.claims.ledger import check, mutant, mutate, require, statements
from bdia_numerics.runs import encoding
from bdia_numerics.solvers import BDIA, CBDIA, EDICT
from bdia_numerics.studies import load, protocols, reproduction, run
from bdia_numerics.studies.digits import DIGITS, Config, choices, contenders, images, portraits, study, study_of
from bdia_numerics.studies.records import config_of, records
from bdia_numerics.texts import refuse

Row = Mapping[str, Any]


def encode_with_one_for_eps() -> Callable[..., encoding.Solution]:
    """Return `encode` with an error seen in the wild: the start's step adds its coefficient without `* eps`."""
    encode = mutate(
        encoding.encode, ("drive(course, model,", "drive(course, one_at_first(model, structure(solver).depth),")
    )
    inspect.unwrap(encode).__globals__["one_at_first"] = _one_at_first
    return encode


def _one_at_first(model: Any, count: int) -> Callable[[Any, Any], Any]:
    """Return a model that is 1 at its first evaluations, those of the start."""
    left = iter(range(count))
    return lambda z, t: model(z, t) if next(left, None) is None else 1 + 0 * z


MUTANTS = {
    "the start of encode lacks eps": {"encode": encode_with_one_for_eps},
    "the sign of BDIA's backward increment is flipped": {
        "bdia": mutant(BDIA, ("- g * backward", "+ g * backward")),
    },
    "the sign of BDIA's forward increment is flipped": {"bdia": mutant(BDIA, ("+ forward", "- forward"))},
    "EDICT's second half step doubled": {"edict": mutant(EDICT, ("second + s.delta", "second + 2 * s.delta"))},
    "CBDIA's backward increment added": {"cbdia": mutant(CBDIA, ("y - s.delta(end", "y + s.delta(end"))},
}


@check(
    "digits",
    verdict="measured",
    mutants=MUTANTS,
    shows={"results": study, "runs": portraits, "choices": choices},
)
def digits(
    bdia: Callable[[float], Any] = BDIA,
    edict: Callable[..., Any] = EDICT,
    cbdia: Callable[[], Any] = CBDIA,
    encode: Callable[..., encoding.Solution] = encoding.encode,
) -> dict[str, Any]:
    """Compare both sides of every round trip, at the smallest and the largest number of steps."""
    config = Config()
    said = (config.bandwidth, config.steps[0], config.steps[-1], config.spacings) == (
        0.25,
        10,
        50,
        ("leading", "trailing"),
    )
    require(said, f"the statement is about bandwidth 0.25 and 10 to 50 steps on two grids, not {config}")
    if (bdia, edict, cbdia, encode) != (BDIA, EDICT, CBDIA, encoding.encode):
        config = replace(config, steps=(config.steps[0], config.steps[-1]))
        results = records(DIGITS, run(study_of(contenders(bdia, edict, cbdia), encode), config))
    else:
        results = records(DIGITS, study())
    for spacing in config.spacings:
        for dtype in config.dtypes:
            _returns(results, spacing, dtype)
            _grows_as_gamma_says(results, spacing, dtype)
            _coupled_return(results, spacing, dtype)
        _nears_the_truth(results, spacing)
        _coupled_converge(results, spacing)

    def last(solver: str, dtype: str = "float64") -> Row:
        return _row(results, solver, "trailing", dtype, config.steps[-1])

    gamma = 0.5
    return {
        "config": config,
        "pixels": images(config).shape[1],
        "gamma": gamma,
        "ddim": last("DDIM"),
        "one": last("BDIA, gamma 1"),
        "half": last(f"BDIA, gamma {gamma}"),
        "single": last(f"BDIA, gamma {gamma}", "float32"),
        "edict": last("EDICT, p 0.93"),
        "cbdia": last("CBDIA, 0.95, 0.05"),
    }


def _rows(results: Sequence[Row], solver: str, spacing: str, dtype: str = "float64") -> list[Row]:
    steps = Config().steps
    return [_row(results, solver, spacing, dtype, n) for n in (steps[0], steps[-1])]


def _row(results: Sequence[Row], *place: Any) -> Row:
    return next(r for r in results if (r["solver"], r["spacing"], r["dtype"], r["steps"]) == place)


def _returns(results: Sequence[Row], spacing: str, dtype: str) -> None:
    """Require round trips at rounding of BDIA with gamma 1, and only there."""
    eps = float(np.finfo(dtype).eps)
    for r in _rows(results, "BDIA, gamma 1", spacing, dtype):
        # Each of N slots adds a few roundings of states of size 1, and with gamma 1 none of them grows by much.
        worst, most = max(r["data_round_trip"], r["noise_round_trip"]), 8 * r["steps"] * eps
        require(0 < worst < most, f"{_place(r)}: round trips of {worst:.1e}, not within (0, {most:.1e})")
    for r in _rows(results, "DDIM", spacing, dtype):
        least = min(r["data_round_trip"], r["noise_round_trip"])
        require(0.01 < least < 1, f"{_place(r)}: round trips of {least:.1e}, not within (0.01, 1)")


def _grows_as_gamma_says(results: Sequence[Row], spacing: str, dtype: str) -> None:
    """Require that with gamma 0.5 rounding grows like 2^(N-1) from noise to data and back, two orders around it."""
    for r in _rows(results, "BDIA, gamma 0.5", spacing, dtype):
        expected = 2.0 ** (r["steps"] - 1) * float(np.finfo(dtype).eps)
        found = r["noise_round_trip"] / expected
        require(
            0.01 < found < 100, f"{_place(r)}: a round trip of {r['noise_round_trip']:.1e}, {found:.1e} of 2^(N-1) eps"
        )


AMPLIFICATION = {"EDICT, p 0.93": 0.93**-2, "EDICT, exchanging": 0.93**-2, "CBDIA, 0.95, 0.05": 1 / 0.9}
"""By how much one slot of the inverse enlarges an error: p^-2, and 1/|gamma_1 - gamma_2|."""


def _coupled_return(results: Sequence[Row], spacing: str, dtype: str) -> None:
    """Require round trips of the coupled solvers at rounding, times what their inverses enlarge it by."""
    for name, rate in AMPLIFICATION.items():
        for r in _rows(results, name, spacing, dtype):
            worst = max(r["data_round_trip"], r["noise_round_trip"])
            most = 8 * r["steps"] * rate ** r["steps"] * float(np.finfo(dtype).eps)
            require(0 < worst < most, f"{_place(r)}: round trips of {worst:.1e}, not within (0, {most:.1e})")


def _coupled_converge(results: Sequence[Row], spacing: str) -> None:
    """Require samples to converge, with order 1 at least and the excess that few steps of EDICT show."""
    for name in AMPLIFICATION:
        rows = _rows(results, name, spacing)
        order = _order([r["error"] for r in rows], rows)
        require(0.6 < order < 3.5, f"{name}, {spacing}: samples converge with order {order:.2f}")


def _nears_the_truth(results: Sequence[Row], spacing: str) -> None:
    """Require that latents and samples converge to the reference as they should, or diverge as they should."""
    ddim, one = (_rows(results, name, spacing) for name in ("DDIM", "BDIA, gamma 1"))
    for r, by in zip(one, ddim, strict=True):
        place = f"{_place(r)}: the round trip is {r['data_round_trip']:.1e}, but the latent"
        # Measured 0.33 to 0.55 of DDIM inversion's distance. The reference is 1e5 times better than either.
        ratio = r["latent_distance"] / by["latent_distance"]
        require(0.2 < ratio < 0.75, f"{place} is {ratio:.2f} times as far from the truth as that of DDIM inversion")
        require(0.7 < r["latent_std"] < 1.1, f"{place} has a standard deviation of {r['latent_std']:.2f}")
    for name, rows in (("DDIM inversion", ddim), ("BDIA, gamma 1", one)):
        order = _order([r["latent_distance"] for r in rows], rows)
        require(0.7 < order < 2.3, f"{name}, {spacing}: latents converge with order {order:.2f}")
    require(one[-1]["error"] < 0.8 * ddim[-1]["error"], f"{_place(one[-1])}: samples no better than DDIM's")
    require(one[0]["reference_error"] + one[0]["latent_reference_error"] < 1e-6, "the reference is too coarse")
    half = _rows(results, "BDIA, gamma 0.5", spacing)
    rate = (half[1]["latent_distance"] / half[0]["latent_distance"]) ** (1 / (half[1]["steps"] - half[0]["steps"]))
    require(1.8 < rate < 2.1, f"{_place(half[1])}: latents leave the truth by {rate:.2f} per step, not by about 2")


def _order(errors: Sequence[float], rows: Sequence[Row]) -> float:
    return float(np.log(errors[0] / errors[-1]) / np.log(rows[-1]["steps"] / rows[0]["steps"]))


def _place(r: Row) -> str:
    return f"{r['solver']}, {r['spacing']} grid, {r['steps']} steps, {r['dtype']}"


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
        path = folder / f"{reproduction.REPRODUCTION.name}.nc"
        refuse(
            (not folder.is_dir(), f"--results={folder}: there is no such folder"),
            (
                not path.is_file(),
                f"--results={folder} has no {path.name}: run the same `bdia reproduce` again until it ends",
            ),
        )
        dataset = load(path)
        try:
            config = config_of(reproduction.REPRODUCTION, dataset)
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
        found.setdefault(config.table, []).extend({**row, "data": config.chosen} for row in reproduction.rows(dataset))
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
            if away > half * reproduction.widened(row["runs"], len(wanted)):
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
