"""Defects that samplers were shipped with, planted again: what a round trip sees, and what sees the defect.

``python experiments/defects.py [--out FOLDER]`` (a minute of one core) prints what they show and draws FOLDER/defects.png; `bdia pages
defects --recompute` writes docs/findings/defects.md.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from output import folder, keep
from samplers_with_defects import Leap, Unreset, adaptive, corrected, ddim_invert, ddim_sample, runge_kutta

from bdia_numerics.analysis import GridFamily, lint
from bdia_numerics.plots.orders import convergence
from bdia_numerics.testing import (
    assert_exactly_invertible,
    assert_latent_valid,
    assert_nfe,
    assert_order,
    assert_round_trip,
    order_of,
)

ALTERNATING = GridFamily("alternating")
INVERSE = {
    "_class_name": "DDIMInverseScheduler",
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "clip_sample": False,
    "set_alpha_to_one": False,
}
"""An inverse scheduler whose first step ends at t = 0 and begins at t = -20, which has the noise level of t = 0."""


@dataclass(frozen=True)
class Defect:
    """A defect, the right method beside it, and the assertion that tells them apart.

    Attributes
    ----------
    name
        The defect.
    sample, invert
        With the defect; no inverse where the method has none. Or the configuration of a scheduler.
    right
        The same without it: (sample, invert).
    check
        An assertion of (sample, invert=).
    shown
        That assertion in words.
    returns
        Whether the plain round trip passes with the defect; None where there is none to make.
    lint
        The rule of the linter that finds it in a configuration, where one does.
    """

    name: str
    sample: Any
    invert: Any
    right: tuple[Any, Any]
    check: Callable[..., Any]
    shown: str
    returns: bool | None
    lint: str = ""

    def exposed(self) -> str:
        """Return the message of the assertion; empty if it passes."""
        try:
            self.check(self.sample, invert=self.invert)
        except AssertionError as error:
            return str(error)
        return ""

    def round_trip(self, tolerance: float = 1e-6) -> bool:
        """Say whether a plain round trip from the data passes."""
        try:
            assert_round_trip(self.sample, invert=self.invert, tolerance=tolerance, end="data", grid=24)
        except AssertionError:
            return False
        return True


def assert_no_finding(config: Mapping[str, Any], *, rule: str, invert: None = None) -> None:
    """Raise AssertionError if the linter finds a rule's defect in a configuration."""
    for finding in lint(config, prediction="eps"):
        if finding.rule == rule:
            raise AssertionError(f"bdia lint: {rule} ({finding.where}): {finding.message}")


def _leap(name: str, check: Any, shown: str, returns: bool = True, **options: Any) -> Defect:
    wrong, right = Leap(**options), Leap()
    return Defect(name, wrong.sample, wrong.invert, (right.sample, right.invert), check, shown, returns)


