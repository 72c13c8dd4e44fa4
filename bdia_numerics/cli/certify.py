"""The command `bdia certify`: which claims on a sampler hold."""

from __future__ import annotations

import inspect
import re
from dataclasses import asdict
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Annotated, Any
from xml.etree import ElementTree as ET

import typer

from bdia_numerics import configs, names, solvers
from bdia_numerics.cli.options import (
    AsJson,
    counting,
    known_solvers,
    parts,
    put_json,
    require_torch,
    show_table,
    visible,
)
from bdia_numerics.runs.files import check, write
from bdia_numerics.spaces.later import Later
from bdia_numerics.texts import one_of

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
