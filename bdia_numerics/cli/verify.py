"""The command `bdia verify`, the main job."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bdia_numerics.cli.options import PAGE, AsJson, Html, claims, counting, plots, put_json, show_table, site, studies
from bdia_numerics.cli.studies import show_rows
from bdia_numerics.runs.files import check, write
from bdia_numerics.texts import refuse

if TYPE_CHECKING:
    from xarray import Dataset

    from bdia_numerics.claims.ledger import Decided, MutantResult

REPORT = Path("report.html")
SETTLED = ("proved", "measured", "definition")
"""Kinds whose claims are not named in the summary: there is nothing that a reader has to be told of each."""
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
    whole: Annotated[
        bool, typer.Option("--all", help="Print every claim with its evidence, and the runs on digits.")
    ] = False,
    as_json: AsJson = False,
    html: Html = None,
    markdown: Annotated[
        Path | None, typer.Option("--markdown", metavar="PATH", help="Write the ledger as a page in Markdown.")
    ] = None,
    results: Annotated[
        list[Path] | None,
        typer.Option(
            "--results", metavar="FOLDER", help="Results of `bdia reproduce`, which decide a table's claim; repeatable."
        ),
    ] = None,
    mutants: Annotated[bool, typer.Option("--mutants", help="Run each check on the errors it must notice.")] = False,
) -> None:
    """Decide the claims of the paper, print how many hold and which do not, and write report.html, which has the evidence of each.

    With --only or --json the report is written only where --html says. The exit status is 1 if a check failed, or, with
    --mutants, if one did not notice an error.
    """
    beside = {"--results": results or None, "--html": html, "--markdown": markdown} if mutants else {}
    refuse(
        *(
            (given is not None, f"{option} does not go with --mutants: leave one out")
            for option, given in beside.items()
        ),
        (quick and full, "--quick and --full exclude each other: give one"),
    )
    check("--html", html, PAGE)
    check("--markdown", markdown, (".md",))
    ids = [name.strip() for part in only or () for name in part.split(",") if name.strip()]
    if only is not None and not ids:
        raise ValueError("--only is empty: give ids like prop-1,eq-33")
    if mutants:
        raise typer.Exit(_mutants(ids or None, as_json=as_json))
    site.template.require_pages(html or markdown)
    unasked = None if ids or as_json else REPORT
    if unasked and not site.template.available():
        typer.echo(site.template.MISSING, err=True)
        unasked = None
    path = html or unasked
    check("--html", path)
    told = claims.measured.decided(results) if results else {}
    decided = _decide(ids or None, told, full=full, show=("results", *(("runs", "choices") if path else ())))
    shown = {name: data for d in decided for name, data in d.shown.items()}
    if as_json:
        put_json(_ledger(decided, shown.get("results")))
    elif ids or whole:
        _print_ledger(decided, shown.get("results"))
    else:
        _print_summary(decided)
    if path:
        _write(path, decided, shown)
    if markdown:
        write(markdown, site.ledger.ledger(decided))
    raise typer.Exit(int(any(d.verdict == "failed" for d in decided)))


def _decide(
    only: Sequence[str] | None, results: Mapping[str, tuple[str, str, str]], *, full: bool, show: Sequence[str]
) -> list[Decided]:
    ledger, decided = claims.ledger, []
    with counting("deciding", len(ledger.select(only))) as advance:
        for d in ledger.decide(only, full=full, show=show, results=results):
            decided.append(d)
            advance(d.statement.id)
    return decided


def _mutants(only: Sequence[str] | None, *, as_json: bool) -> int:
    ledger = claims.ledger
    checks = ledger.unique_checks(only)
    pairs = [(check, name) for check in checks for name in check.mutants]
    found: list[MutantResult] = []
    with counting("mutants", len(pairs)) as advance:
        for check, name in pairs:
            found.append(ledger.run_mutant(check, name))
            advance(check.ids[0])
    if as_json:
        listed = [
            {"claims": list(r.ids), "mutant": r.mutant, "killed": r.killed, "skipped": r.skipped, "how": r.how}
            for r in found
        ]
        put_json({"mutants": listed}, "--mutants")
    else:
        said = ("yes" if r.killed else "skipped" if r.skipped else ("NO", "bold red") for r in found)
        rows = ((", ".join(r.ids), r.mutant, killed, r.how) for r, killed in zip(found, said, strict=True))
        show_table(("check", "mutant", "killed", "how"), rows, whole=("killed",))
        skipped = f", {n} skipped" if (n := sum(r.skipped for r in found)) else ""
        count = f"{sum(r.killed for r in found)} of {len(found)} mutants killed{skipped}"
        typer.echo(count if found else "no check, so no mutants")
    return int(not all(r.killed or r.skipped for r in found))


def _ledger(decided: Sequence[Decided], results: Dataset | None) -> dict[str, Any]:
    listed = [
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
    rows = studies.records.records(studies.digits.DIGITS, results) if results else []
    return {"claims": listed, "real_input": rows, "versions": site.template.versions()}


def _write(path: Path, decided: Sequence[Decided], shown: dict[str, Any]) -> None:
    write(path, site.ledger.render(decided, **shown))
    if shown and not plots.available():
        typer.echo(plots.MISSING, err=True)
    typer.echo(f"report: {path}", err=True)


def _print_summary(decided: Sequence[Decided]) -> None:
    """Print how many claims there are of each kind, and name those that are not simply true; a check that failed is shown whole."""
    failed = [d for d in decided if d.verdict == "failed"]
    if failed:
        _print_ledger(failed, None)
    rows: list[tuple[Any, ...]] = []
    for whose, kinds in claims.ledger.counts(decided).items():
        for kind, number in kinds.items():
            ids = (d.statement.id for d in decided if d.kind == kind and d.statement.of_paper == (whose == "The paper"))
            rows.append(
                (whose, (kind, COLOURS.get(kind, "default")), number, "" if kind in SETTLED else ", ".join(ids))
            )
    show_table(("whose", "what happened", "claims", "which"), rows, width=120)
    typer.echo("Evidence of one claim: bdia verify --only eq-61; of all: bdia verify --all, or the report.")
    if any(d.kind == "skipped" for d in decided):
        typer.echo("Skipped claims take longer, or need the extra balls or Coq: bdia verify --full says which.")


def _print_ledger(decided: Sequence[Decided], results: Dataset | None) -> None:
    rows: list[tuple[Any, ...]] = []
    for d in decided:
        seconds = f"{d.seconds:.2f}" if d.seconds else ""
        both = "" if d.statement.of_paper else "".join(f"{label}: {text} " for label, text in site.ledger.texts(d)[:2])
        kind = d.kind, COLOURS.get(d.kind, "default")
        rows.append((d.statement.id, d.statement.title, kind, both + d.evidence, seconds))
    show_table(("claim", "title", "what happened", "evidence", "seconds"), rows, whole=("claim",))
    if results:
        # The last grid and dtype alone; --json and --html have all of them.
        show_rows(studies.digits.DIGITS, results.isel(spacing=[-1], dtype=[-1]))
    for whose, kinds in claims.ledger.counts(decided).items():
        if kinds:
            typer.echo(f"{whose}: {claims.ledger.counted(kinds)}")
