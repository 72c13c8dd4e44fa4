"""Commands that judge what is given: `bdia certify` a sampler, `bdia lint` a configuration, `bdia roundtrip` a solver."""

from __future__ import annotations

import inspect
import json
import re
from dataclasses import asdict
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Annotated, Any
from xml.etree import ElementTree as ET

import numpy as np
import typer

from bdia_numerics import configs, names, solvers
from bdia_numerics.cli.options import (
    AsJson,
    Distribution,
    Inversion,
    OneGrid,
    OneSolver,
    ScheduleName,
    analysis,
    counting,
    known_solvers,
    parts,
    put_json,
    require_torch,
    runs,
    say,
    show_table,
    visible,
)
from bdia_numerics.formulas import number
from bdia_numerics.runs.files import check, write
from bdia_numerics.spaces.later import Later
from bdia_numerics.texts import one_of, reals

testing = Later("bdia_numerics.testing")
driving = Later("bdia_numerics.testing.driving")
COLOURS = {"measured": "green", "failed": "bold red", "undecided": "yellow"}
_KINDS = (
    "a solver of `bdia list` with its parameters, such as bdia:gamma=9/10; a scheduler of diffusers with its options, such as "
    "DDIMScheduler:clip_sample=false; or file.py:function (or module:function), which is imported and run: of the form sample(eps, grid, "
    "z), or that of k-diffusion, (model, x, sigmas), with its options behind it"
)


