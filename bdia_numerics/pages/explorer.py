"""The explorer: one page on which step programs, printed in JavaScript, move under the hand."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Mapping
from fractions import Fraction
from typing import Any

import numpy as np

from bdia_numerics import names, schedules
from bdia_numerics.analysis import stability_polynomial
from bdia_numerics.grids import Between, Grid
from bdia_numerics.pages.template import embedded, markupsafe, plots, rendered
from bdia_numerics.problems import normal_quantiles
from bdia_numerics.program import NotInvertibleError, Solver, condition_of, parameters, structure, symbolised
from bdia_numerics.program.javascript import expression, programs
from bdia_numerics.runs.encoding import solve
from bdia_numerics.runs.inversion import default_for
from bdia_numerics.runs.solving import starter_of
from bdia_numerics.solvers import BDIA
from bdia_numerics.spaces import FLOAT64
from bdia_numerics.spaces.later import sympy

SOLVERS = {
    "ddim": "DDIM", "bdia": "BDIA", "edict": "EDICT", "obelm": "O-BELM", "alf": "ALF", "dpmsolverpp": "DPM-Solver++ 2M",
}  # fmt: skip
GRIDS = {
    "leading": "multiples of 1000/N (rounded down) to t = 0, then a tiny last slot to clean data",
    "cut": "leading without its last slot",
    "trailing": "N points from t = 999 down by 1000/N, then clean data",
    "quad": "squares of equally spaced numbers from t = 800 to 0, rounded down and without repetitions, then clean data",
    "asinh": "equal steps of asinh(σ/α) from t = 999 to 0",
    "alternating": "steps of asinh(σ/α) from t = 999 to 0, of which every second one is twice as long",
}
STEPS = (4, 5, 6, 8, 10, 12, 15, 20, 25, 30, 40, 50, 60, 80, 100, 125, 160, 200)
LAWS = {
    "mixture": "two wide modes", "tight": "two tight modes", "modes": "three modes", "broad": "one broad hill",
    "gaussian:0.5": "a Gaussian of deviation 1/2",
}  # fmt: skip
STARTS = 16
"""Equally likely starts, over which errors are root mean squares."""
_LEVELS = [(2 * k + 1) / (2 * STARTS) for k in range(STARTS)]
PRESETS: Mapping[str, tuple[str, str]] = {
    "last-slot": (
        "The last slot of the leading grid is tiny. With it the best γ is small. On the grid without it, called cut, γ = 1 is best.",
        "a=ddim&b=bdia&gb=1&grid=leading&n=10&dist=tight&dir=sample&dtype=float64",
    ),
    "second-state": (
        "Sampling damps the difference of EDICT's two states, and the inverse amplifies it, here in float32 with 160 steps.",
        "a=edict&ga=0.93&b=bdia&gb=1&grid=trailing&n=160&dist=mixture&dir=encode&dtype=float32&x=0.8",
    ),
    "inversion": (
        "BDIA returns to the data and DDIM inversion does not, but both latents have large errors.",
        "a=ddim&b=bdia&gb=1&grid=trailing&n=10&dist=modes&dir=encode&dtype=float64",
    ),
    "gamma": (
        "With γ = 0.8 the parasitic root lies inside the unit circle for the step, and outside for the inverse.",
        "a=bdia&ga=1&b=bdia&gb=0.8&grid=trailing&n=40&dist=mixture&dir=encode&dtype=float64",
    ),
    "rough-grid": (
        "On a grid whose steps alternate, BDIA with γ = 1 has order 1. Only its first step, by DDIM, keeps O-BELM from order 2.",
        "a=bdia&ga=1&b=obelm&grid=alternating&n=40&dist=mixture&dir=sample&dtype=float64",
    ),
}  # fmt: skip
"""By name: what it shows, and the state of the page, as it stands in its address."""


def render() -> str:
    """Return the page.

    Raises
    ------
    ImportError
        Without jinja2 or matplotlib, of the extra report.
    """
    plots.required()
    return rendered(
        "explorer.html.j2",
        data=markupsafe.Markup(script()),
        presets=PRESETS,
        starts=STARTS,
        picture=embedded(_picture()),
        says=_SAYS,
    )


def script() -> str:
    """Return what is printed for the page, as one object of JavaScript: programs, polynomials, grids, distributions and looks."""
    schedule = names.schedule("stable_diffusion")
    styles = plots.style.looks([*SOLVERS, "again"])
    parts = {
        "solvers": _object({name: _solver(name, styles[name]) for name in SOLVERS}),
        "again": json.dumps(styles["again"]),
        "spacing": json.dumps(GRIDS, ensure_ascii=False),
        "grids": json.dumps({kind: {n: _numbers(names.grid(kind)(schedule, n)) for n in STEPS} for kind in GRIDS}),
        "laws": json.dumps({text.partition(":")[0]: _law(text, label) for text, label in LAWS.items()}),
        "steps": json.dumps(STEPS),
        "levels": json.dumps(_LEVELS),
        "presets": json.dumps({name: state for name, (_, state) in PRESETS.items()}),
    }
    return _object(parts)


def _object(parts: Mapping[str, str]) -> str:
    return "{" + ",\n".join(f"{json.dumps(name)}: {text}" for name, text in parts.items()) + "}"


def _solver(name: str, look: Mapping[str, str]) -> str:
    """Return a solver as an object: its programs, and those of the approximate inversion where it has no exact one."""
    solver = names.solver(name)
    method, parts = default_for(solver), _runs(solver)
    if parts["inverse"] == "null":
        parts["reversed"] = _object(_runs(method if hasattr(method, "step") else solver))
    (parameter, value), *_ = [*parameters(solver).items(), ("", 1)]
    about = {
        "name": SOLVERS[name],
        "parameter": parameter.replace("gamma", "γ"),
        "value": float(value),
        "condition": (condition_of(solver) or "").replace("gamma", "γ").replace("!=", "≠"),
        "inversion": getattr(method, "label", ""),
    }
    return _object(parts | {name: json.dumps(value, ensure_ascii=False) for name, value in (about | {**look}).items()})


def _runs(solver: Any) -> dict[str, str]:
    shape = structure(solver)
    place, states = shape.registers.index, [name for name in shape.registers if name not in shape.evaluations]
    states.sort(key=lambda name: (shape.lags[place(name)], name == shape.output))
    numbers = {"depth": shape.depth, "registers": len(shape.registers), "output": place(shape.output)}
    printed = programs(solver, starter_of(solver)) | {d: _polynomial(solver, d) for d in ("sample", "invert")}
    printed |= {name: str(number) for name, number in (numbers | {"far": place(states[-1])}).items()}
    return {name: text or "null" for name, text in printed.items()}


def _polynomial(solver: Solver, direction: str) -> str | None:
    """Return the stability polynomial as a function of the parameter: rows by the power of the root, columns by that of x = h J."""
    zeta, x, own = sympy.Symbol("zeta"), sympy.Symbol("x"), {sympy.Symbol(name): "g" for name in parameters(solver)}
    try:
        found = stability_polynomial(symbolised(solver), direction=direction, zeta=zeta, x=x)
    except NotInvertibleError:
        return None
    rows = sympy.Poly(sympy.numer(sympy.together(found)), zeta).all_coeffs()[::-1]
    columns = (sympy.Poly(row, x).all_coeffs()[::-1] for row in rows)
    return f"g=>[{','.join('[' + ','.join(expression(c, own) for c in row) + ']' for row in columns)}]"


def _numbers(grid: Grid) -> str:
    """Return t, alpha and sigma of a grid, then alpha and sigma half-way in sigma/alpha in each slot, as float64 in base64."""
    inside = [grid.level(Between(i, i - 1, Fraction(1, 2), "sigma_bar"))[1:] for i in range(1, grid.n + 1)]
    table = np.concatenate([grid.t, grid.alpha, grid.sigma, *np.array(inside, float).T])
    return base64.b64encode(table.astype("<f8").tobytes()).decode("ascii")


def _law(text: str, label: str) -> dict[str, Any]:
    ready = names.distribution(text)._components(FLOAT64)
    return {
        "logWeights": ready.log_weights.tolist(),
        "means": ready.means[:, 0].tolist(),
        "covs": ready.covs.tolist(),
        "weights": np.exp(ready.log_weights).tolist(),
        "centre": float(ready.centre[0]),
        "label": label,
    }


_SAYS = (
    "Sample error of BDIA against γ for two tight modes and 10 steps. The best γ moves from 0.25 to 1 when the tiny last slot of "
    "the leading grid is cut."
)


def still(kind: str, gammas: Iterable[float]) -> list[float]:
    """Return what the page draws against gamma for BDIA with 10 steps: root mean squares of sample errors.

    The exact flow from N(0, 1), where alpha = 0, makes the starts equally likely.
    """
    law, schedule = names.distribution("tight"), names.schedule("stable_diffusion")
    grid, model = names.grid(kind)(schedule, 10), law.model(schedule)
    alpha, sigma = grid.alpha[grid.n], grid.sigma[grid.n]
    straight = schedules.from_functions(lambda t: alpha * (1 - t), lambda t: sigma + (1 - sigma) * t)
    z = law.flow(normal_quantiles(STARTS), 1, 0, straight)
    truth = law.flow(z, grid.t[grid.n], grid.t[0], schedule)
    return [float(FLOAT64.rms(solve(BDIA(g), model, grid, z).z - truth)) for g in gammas]


def _picture() -> Any:
    """Return the figure for readers without JavaScript."""
    gammas = [k / 40 for k in range(41)]
    curves = {kind: (gammas, still(kind, gammas)) for kind in ("leading", "cut")}
    return plots.style.draw(plots.style.Panel("$\\gamma$", "sample error (root mean square)", curves, log="y"))
