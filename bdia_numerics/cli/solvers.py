"""What is known of solvers: `bdia list`, read off their programs and docstrings, and `bdia datasheet` of one of them."""

from __future__ import annotations

import hashlib
import json
import os
import sys
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from bdia_numerics import grids, names, program, schedules, solvers
from bdia_numerics.cli.options import (
    PAGE,
    AsJson,
    Html,
    analysis,
    console,
    counting,
    known_solvers,
    put_json,
    runs,
    show_table,
    site,
)
from bdia_numerics.runs.files import check, fingerprint, write
from bdia_numerics.spaces.later import Later
from bdia_numerics.texts import one_of

sheet = Later("bdia_numerics.analysis.sheet.datasheet")


ORDERS = {
    "DDIM": (1, 1), "BDIA": (2, 1), "EDICT": (1, 1), "CBDIA": (2, 2), "Heun": (2, 2),
    "BDIAHeun": (2, 2), "IIADDIM": (1, 1), "IIAEDM": (2, 2), "Midpoint": (2, 2), "RK4": (4, 4),
    "DPMSolver": (2, 2), "ReversibleHeun": (2, 2), "ALF": (2, 2), "McCallumFoster": (1, 1), "Rex": (1, 1),
    "RFSolver": (2, 2), "FireFlow": (2, 2), "Leapfrog": (2, 1), "BDIA2": (2, 2), "BDIA3": (4, 3),
    "BELM": (2, 1), "OBELM": (2, 2), "PLMS": (2, 1), "BDIAPLMS": (1, 1), "DEIS": (2, 2),
    "BDIADEIS": (1, 1), "DPMSolverPP": (2, 2), "BDIADPMSolverPP": (1, 1), "DPMSolverMultistep": (2, 2), "StormerVerlet": (2, 2),
    "EES": (2, 2), "Composed": (4, 2), "SymmetricMultistep": (4, 3), "IPNDM": (2, 1), "DPMSolverPPSinglestep": (2, 2),
    "UniPC": (3, 3), "SASolver": (2, 2),
}  # fmt: skip
"""Orders on smooth and on rough grids with the default parameters; proving those of a solver that is not here takes a second."""


def proved_orders(solver: Any) -> tuple[int, int]:
    """Return the orders on smooth and on rough grids that follow from the program."""
    found = analysis.symbolic_order(solver)
    return found.order_smooth, found.order_rough


