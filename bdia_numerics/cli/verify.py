"""The command `bdia verify`, the main job."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bdia_numerics.cli.options import AsJson
from bdia_numerics.cli.show import as_text, console, plain, progress, table, usage

if TYPE_CHECKING:
    from bdia_numerics.claims.ledger import Decided, MutantResult
    from bdia_numerics.studies.results import Digits

REPORT = Path("report.html")
COLOURS = {
    "proved": "blue",
    "measured": "green",
    "misprint": "yellow",
    "conjecture corrected": "yellow",
    "check failed": "bold red",
}


def verify(
    quick: Annotated[bool, typer.Option("--quick", help="Leave out the slow checks (the default).")] = False,
    full: Annotated[bool, typer.Option("--full", help="Run the slow checks too.")] = False,
    only: Annotated[
        list[str] | None, typer.Option("--only", metavar="ID,ID", help="Decide these claims alone.")
    ] = None,
    as_json: AsJson = False,
    html: Annotated[Path | None, typer.Option("--html", metavar="PATH", help="Where to write the report.")] = None,
    markdown: Annotated[
        Path | None, typer.Option("--markdown", metavar="PATH", help="Where to write the ledger as a page in Markdown.")
    ] = None,
    mutants: Annotated[bool, typer.Option("--mutants", help="Run each check on the errors it must notice.")] = False,
) -> None:
    """Decide the claims of the paper, print the ledger and write report.html.

    With --only or --json the report is written only where --html says. The exit status is 1 if a check failed, or, with
    --mutants, if one did not notice an error.
    """
    if quick and full:
        usage("--quick and --full exclude each other: give one")
    for option, given in (("--html", html), ("--markdown", markdown)):
        if given is not None:
            _writable(option, given, mutants=mutants)
    ids = [name.strip() for part in only or () for name in part.split(",") if name.strip()]
    if only is not None and not ids:
        usage("--only is empty: give ids like prop-1,eq-33")
    if mutants:
        raise typer.Exit(_mutants(ids or None, as_json=as_json))
    decided = _decide(ids or None, full=full)
    results = _real_input(decided)
    path = html or (None if ids or as_json else REPORT)
    if as_json:
        typer.echo(as_text(_ledger(decided, results)))
    else:
        _print_ledger(decided, results)
    if path:
        _write(path, decided, results)
    if markdown:
        from bdia_numerics.pages.ledger import ledger

        _save("--markdown", markdown, ledger(decided))
    raise typer.Exit(int(any(d.verdict == "failed" for d in decided)))


def _writable(option: str, path: Path, *, mutants: bool) -> None:
    if mutants:
        usage(f"{option} does not go with --mutants: leave one out")
    if not path.absolute().parent.is_dir():
        usage(f"{option}={path}: there is no folder {path.absolute().parent}, make it first")
    if path.is_dir():
        usage(f"{option}={path} is a folder: give the path of a file in it")


def _save(option: str, path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        usage(f"{option}={path} cannot be written ({error.strerror}): give another path")


def _decide(only: Sequence[str] | None, *, full: bool) -> list[Decided]:
    from bdia_numerics.claims import ledger

    try:
        total = len(ledger.select(only))
    except ValueError as error:
        usage(str(error))
    with progress() as bar:
        task = bar.add_task("deciding", total=total)
        decided = []
        for d in ledger.decide(only, full=full):
            decided.append(d)
            bar.update(task, advance=1, description=d.statement.id)
    return decided


def _mutants(only: Sequence[str] | None, *, as_json: bool) -> int:
    from bdia_numerics.claims import ledger

    try:
        checks = ledger.unique_checks(only)
    except ValueError as error:
        usage(str(error))
    pairs = [(check, name) for check in checks for name in check.mutants]
    found: list[MutantResult] = []
    with progress() as bar:
        task = bar.add_task("mutants", total=len(pairs))
        for check, name in pairs:
            bar.update(task, description=check.ids[0])
            found.append(ledger.run_mutant(check, name))
            bar.update(task, advance=1)
    if as_json:
        listed = [
            {"claims": list(r.ids), "mutant": r.mutant, "killed": r.killed, "skipped": r.skipped, "how": r.how}
            for r in found
        ]
        typer.echo(as_text({"mutants": listed}))
    else:
        rows = table("check", "mutant", "killed", "how")
        for r in found:
            killed = "yes" if r.killed else "skipped" if r.skipped else "[bold red]NO[/]"
            rows.add_row(", ".join(r.ids), r.mutant, killed, plain(r.how))
        screen = console()
        screen.print(rows)
        skipped = f", {n} skipped" if (n := sum(r.skipped for r in found)) else ""
        killed = f"{sum(r.killed for r in found)} of {len(found)} mutants killed{skipped}"
        screen.print(killed if found else "no check, so no mutants")
    return int(not all(r.killed or r.skipped for r in found))


def _real_input(decided: Sequence[Decided]) -> Digits | None:
    """Return the study behind the claim "digits" where that was decided; it is kept, so that this costs nothing."""
    if not any(d.statement.id == "digits" and d.verdict == "measured" for d in decided):
        return None
    from bdia_numerics.studies import digits

    return digits.study()


def _ledger(decided: Sequence[Decided], results: Digits | None) -> dict[str, Any]:
    from bdia_numerics.pages.template import versions

    claims = [
        {
            "id": d.statement.id,
            "statement": d.statement.statement,
            "verdict": d.verdict,
            "kind": d.kind,
            "evidence": d.evidence,
            "seconds": round(d.seconds, 4),
            **({"conjectured": d.statement.printed} if d.verdict == "refuted" else {}),
        }
        for d in decided
    ]
    rows = [asdict(r) for r in results.rows] if results else []
    return {"claims": claims, "real_input": rows, "versions": versions()}


def _write(path: Path, decided: Sequence[Decided], results: Digits | None) -> None:
    from bdia_numerics import plots
    from bdia_numerics.pages.ledger_html import render
    from bdia_numerics.studies import digits

    study: dict[str, Any] = {}
    if results:
        study = {"results": results, "runs": digits.portraits(), "choices": digits.choices()}
    _save("--html", path, render(decided, **study))
    if results and not plots.available():
        typer.echo(plots.MISSING, err=True)
    typer.echo(f"report: {path}", err=True)


def _print_ledger(decided: Sequence[Decided], results: Digits | None) -> None:
    from bdia_numerics.claims.ledger import counted, counts
    from bdia_numerics.formulas import number
    from bdia_numerics.pages.ledger import texts

    screen = console()
    rows = table("claim", "title", "what happened", "evidence", "seconds")
    for d in decided:
        seconds = f"{d.seconds:.2f}" if d.seconds else ""
        kind = f"[{COLOURS.get(d.kind, 'default')}]{d.kind}[/]"
        both = "" if d.statement.of_paper else "".join(f"{label}: {text} " for label, text in texts(d)[:2])
        rows.add_row(d.statement.id, plain(d.statement.title), kind, plain(both + d.evidence), seconds)
    screen.print(rows)
    if results:
        spacing = results.config.spacings[-1]
        head = (
            "solver",
            "steps",
            "NFE",
            "x_0 to truth",
            "latent to truth",
            "latent std",
            "noise and back",
            "data and back",
        )
        measured = table(*head)
        measured.title = f"Digits, Stable Diffusion schedule, {spacing} grid, float64 (root mean squares)"
        for r in results.rows:
            if (r.spacing, r.dtype) == (spacing, "float64"):
                values = (r.error, r.latent_distance, r.latent_std, r.noise_round_trip, r.data_round_trip)
                measured.add_row(r.solver, str(r.steps), str(r.nfe), *(number(v) for v in values))
        screen.print(measured)
    for whose, kinds in counts(decided).items():
        if kinds:
            screen.print(f"{whose}: {counted(kinds)}")