def certify(
    subject: Annotated[str, typer.Argument(help=f"What is certified: {_KINDS}.", autocompletion=known_solvers)],
    claims: Annotated[
        list[str] | None,
        typer.Option(
            "--claim",
            metavar="CLAIM,...",
            help="Of order=2, inverse-order=2, nfe=1 (nfe=1+8: and 8 a run), inverse-nfe=1, invertible, round-trip=1e-6, latent and "
            "same=SOLVER; again or with commas for more. A family behind it, order=1@alternating, is that of this claim alone.",
        ),
    ] = None,
    families: Annotated[
        list[str] | None,
        typer.Option(
            "--family",
            help="Grids on which order, inverse and latents are decided, and how they are refined: smooth, alternating, random, leading, "
            "trailing and flow; of a scheduler smooth, alternating and own.",
        ),
    ] = None,
    invert: Annotated[
        str | None,
        typer.Option(help="The way from data to noise, of the same form as the subject; solvers need none."),
    ] = None,
    distribution: Annotated[
        str | None,
        typer.Option(help="Of the data, as in `bdia converge`.", show_default="a mixture of two modes on the line"),
    ] = None,
    mu: Annotated[float | None, typer.Option(help="The shift of flows with use_dynamic_shifting.")] = None,
    junit: Annotated[
        Path | None, typer.Option("--junit", metavar="FILE.xml", help="Write the verdicts as JUnit's XML, too.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Decide claims on a sampler against exact solutions: its order, its inverse, its latents and its cost.

    The subject's module is imported and its code is run. The exit status is 1 if a claim fails, and 3 if none fails and one is undecided.
    """
    check("--junit", junit, (".xml",))
    # A solver takes options with commas, and none is called nfe or same.
    wanted = tuple(claim for text in parts(claims, ()) for claim in re.split(r",\s*(?=(?:nfe|same)\s*=)", text))
    if not wanted:
        raise ValueError("--claim is missing: write one, such as --claim order=2,invertible,nfe=1")
    chosen, inverse = subject_of("SUBJECT", subject), invert and subject_of("--invert", invert, inverse=True)
    options: dict[str, Any] = {"problem": names.distribution(distribution)} if distribution else {}
    with counting("certifying", None):
        found = testing.certify(chosen, wanted, parts(families, ("smooth",)), invert=inverse, mu=mu, **options)
    if junit is not None:
        write(junit, as_junit(subject, found))
    if as_json:
        put_json({"subject": subject, "invert": invert, "claims": [asdict(line) for line in found]})
    else:
        heads = ("claim", "grids", "verdict", "measured")
        rows = ((d.claim, d.family, (d.verdict, COLOURS[d.verdict]), d.numbers) for d in found)
        show_table(heads, rows, whole=("claim", "verdict"))
        for line in found:
            if line.reason:
                typer.echo(visible(f"{_named(line)}: {line.reason}"))
    verdicts = {line.verdict for line in found}
    raise typer.Exit(1 if "failed" in verdicts else 3 if "undecided" in verdicts else 0)


def subject_of(option: str, text: str, inverse: bool = False) -> Any:
    """Return the solver, function or scheduler that a text names, with the options behind it.

    Raises
    ------
    ValueError
        For a name that is not known, a module or object that is not there, and an option that it does not take.
    """
    schedulers = {word.lower(): word for word in configs.FAMILIES}
    word = re.split(r"[:(]", text)[0].lower()
    if word in schedulers:
        require_torch()
        make, positional, named = names.read(
            option, text, {word: driving.scheduler_class(schedulers[word])}, words=True
        )
    elif names.module_of(text) is None:
        if word.endswith(".py"):
            raise ValueError(f"{option}={text} names no function: write {text}:sample, with the name of yours")
        if word not in map(str.lower, solvers.SOLVERS):
            one_of(option, word, (*solvers.SOLVERS, *configs.FAMILIES))
        return names.solver(text)
    else:
        make, positional, named = names.read(option, text, {})
        if hasattr(make, "registers") and hasattr(make, "step"):
            return names.solver(text)
    named = {key: float(value) if isinstance(value, Fraction) else value for key, value in named.items()}
    if isinstance(make, type) or not callable(make):
        return names.object_made(option, text, make, positional, named, not isinstance(make, type))
    try:
        takes = list(inspect.signature(make).parameters)
        inspect.signature(make).bind_partial(**named)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{option}={text}: {error}") from None
    if takes[2:3] == ["sigmas"]:
        return testing.from_kdiffusion(make, inverse=inverse, **named)
    return partial(make, **named) if named else make


def as_junit(subject: str, found: Any) -> str:
    """Return verdicts as JUnit's XML: a claim that fails is a failure, and one that is undecided an error."""
    suite = ET.Element("testsuite", name=f"bdia certify {subject}", tests=str(len(found)))
    for verdict, kind in (("failed", "failures"), ("undecided", "errors")):
        suite.set(kind, str(sum(line.verdict == verdict for line in found)))
    for line in found:
        case = ET.SubElement(suite, "testcase", classname=subject, name=_named(line), time=f"{line.seconds:.3f}")
        if line.verdict != "measured":
            kind = "failure" if line.verdict == "failed" else "error"
            ET.SubElement(case, kind, type=line.verdict, message=visible(line.reason))
        ET.SubElement(case, "system-out").text = visible(line.numbers)
    return ET.tostring(suite, encoding="unicode", xml_declaration=True) + "\n"


def _named(line: Any) -> str:
    return f"{line.claim} on {line.family} grids" if line.family and "@" not in line.claim else str(line.claim)


SEVERITIES = {"error": "bold red", "warning": "yellow", "note": "default"}


def lint(
    config: Annotated[
        str | None,
        typer.Argument(
            help="scheduler_config.json, a pipeline's folder, or a CompVis YAML; without it, DDIMScheduler's defaults."
        ),
    ] = None,
    entries: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="An entry, such as steps_offset=1; may be repeated."),
    ] = None,
    ignore: Annotated[
        list[str] | None,
        typer.Option(
            metavar="KEY", help="An entry that nothing reads and that is known to do nothing; may be repeated."
        ),
    ] = None,
    steps: Annotated[int | None, typer.Option(help="Number of steps of the scheduler.", show_default="50")] = None,
    mu: Annotated[float | None, typer.Option(help="The shift of flows with use_dynamic_shifting.")] = None,
    timesteps: Annotated[
        str | None, typer.Option(help="Times passed to set_timesteps, such as 999,749,499,249.")
    ] = None,
    sigmas: Annotated[str | None, typer.Option(help="Levels passed to set_timesteps, such as 1,.75,.5,.25.")] = None,
    walk: Annotated[
        bool,
        typer.Option("--walk", help="Print the steps: the time told to the network, and sigma/alpha at both ends."),
    ] = False,
    solver: OneSolver = "BDIA",
    dtype: Annotated[str, typer.Option(help=f"Of the run: {', '.join(names.ARRAY_DTYPES)}.")] = "float32",
    prediction: Annotated[
        str | None, typer.Option(help="What the code reads the network's output as: eps, x0, v or velocity.")
    ] = None,
    tolerance: Annotated[
        float, typer.Option(help="Largest round-trip error to accept, in standard deviations of the data.")
    ] = 1e-4,
    as_json: AsJson = False,
) -> None:
    """Find the defects of a scheduler's configuration, what each costs, and its remedy.

    Costs are measured on a mixture on the line against its exact flow. The exit status is 1 if there is an error.
    """
    known = frozenset(ignore or ())
    chosen = configs.read(config, ignore=known) if config is not None else configs.from_mapping({})
    if entries:
        chosen = chosen.changed(**{key: value for key, value in map(_entry, entries) if key not in known})
    asked: dict[str, Any] = {
        "mu": mu,
        "timesteps": timesteps and list(reals("--timesteps", timesteps)),
        "sigmas": sigmas and list(reals("--sigmas", sigmas)),
    }
    asked["n"] = 50 if steps is None and timesteps is None and sigmas is None else steps
    taken = _walk(chosen, asked) if walk or as_json else None
    found = analysis.lint(
        chosen,
        steps=asked["n"],
        mu=mu,
        timesteps=asked["timesteps"],
        sigmas=asked["sigmas"],
        solver=names.solver(solver),
        dtype=dtype,
        prediction=prediction,
        tolerance=tolerance,
    )
    count = asked["n"] or len(asked["timesteps"] or asked["sigmas"])
    if as_json:
        put_json({"scheduler": chosen.name, "steps": count, "walk": taken, "findings": [asdict(f) for f in found]})
    else:
        if taken is not None:
            _print_walk(taken)
        _print(chosen.name, count, found)
    raise typer.Exit(int(any(f.severity == "error" for f in found)))


def _walk(config: Any, asked: dict[str, Any]) -> dict[str, Any] | None:
    """Return the steps of a walk by column; None where it is not read, which a finding says."""
    try:
        found = configs.layout(config, **asked)
    except ValueError as error:
        if config.known and not isinstance(error, configs.OutOfTableError):
            raise
        return None
    columns = {name: [getattr(step, name) for step in found.steps] for name in ("t", "s", "s_end")}
    return columns | {"told": list(found.told), "levels": found.levels.kind}


def _print_walk(taken: dict[str, Any]) -> None:
    steps = enumerate(zip(taken["t"], taken["s"], taken["s_end"], strict=True), 1)
    rows = ((k, f"{t:.10g}", f"{s:.6g}", f"{end:.6g}") for k, (t, s, end) in steps)
    show_table(("step", "time told", "sigma/alpha before", "after"), rows)


def _entry(text: str) -> tuple[str, Any]:
    key, sign, value = text.partition("=")
    if not sign or not key:
        raise ValueError(f"--set={text} is not an entry: write KEY=VALUE, such as steps_offset=1")
    try:
        return key, json.loads(value.lower() if value in ("True", "False") else value)
    except json.JSONDecodeError:
        return key, value


def _print(name: str, steps: int, found: Any) -> None:
    if not found:
        typer.echo(f"{name}, {steps} steps: nothing found")
        return
    heads = ("severity", "rule", "where", "what", "remedy", "cost")
    rows = (((f.severity, SEVERITIES[f.severity]), f.rule, f.where, f.message, f.remedy, f.cost or "") for f in found)
    show_table(heads, rows, whole=("severity", "rule"))


STATES = 64


def roundtrip(
    solver: OneSolver = "BDIA",
    exact: Annotated[bool, typer.Option("--exact", help="Run on the integer lattice and compare every bit.")] = False,
    grid: OneGrid = "uniform",
    schedule: ScheduleName = "vp_linear",
    distribution: Distribution = "peaks",
    inversion: Inversion = "default",
    steps: Annotated[int, typer.Option(help="Slots of the grid.")] = 50,
    dtype: Annotated[str, typer.Option(help="float32 or float64.")] = "float64",
    bits: Annotated[int, typer.Option(help="The lattice's unit is 2^-bits.")] = 40,
    seed: Annotated[int, typer.Option(help="Seed of the noise.")] = 0,
    as_json: AsJson = False,
) -> None:
    """Go from noise to data and back, on a distribution with its exact score, a mixture of two narrow Gaussians in the plane by default.

    Without --exact it prints the error of the round trip, the inversion that ran, and the distance of the data end from the exact state.
    For DDIM it prints inversion (10) and inversion (23), in which the model is told the time of the state that it is given. With --exact it
    prints the number of differing bits and the size of the remainder buffer with its bound; the exit status is 1 if a bit differs, or
    if the error of what comes back is as large as the state.
    """
    chosen = names.solver(solver)
    law, levels = names.distribution(distribution), names.schedule(schedule)
    slots = names.grid(grid or "uniform")(levels, steps, seed=seed)
    found = _run(
        chosen, law, levels, slots, one_of("--dtype", dtype, ("float32", "float64")), bits, seed, exact, inversion
    )
    say(found, _lines, as_json, "--exact" * exact)
    raise typer.Exit(int(found["status"] != "ok" or bool(found.get("differing_bits")) or bool(found.get("unsteady"))))


def _run(
    solver: Any, law: Any, schedule: Any, grid: Any, dtype: str, bits: int, seed: int, exact: bool, inversion: str
) -> dict[str, Any]:
    derived, method, model = runs.solving.DERIVED, runs.inversion.named(inversion), law.model(schedule)
    z = np.random.default_rng(seed).standard_normal((STATES, law.dimension)).astype(dtype)
    options = names.options_of(solver)
    head = {"solver": type(solver).__name__, "parameters": options, "steps": grid.n, "dtype": dtype, "exact": exact}
    if exact:
        if method is not None:
            raise ValueError(f"--exact runs the derived inverse: leave out --inversion={inversion}")
        outcome = asdict(runs.encoding.bit_exact_round_trip(solver, model, grid, z, bits=bits))
        done = outcome.pop("status")
        status = (
            "ok" if done["ok"] else f"{done['register']} left the range 2^60 units in the slot from i={done['slot']}"
        )
        return {**head, "inversion": derived, "elements": z.size, "bits": bits, **outcome, "status": status}
    measures = ("inversion", "error", "latent", "reference_error", "nfe")

    def both_ways(method: Any) -> dict[str, Any]:
        trip = runs.encoding.round_trip(solver, model, grid, z, method=method)
        return {**{k: getattr(trip, k) for k in measures}, "status": str(trip.status)}

    found = head | both_ways(method)
    if found["status"] != "ok" and found["inversion"] == derived:
        found["amplification"] = analysis.inverse_growth(solver, grid)
    if method is None and found["inversion"] == runs.inversion.name_of(runs.inversion.INVERSIONS["(10)"]):
        found["beside"] = both_ways(runs.inversion.INVERSIONS["(23)"])
    return found


def _lines(found: dict[str, Any]) -> list[str]:
    written = ", ".join(f"{k}={v}" for k, v in found["parameters"].items())
    lines = [f"{found['solver']}({written}), {found['steps']} steps, {found['dtype']}: {found['status']}"]
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
    if found.get("amplification"):
        lines.append(
            f"predicted: the inverse amplifies a disturbance {number(found['amplification'])} times towards the noise"
        )
    return [
        *lines,
        *(
            f"returns to {way['error']:.3g} (root mean square), inversion: {way['inversion'] or 'none ran'}"
            for way in ways
        ),
        f"data end {found['latent']:.3g} from the true ODE state, which is known to {found['reference_error']:.1g}",
    ]