def list_solvers(
    name: Annotated[
        str | None,
        typer.Argument(help="A solver, of which all is shown.", autocompletion=known_solvers),
    ] = None,
    whole: Annotated[
        bool, typer.Option("--long", help="Add conditions, reasons and sources; 200 columns wide.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """List the solvers: order on smooth and rough grids, evaluations, registers, and whether they are invertible, also bit by bit."""
    found = rows_of_all()
    if name is not None:
        lowered = {s["name"].lower(): s for s in found}
        if name.lower() not in lowered:
            one_of("name", name, [s["name"] for s in found])
        found = [lowered[name.lower()]]
    if as_json:
        put_json({"solvers": found})
        return
    if name is not None:
        show_table(
            ("", found[0]["name"]),
            [(key.replace("_", " "), _cell(value)) for key, value in found[0].items() if key != "name"],
            width=80,
        )
        return
    if not whole:
        for s in found:
            s["orders"] = f"{s['order_smooth']}/{s['order_rough']}"
            s["exact"] = s["condition"] or "no"
            s["bits"], s["held"] = s["bit_exact"].partition(":")[0], " ".join(s["registers"])
        keys = ("name", "orders", "nfe", "held", "exact", "bits")
        show_table(
            ("solver", "order", "NFE", "registers", "invertible", "bit-exact"),
            ([_cell(s[key]) for key in keys] for s in found), whole=("solver", "order"), width=80,
        )  # fmt: skip
        typer.echo("order: on smooth/rough grids, with default parameters. NFE: evaluations a step.")
        typer.echo("All of one solver: bdia list bdia; of all of them: bdia list --long.")
        return
    heads = ("solver", "order", "NFE", "registers", "passes", "exactly invertible", "bit-exact", "source")
    rows = []
    for s in found:
        exact = s["condition"] if s["invertible"] else f"no: {s['reason']}"
        cells = (s["name"], s["order"], s["nfe"], ", ".join(s["registers"]), s["combinations"], exact)
        rows.append((*cells, s["bit_exact"], s["source"]))
    show_table(heads, rows, whole=("solver",), width=200)
    for name in solvers.SECOND_ORDER:
        typer.echo(
            f"{name} solves z'' = a(z, t): its model gives a, its start z and z'. The others solve the ODE of diffusion."
        )


def _cell(value: Any) -> str:
    return (
        ", ".join(value) if isinstance(value, list) else ("no", "yes")[value] if isinstance(value, bool) else str(value)
    )


def rows_of_all() -> list[dict[str, Any]]:
    """Return the rows of all solvers, made once for each state of the code.

    They are kept in the cache folder of the user, under a digest of themselves with all source of the package and with the
    versions that they were made with: a file that is damaged, or from before a change, is made anew. A folder that is not there
    or cannot be written costs the time alone.
    """
    made_with = (sys.version, sys.flags.optimize, *map(version, ("numpy", "sympy", "mpmath")))
    code = fingerprint(Path(__file__).parents[1], ".py") + json.dumps(made_with)
    with suppress(OSError, RuntimeError, ValueError):  # no file, no home, not a text
        mark, text = _kept().read_text(encoding="utf-8").split("\n", 1)
        if mark == hashlib.sha256((code + text).encode()).hexdigest():
            return json.loads(text)
    found = [row(name, make) for name, make in {**solvers.SOLVERS, **solvers.SECOND_ORDER}.items()]
    text = json.dumps(found)
    with suppress(OSError, RuntimeError):
        _kept().parent.mkdir(parents=True, exist_ok=True)
        write(_kept(), f"{hashlib.sha256((code + text).encode()).hexdigest()}\n{text}")
    return found


def _kept() -> Path:
    folder = os.environ.get("XDG_CACHE_HOME")
    return (Path(folder) if folder else Path.home() / ".cache") / "bdia_numerics" / "solvers.json"


def row(name: str, make: Any) -> dict[str, Any]:
    """Return what is known of a solver.

    Order and source are those of its docstring; evaluations, registers, passes over memory (linear combinations) and the
    condition of its exact inverse are read off its program, the last for symbolic parameters; "bit_exact" is tried on the
    integer lattice with the parameters that it has by default.
    """
    solver = make()
    shape, verdict = program.structure(solver), program.invertibility(solver)
    smooth, rough = ORDERS.get(name) or proved_orders(solver)
    return {
        "name": name,
        "order": sheet.documented(make, "Order"),
        "order_smooth": smooth,
        "order_rough": rough,
        "nfe": shape.nfe,
        "registers": list(shape.registers),
        "combinations": shape.combinations,
        "invertible": verdict.invertible,
        "condition": str(verdict) if verdict.invertible else "",
        "reason": verdict.reason,
        "bit_exact": _bit_exact(solver) if verdict.invertible else "no",
        "source": sheet.documented(make, "Source"),
    }


def _bit_exact(solver: Any) -> str:
    # The arithmetic is tried, not what long steps at t = 1 do.
    grid = grids.uniform(schedules.vp_linear(), 6, t_max=0.5, t_min=0.1)
    z = np.linspace(-1, 1, 5)
    start = dict.fromkeys(solver.registers, z) if hasattr(solver, "given") else None
    try:
        found = runs.encoding.bit_exact_round_trip(solver, lambda z, t: z / 2, grid, z, start=start)
    except (program.NotOnLatticeError, TypeError) as error:
        return f"no: {program.refusal(error)}"
    return "yes" if found.differing_bits == 0 and found.status.ok else f"no: {found.status}"


def show_datasheet(
    solver: Annotated[
        str,
        typer.Argument(
            help="A solver of `bdia list`, such as bdia:gamma=9/10, or module:object, which is imported.",
            autocompletion=known_solvers,
        ),
    ],
    proved_only: Annotated[bool, typer.Option("--proved-only", help="Leave out what runs show.")] = False,
    html: Html = None,
    as_json: AsJson = False,
) -> None:
    """Print what is proved of a solver, what its runs show (a few seconds), and where the two differ."""
    site.template.require_pages(html)
    check("--html", html, PAGE)
    chosen = names.solver(solver)
    with counting("proving", None if proved_only else sheet.PARTS) as advance:
        found = sheet.datasheet(chosen, measured=not proved_only, progress=lambda part: advance(part[:14]))
    if html is not None:
        write(html, site.results.render(found, chosen))
    if as_json:
        put_json(found.as_dict())
        return
    _print(found)


def _print(found: Any) -> None:
    for title, rows in found.sections():
        console().print(title, style="bold", markup=False)
        show_table(("", ""), [((label, "dim"), text) for label, text in rows])
        typer.echo()
