"""The vocabulary of the command line: options that mean the same in every command, and the former spellings of them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

from bdia_numerics import names
from bdia_numerics.texts import listed, real, whole

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON to standard output.")]
Figure = Annotated[Path | None, typer.Option("--figure", metavar="PATH", help="Draw it: .png, .pdf or .svg.")]
Html = Annotated[Path | None, typer.Option("--html", metavar="PATH", help="Write the page, one file with its figures.")]

_TEXT = "`bdia list` names them; parameters behind it, bdia:gamma=9/10; or module:object of this folder"
Solvers = Annotated[list[str] | None, typer.Option("--solver", help=f"A solver; again for more. {_TEXT}.")]
OneSolver = Annotated[str, typer.Option("--solver", help=f"The solver. {_TEXT}.")]
Grids = Annotated[
    list[str] | None,
    typer.Option(
        "--grid",
        help=f"A grid; again or with commas for more: {', '.join(names.GRIDS)}, such as karras:rho=5; or module:object.",
    ),
]
OneGrid = Annotated[
    str | None,
    typer.Option("--grid", help=f"The grid: {', '.join(names.GRIDS)}, such as karras:rho=5; or module:object."),
]
Families = Annotated[
    str, typer.Option("--family", help=f"How grids are refined: {', '.join(names.FAMILIES)}; several with commas.")
]
ScheduleName = Annotated[
    str, typer.Option("--schedule", help=f"The schedule: {', '.join(names.SCHEDULES)}; or module:object.")
]
Distribution = Annotated[
    str,
    typer.Option(
        "--distribution", help=f"Of the data: {', '.join(names.DISTRIBUTIONS)}, such as gaussian:0.5; or module:object."
    ),
]
Nfe = Annotated[str, typer.Option("--nfe", help="Budgets of model evaluations, like 10,20,40.")]
Variable = Annotated[str, typer.Option(help="What the steps are of: asinh, sigma_bar, log_snr or t.")]
NoiseEnd = Annotated[str, typer.Option(help="Noise end of the grids.")]
DataEnd = Annotated[str, typer.Option(help="Data end of the grids.")]
Guidance = Annotated[float, typer.Option(help="Scale of classifier-free guidance; 1 is none.")]
TrustPickle = Annotated[bool, typer.Option("--trust-pickle", help="Open a pickle, which runs the code in it.")]
Parameters = Annotated[list[str] | None, typer.Option("--set", metavar="NAME=VALUE", hidden=True)]
"""What the former options of parameters, such as --gamma, become."""
Inversion = Annotated[
    str,
    typer.Option(
        help="How to go from data to noise: default; (10) or (23), DDIM inversion whose network is told the time to which a step leads, or "
        "that of its state; or reversed, the solver on the reversed grid."
    ),
]


def parts(given: list[str] | None, default: tuple[str, ...]) -> tuple[str, ...]:
    """Return what an option names that stands more than once, or with commas, without repetitions; a default where it does not stand."""
    return tuple(dict.fromkeys(part for text in given or () for part in listed(text))) or default


def parameters(pairs: list[str] | None) -> dict[str, str]:
    """Return parameters of NAME=VALUE; ValueError for a text that is none."""
    found = {}
    for pair in pairs or ():
        name, sign, value = pair.partition("=")
        if not sign:
            raise ValueError(f"--set {pair}: write NAME=VALUE, such as order=3")
        found[name] = value
    return found


# Former spellings, for one release

_PARAMETERS = {f"--{name}": f"--set {name}=VALUE" for name in ("gamma", "gamma1", "gamma2", "p")}
FORMER: Mapping[str, Mapping[str, str]] = {
    "converge": {
        "--grid": "--family VALUE",
        "--problem": "--distribution VALUE",
        "--arithmetic": "--dtype VALUE",
    },
    "lint": {"--wanted-error": "--tolerance VALUE"},
    "work-precision": {"--grid": "--family VALUE", "--problem": "--distribution VALUE"},
    "map": {"--law": "--distribution VALUE", "--grids": "--grid VALUE", "--gammas": "--solver bdia:gamma=VALUE"},
    "roundtrip": _PARAMETERS,
    "datasheet": {**_PARAMETERS, "--set": "--set VALUE"},
    "sample": {"--spacing": "--grid VALUE", "--output": "--figure VALUE"},
    "growth": {"--spacing": "--grid VALUE"},
    "table": {"--solvers": "--solver VALUE", "--grids": "--grid VALUE", "--evaluations": "--nfe VALUE"},
}
"""By command and former option, the words that take the place of the option with its value."""
_SEPARATORS = {"--gammas": ",", "--solvers": ";"}
"""Of former options that took several values: the words stand once for each."""
_HINTS = {
    "--law": "--distribution VALUE, where mixture is now modes, and tight sharp",
    "--set": "the parameter behind the solver, name:VALUE",
    **{option: f"bdia:{option[2:]}=VALUE as the solver" for option in _PARAMETERS},
}
"""What a hint says is written now, where that is not the words of `FORMER`."""


class Command(TyperCommand):
    """A command that reads former spellings with a hint, and takes no number that no machine has memory for."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse the words that stand in the place of former spellings."""
        return super().parse_args(ctx, today(str(ctx.info_name), args))

    def invoke(self, ctx: Any) -> Any:
        """Run the command; ValueError for a number without bounds."""
        for name, value in ctx.params.items():
            option = f"--{name.replace('_', '-')}"
            if type(value) is int:
                whole(option, value, least=0 if name == "seed" else -(2**63))
            elif type(value) is float:
                real(option, value)
        return super().invoke(ctx)


def today(command: str, args: list[str]) -> list[str]:
    """Return the words of a command with former spellings replaced, each with a line on standard error."""
    rules, found, rest = FORMER.get(command, {}), [], list(args)
    while rest:
        word = rest.pop(0)
        option, sign, value = word.partition("=")
        if option not in rules or not (sign or rest):
            found.append(word)
            continue
        value = value if sign else rest.pop(0)
        each = ", once for each" if option in _SEPARATORS else ""
        typer.echo(f"bdia: {option} is a former spelling: write {_HINTS.get(option, rules[option] + each)}", err=True)
        value = names.FORMER_DISTRIBUTIONS.get(value, value) if option == "--law" else value
        for part in value.split(_SEPARATORS[option]) if each else [value]:
            found += [piece.replace("VALUE", part.strip()) for piece in rules[option].split()]
    return found
