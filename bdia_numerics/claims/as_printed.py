"""What the paper's misprints do to the error when they are run as printed, beside the right form; and the same as a study."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cache
from itertools import pairwise
from typing import Any

import numpy as np

from bdia_numerics import grids, schedules
from bdia_numerics.analysis.measurement.errors import root_mean_square as rms
from bdia_numerics.claims.ledger import require
from bdia_numerics.grids import Grid
from bdia_numerics.problems import Gaussian, GaussianMixture
from bdia_numerics.program import Recorder
from bdia_numerics.runs.solving import solve
from bdia_numerics.solvers import BDIA, CBDIA, DDIM, EDICT, BDIAHeun
from bdia_numerics.spaces import Array
from bdia_numerics.studies import Study, Variable
from bdia_numerics.studies.study import Cell, among

STEPS = (10, 20, 40, 80)
MIXED = 0.93
"""The p of EDICT that its authors recommend."""
VP = schedules.vp_linear()
LAW = GaussianMixture([0.4, 0.6], [[-1.0], [1.5]], [0.1, 0.2])
Run = Callable[[bool, int], float]


@dataclass(frozen=True)
class AsPrinted:
    """A misprint that can be run.

    Attributes
    ----------
    label
        Number of the equation, or name.
    reading
        How the published text is read where it leaves that open.
    what
        Of which quantity the error is the root mean square.
    run
        run(printed, n): the error with n steps, as printed or right.
    steps
        Numbers of steps.
    stalls
        Whether the published form does not converge, which is required.
    worse
        The error of the published form over that of the right one must exceed this at the last number of steps; 0 for a print that does no
        harm, where they may not differ by more than a tenth.
    """

    label: str
    reading: str
    what: str
    run: Run
    steps: tuple[int, ...] = STEPS
    worse: float = 10.0
    stalls: bool = True

    def errors(self) -> dict[bool, list[float]]:
        """Return the errors by number of steps: as printed (True) and right (False)."""
        return {printed: [_error(self.run, printed, n) for n in self.steps] for printed in (True, False)}

    def seen(self) -> str:
        """Run both, require the right form to converge (or to be exact) and the published form to be worse; say so."""
        found = self.errors()
        right, printed = found[False], found[True]
        # Exact inversions stay at rounding, amplified; all others must fall whenever N doubles.
        falls = all(b < a for a, b in pairwise(right)) or max(right) < 1e-9
        require(falls, f"{self.label}: the right form should converge, errors {right}")
        ratio, numbers = printed[-1] / right[-1], f"errors {printed} against {right}"
        if self.worse:
            require(ratio > self.worse, f"{self.label} as printed should be worse by {self.worse}, {numbers}")
            # Order 1 would divide the error by 4 from the second number of steps to the last.
            stalls = printed[-1] > printed[1] / 2
            require(
                stalls == self.stalls, f"{self.label} as printed: {'falls' if self.stalls else 'stalls'}, {numbers}"
            )
        else:
            require(0 < abs(ratio - 1) < 0.1, f"{self.label} as printed should hardly matter, {numbers}")
        shown = {key: ", ".join(f"{e:.2g}" for e in values) for key, values in found.items()}
        at = ", ".join(map(str, self.steps))
        return f"Run as printed ({self.reading}): {self.what} (root mean square) {shown[True]} at N = {at}; right: {shown[False]}."

    def corrected(self) -> AsPrinted:
        """Return the same with the right form in place of the published one: a check must notice."""
        return replace(self, run=lambda printed, n: _error(self.run, False, n))


@cache  # a mutant has the right form twice
def _error(run: Run, printed: bool, n: int) -> float:
    return run(printed, n)


class MisprintedCBDIA(CBDIA):
    """CBDIA with (61) as printed: alpha_{i-1} stands where alpha_i belongs, in front of the bracket."""

    def step(self, s: Recorder) -> None:
        """Record (60), (61) as printed, (62) and (63)."""
        z, y = s.registers
        g1, g2, end = s.value(self.gamma1), s.value(self.gamma2), s.i - 1
        s.assign(z, z + s.delta(s.i, end, y, s.eps(y)), at=end)
        e = s.eps(z)
        bracket = (z - s.sigma(end) * e) / s.alpha(end)
        s.assign(y, y - (s.alpha(end) * bracket + s.sigma(s.i) * e - z), at=end)
        s.mix({z: g1 * z + (1 - g1) * y, y: g2 * z + (1 - g2) * y})


class SameIntegralTwice(CBDIA):
    """CBDIA with (43) and (44) as printed: the integral from t_i to t_{i-1} in both lines, by the increment at y_i."""

    def step(self, s: Recorder) -> None:
        """Record (43)-(46) as printed."""
        z, y = s.registers
        g1, g2, end = s.value(self.gamma1), s.value(self.gamma2), s.i - 1
        forward = s.delta(s.i, end, y, s.eps(y))
        s.assign(z, z + forward, at=end)
        s.assign(y, y - forward, at=end)
        s.mix({z: g1 * z + (1 - g1) * y, y: g2 * z + (1 - g2) * y})


def _asinh(n: int) -> Grid:
    return grids.asinh(VP, n, t_min=0.001)


def _noise(count: int = 100) -> Array:
    return np.random.default_rng(0).standard_normal((count, 1))


def error_on_vp(solver: Any, n: int, model: Any = None, law: Any = LAW, start: Any = None) -> float:
    """Return the root mean square error of x_0 against the exact flow: linear VP, grid uniform in asinh(sigma/alpha)."""
    grid, z = _asinh(n), _noise()
    truth = law.flow(z, grid.t[n], grid.t[0], VP)
    return rms(solve(solver, model or law.model(VP), grid, z, start).z - truth)


def eq_4(printed: bool, n: int) -> float:
    """DDIM with the minimiser of (4) for a Gaussian, noise of variance sigma^2 as printed or 1."""
    mean, c = 0.5, 0.25

    def minimiser(z: Array, t: float) -> Array:
        alpha, sigma = VP.alpha(t), VP.sigma(t)
        v = sigma**2 if printed else 1.0
        return np.asarray(sigma * v / (alpha**2 * c + sigma**2 * v) * (z - alpha * mean))

    return error_on_vp(DDIM(), n, minimiser, Gaussian([mean], c))


def eq_5(printed: bool, n: int) -> float:
    """DDIM with eps = -sigma times the score of (5): that of q(z | x) for one x as printed, or the marginal one."""

    def one_point(z: Array, t: float) -> Array:
        return np.asarray((z - VP.alpha(t) * 1.5) / VP.sigma(t))

    return error_on_vp(DDIM(), n, one_point if printed else None)


def round_trip(n: int, *, p: float = MIXED, stale_mix: bool = False, keep_inter: bool = False) -> float:
    """Return the error of z_N after EDICT and (15)-(18); `stale_mix` is (16), `keep_inter` is (18) as printed."""
    grid, model = grids.uniform(VP, n, t_min=0.01), LAW.model(VP)
    start = _noise(50)
    end = solve(EDICT(), model, grid, start).state
    assert end is not None
    z, y, before = end.registers["z"], end.registers["y"], None
    for i in range(1, n + 1):
        a = grid.alpha[i - 1] / grid.alpha[i]
        b = grid.sigma[i - 1] - grid.sigma[i] * a
        y_inter = (y - (1 - p) * z) / p
        mixed_in = y_inter if before is None or not stale_mix else before
        z_inter = (z - (1 - p) * mixed_in) / p
        y = (y_inter - b * model(z_inter, grid.t[i])) / a
        x = (z_inter - b * model(y, grid.t[i])) / a
        z, before = z_inter if keep_inter else x, y_inter
    return rms(z - start)


def eq_32(printed: bool, n: int) -> float:
    """Return how far (32) is from the z_0 of a run with odd N: Delta to the time t_N - t_{N-1}, or to t_{N-1}."""
    grid, z, model = _asinh(n), _noise(), LAW.model(VP)
    path = solve(BDIA(1), model, grid, z, return_trajectory=True).trajectory

    def increment(i: int, t: float) -> Array:
        e = model(path[i], grid.t[i])
        clean = (path[i] - grid.sigma[i] * e) / grid.alpha[i]
        return np.asarray(VP.alpha(t) * clean + VP.sigma(t) * e - path[i])

    total = z + increment(n, grid.t[n] - grid.t[n - 1] if printed else grid.t[n - 1])
    for j in range(1, n, 2):
        total = total + increment(j, grid.t[j - 1]) - increment(j, grid.t[j + 1])
    return rms(total - path[0])


def eq_54(printed: bool, n: int) -> float:
    """(53)-(54) with y_{N-2} by another DDIM step, which the printed range leaves out, or by (54)."""
    grid, z, model = _asinh(n), _noise(), LAW.model(VP)
    truth = LAW.flow(z, grid.t[n], grid.t[0], VP)
    if not printed:
        return rms(solve(BDIA(1), model, grid, z).z - truth)
    first = solve(DDIM(), model, grid[n - 1 : n], z).z
    return rms(solve(BDIA(1), model, grid[0 : n - 1], first).z - truth)


def alg_1(printed: bool, n: int) -> float:
    """Algorithm 1 down to sigma = 0: the last state that is set, z_1, as printed, or z_0."""
    schedule = schedules.edm()
    grid, z = grids.uniform(schedule, n, t_max=3.0, t_min=0), 3 * _noise()
    path = solve(BDIAHeun(1), LAW.model(schedule), grid, z, return_trajectory=True).trajectory
    return rms(path[1 if printed else 0] - LAW.flow(z, grid.t[n], 0.0, schedule))


_SAMPLE = "error of x_0"
AS_PRINTED = {
    "eq-4": AsPrinted("(4)", "eps the minimiser, DDIM, a Gaussian", _SAMPLE, eq_4, worse=5.0),
    "eq-5": AsPrinted("(5)", "the score of q(z|x) for one x, DDIM", _SAMPLE, eq_5),
    "eq-16": AsPrinted(
        "(16)",
        "y^inter of the slot undone before; EDICT and back",
        "error of z_N",
        lambda printed, n: round_trip(n, stale_mix=printed),
    ),
    "eq-18": AsPrinted(
        "(18)",
        "x_i is set and z_i^inter stays; EDICT and back",
        "error of z_N",
        lambda printed, n: round_trip(n, keep_inter=printed),
    ),
    "eq-32": AsPrinted(
        "(32)", "t_N - t_{N-1} as a time", "distance from z_0 of the run", eq_32, steps=(11, 21, 41, 81)
    ),
    "eq-43": AsPrinted(
        "(43)-(44)",
        "one forward increment in both lines, (.95, .05)",
        _SAMPLE,
        lambda printed, n: error_on_vp((SameIntegralTwice if printed else CBDIA)(0.95, 0.05), n),
    ),
    "eq-54": AsPrinted("(54)", "y_{N-2} by DDIM as well", _SAMPLE, eq_54, worse=0.0),
    "eq-61": AsPrinted(
        "(61)",
        "(0, 1)",
        _SAMPLE,
        lambda printed, n: error_on_vp((MisprintedCBDIA if printed else CBDIA)(0, 1), n),
        steps=(10, 20, 40, 80, 160, 320),
    ),
    "alg-1": AsPrinted("Alg. 1", "z_1, the last state set, as the output", _SAMPLE, alg_1, worse=1.2, stalls=False),
}


FORMS = ("as printed", "right")


@dataclass(frozen=True)
class MisprintsConfig:
    """Which are run: names of `claims.as_printed.AS_PRINTED`."""

    claims: tuple[str, ...] = tuple(AS_PRINTED)

    def __post_init__(self) -> None:
        among(self, claims=AS_PRINTED)


def compute(config: MisprintsConfig, cell: Cell) -> Mapping[str, Any]:
    """Return the errors of one misprint in one form; NaN at numbers of steps that it is not run with."""
    case = AS_PRINTED[str(cell["claim"])]
    errors = {n: case.run(cell["form"] == FORMS[0], n) for n in case.steps}
    return {
        "error": np.array([errors.get(n, np.nan) for n in _steps(config)]),
        "quantity": case.what,
        "label": case.label,
    }


def _steps(config: MisprintsConfig) -> tuple[int, ...]:
    return tuple(sorted({n for name in config.claims for n in AS_PRINTED[name].steps}))


MISPRINTS = Study(
    "misprints",
    "Misprints of the paper, run as printed and right",
    MisprintsConfig,
    dims=lambda config: {"claim": config.claims, "form": FORMS},
    inner=lambda config: {"steps": _steps(config)},
    compute=compute,
    variables={
        "error": Variable("root mean square of the quantity", dims=("steps",)),
        "quantity": Variable("of which the error is"),
        "label": Variable("number of the equation, or name"),
    },
)