_SAMPLED = partial(assert_order, order=2)
_UP = partial(assert_order, order=2, direction="invert")
_RK4 = (None, 0, 1, 2)
_PAIR = (Leap().sample, Leap().invert)
_NINE_TENTHS = Leap(gamma=0.9)
STRETCH = (1000 / 30) / (1000 // 30)
"""How much longer 1000/S is than 1000//S for S = 30 steps."""


ROW = 1 / 1000
"""One of a thousand training steps, in the time of a schedule on [0, 1]."""


def defects() -> tuple[Defect, ...]:
    """Return all of them, made anew."""
    kutta = runge_kutta(_RK4)
    fourth = ((kutta, None), partial(assert_order, order=4), "assert_order(..., 4)", None)
    return (
        _leap(
            "the inverse's first step without the noise prediction",
            _UP,
            'assert_order(..., 2, direction="invert")',
            start=lambda eps, grid, x: grid.alpha[1] / grid.alpha[0] * x,
        ),
        _leap(
            "the same, seen by the latent",
            assert_latent_valid,
            "assert_latent_valid(...)",
            start=lambda eps, grid, x: grid.alpha[1] / grid.alpha[0] * x,
        ),
        _leap(
            "alpha of the next slot for that of the previous one", _SAMPLED, "assert_order(..., 2)", back=lambda i, b: i
        ),
        _leap(
            "equal steps assumed",
            partial(assert_order, order=1, family=ALTERNATING),
            'assert_order(..., 1, family=GridFamily("alternating"))',
            equal=True,
        ),
        _leap(
            "the index of the step told for its time",
            _SAMPLED,
            "assert_order(..., 2)",
            told=lambda g, i: g.t[-1] * i / g.n / 2,
        ),
        _leap(
            "the level of the table's next row for the time that is told",
            _SAMPLED,
            "assert_order(..., 2)",
            told=lambda g, i: g.t[i] - ROW,
        ),
        _leap(
            "two evaluations a slot where one is needed", partial(assert_nfe, per_step=1), "assert_nfe(..., 1)", calls=2
        ),
        Defect(
            "a state of the last run kept for the next",
            Unreset(),
            Leap().invert,
            _PAIR,
            _SAMPLED,
            "assert_order(..., 2)",
            True,
        ),
        Defect(
            "predicted clean data clipped to [-1, 1]",
            partial(ddim_sample, change=lambda x: np.clip(x, -1, 1)),
            ddim_invert,
            (ddim_sample, ddim_invert),
            partial(assert_order, order=1),
            "assert_order(..., 1)",
            False,
            "clip-sample",
        ),
        Defect(
            "an inverse that is a predictor-corrector",
            ddim_sample,
            corrected,
            _PAIR,
            assert_exactly_invertible,
            "assert_exactly_invertible(...)",
            False,
        ),
        Defect(
            "the sampler looks 1000/S back, its inverse 1000//S (S = 30)",
            Leap(stretch=STRETCH).sample,
            Leap().invert,
            _PAIR,
            assert_exactly_invertible,
            "assert_exactly_invertible(...)",
            False,
            "steps-not-dividing",
        ),
        Defect(
            "an inverse that begins at t = -20, in a slot of no length",
            INVERSE,
            None,
            (INVERSE | {"steps_offset": 1}, None),
            partial(assert_no_finding, rule="zero-length-slot"),
            "bdia lint",
            None,
            "zero-length-slot",
        ),
        Defect(
            "gamma and 1 - gamma exchanged (gamma = 9/10)",
            Leap(gamma=0.1).sample,
            Leap(gamma=0.1).invert,
            (_NINE_TENTHS.sample, _NINE_TENTHS.invert),
            partial(assert_round_trip, end="data", grid=24),
            "assert_round_trip(...)",
            False,
        ),
        Defect(
            "clean data taken for the end of a grid that ends before it",
            Leap(clean=True).sample,
            Leap(clean=True).invert,
            _PAIR,
            _SAMPLED,
            "assert_order(..., 2)",
            True,
            "final-alpha",
        ),
        Defect(
            "adaptive steps that the way back chooses anew",
            adaptive,
            partial(adaptive, up=True),
            _PAIR,
            assert_exactly_invertible,
            "assert_exactly_invertible(...)",
            False,
        ),
        Defect("a last stage that reads the first slope", runge_kutta((None, 0, 1, 0)), None, *fourth),
        Defect("stages that read the state, not the slope before", runge_kutta((None,) * 4), None, *fourth),
        Defect("a step size left out of the sum", runge_kutta(_RK4, scaled=False), None, *fourth),
    )


DRAWN = {
    "alpha of the next slot for that of the previous one": "alpha of the next slot",
    "the index of the step told for its time": "index told for the time",
    "a last stage that reads the first slope": "last stage reads the first slope",
    "stages that read the state, not the slope before": "stages read the state",
    "a step size left out of the sum": "a step size left out",
}


def table() -> str:
    """Return the defects in Markdown: what a round trip says, what the assertion says, and the linter's rule."""
    lines = ["| defect | plain round trip | exposed by | what it says | rule of `bdia lint` |", "|---|---|---|---|---|"]
    for defect in defects():
        trip = "none to make" if defect.returns is None else "passes" if defect.round_trip() else "fails"
        said = defect.exposed().split(": ", 2)[-1].split(". ")[0].replace("|", "\\|")
        lines.append(f"| {defect.name} | {trip} | `{defect.shown}` | {said} | {defect.lint} |")
    return "\n".join(lines)


def figure() -> Any:
    """Draw the errors of five defects that an order study sees, and of the right methods."""
    known = {defect.name: defect for defect in defects()}
    right = {"BDIA": known[next(iter(DRAWN))], "RK4": known[list(DRAWN)[2]]}
    found = [(f"right, {name}", order_of(defect.right[0], max_steps=128)) for name, defect in right.items()]
    found += [(label, order_of(known[name].sample, max_steps=128)) for name, label in DRAWN.items()]
    return convergence(found)


FIGURES = {"defects": figure}

if __name__ == "__main__":
    out = folder(__doc__)
    print(table())
    keep(out, "defects", figure())
