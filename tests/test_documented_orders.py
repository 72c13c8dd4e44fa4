"""What the "Order" line of every solver's docstring claims, over the solver's parameters, against the orders of its program."""

from collections.abc import Callable
from fractions import Fraction
from typing import Any

import pytest
import sympy

from bdia_numerics import SOLVERS, analysis, cli, problems, solvers
from bdia_numerics.analysis.expansion import modes, propagation, step
from bdia_numerics.analysis.sheet.datasheet import documented

F = Fraction
HALF = F(1, 2)


@pytest.mark.parametrize("name", [n if n == "BDIA" else pytest.param(n, marks=pytest.mark.slow) for n in SOLVERS])
def test_the_orders_of_the_list_are_proved(name):
    assert cli.solvers.ORDERS[name] == cli.solvers.proved_orders(SOLVERS[name]())


def iia_edm(b0: Any, b1: Any, sign: int = 1) -> dict[str, Any]:
    """Weights of order 2 by a1 h_i + (b1 - b0) h_{i+1} = h_i/2 as the ratio of steps tends to 1; of another sign they are of order 1."""
    return {"a0": 1 - b0, "b0": b0, "b1": b1, "a1": HALF - sign * (b1 - b0)}


ANGLE = ("sigma_bar", "angle")
# Parameters, and (order on smooth grids, where the step ratios are bounded, on smooth grids with the solver's own start).
CLAIMS: dict[str, tuple[str, list[tuple[dict[str, Any], tuple[int, int, int]]]]] = {
    "ALF": ("2", [({"variable": v}, (2, 2, 2)) for v in ANGLE]),
    "BDIA": (
        "2 for gamma = 1 on smooth grids, else 1",
        [({"gamma": 1}, (2, 1, 2)), *(({"gamma": g}, (1, 1, 1)) for g in (0, HALF, F(99, 100)))],
    ),
    "BDIA2": (
        "2, where the step ratios are bounded",
        [({"gamma1": a, "gamma2": b}, (2, 2, 2)) for a, b in ((1, 1), (HALF, F(1, 4)), (F(9, 10), 0))],
    ),
    "BDIA3": (
        "3, where the step ratios are bounded",
        [
            ({"gamma1": F(9, 10), "gamma2": F(3, 5), "gamma3": F(3, 10)}, (3, 3, 3)),
            *(({"gamma1": g, "gamma2": g}, (4, 3, 4)) for g in (1, HALF)),
        ],
    ),
    "BDIADEIS": (
        "1 for g > 0",
        [
            ({"order": 2, "gamma": HALF}, (1, 1, 1)),
            ({"order": 3, "gamma": 1}, (1, 1, 1)),
            ({"order": 2, "gamma": 0}, (2, 2, 2)),
        ],
    ),
    "BDIAPLMS": (
        "1 for g > 0",
        [({"gamma": HALF}, (1, 1, 1)), ({"order": 2, "gamma": 1}, (1, 1, 1)), ({"order": 2, "gamma": 0}, (2, 1, 2))],
    ),
    "BELM": (
        "1; 2 where a = h_i^2/h_{i+1}^2, or, as a = 1, on grids smooth",
        [
            *(({"a": 1, "variable": v}, (2, 1, 2)) for v in ANGLE),
            ({"a": HALF}, (1, 1, 1)),
            ({"a": lambda slot: (slot.h / slot.previous.h) ** 2}, (2, 2, 2)),
        ],
    ),
    "CBDIA": (
        "2 where g1 + g2 = 1 and |g1 - g2| < 1",
        [
            ({"gamma1": a, "gamma2": b}, orders)
            for a, b, orders in ((F(19, 20), F(1, 20), (2, 2, 2)), (F(3, 5), F(1, 5), (1, 1, 1)), (0, 1, (2, 1, 2)))
        ],
    ),
    "Composed": (
        "4 on smooth grids, 2 where",
        [({"base": solvers.ALF("angle"), "scheme": w}, (4, 2, 4)) for w in ("yoshida", "suzuki")],
    ),
    "DDIM": ("1", [({}, (1, 1, 1))]),
    "DEIS": (
        "`order`, where the step ratios are bounded",
        [({"order": 1}, (1, 1, 1)), ({"order": 2}, (2, 2, 2)), ({"order": 3}, (3, 3, 2)), ({"order": 4}, (4, 4, 2))],
    ),
    "EES": ("2", [({"x": x}, (2, 2, 2)) for x in (F(1, 10), F(1, 4))]),
    "EDICT": ("1", [({"p": p}, (1, 1, 1)) for p in (F(93, 100), HALF)]),
    "IIADDIM": (
        "1 with coefficients of 0",
        [
            ({}, (1, 1, 1)),
            ({"beta": lambda slot: slot.h**2}, (1, 1, 1)),
            ({"phi1": lambda slot: slot.h}, (1, 1, 1)),
            ({"beta": lambda slot: slot.h}, (0, 0, 0)),
        ],
    ),
    "IIAEDM": (
        "1 if a0 + b0 = 1; 2 if also a1 h_i + (b1 - b0) h_{i+1} = h_i/2, h_i = s_{i-1} - s_i",
        [
            ({}, (2, 2, 2)),
            ({"a0": HALF, "b0": HALF}, (1, 1, 1)),
            ({"a0": 2}, (0, 0, 0)),
            (iia_edm(0, F(1, 5)), (2, 1, 2)),
            (iia_edm(0, F(1, 5), -1), (1, 1, 1)),
        ],
    ),
    "IPNDM": (
        "as of PLMS; 2 at most with its own start",
        [({"order": k}, (min(k, 2), 1, min(k, 2))) for k in (1, 2, 3, 4)],
    ),
    "OBELM": (
        "2 on smooth grids; with a start of order 2 also where the step ratios are bounded",
        [({"variable": v}, (2, 2, 2)) for v in ANGLE],
    ),
    "PLMS": (
        "`order` on grids uniform in sigma/alpha",
        [({"order": k}, (min(k, 2), 1, min(k, 2))) for k in (1, 2, 3, 4)],
    ),
    "RK4": ("4 with the middle in sigma/alpha; 2 with it in t", [({"variable": v}, (4, 4, 4)) for v in ANGLE]),
    "SASolver": (
        "1 more than the smaller of `order` and `corrector`",
        [({}, (2, 2, 2)), ({"corrector": 2}, (3, 3, 3))],
    ),
    "SymmetricMultistep": (
        "4 on smooth grids for k = 4 and 5, 2 for k = 3",
        [
            ({"k": k, "variable": v}, orders)
            for k, orders in ((3, (2, 2, 2)), (4, (4, 3, 4)), (5, (4, 4, 4)))
            for v in ANGLE
        ],
    ),
    "UniPC": (
        "1 more than the smaller of `order` and `corrector`",
        [
            ({"order": k, "corrector": c, "weights": w}, (min(k, c) + 1,) * 3)
            for k, c, w in ((1, 1, "bh1"), (2, 1, "bh2"), (2, 2, "bh1"))
        ]
        + [({"order": 3, "corrector": 3}, (4, 4, 3))],
    ),
    "BDIADPMSolverPP": (
        "1 for g > 0",
        [({"gamma": HALF}, (1, 1, 1)), ({"order": 3, "gamma": 1}, (1, 1, 1)), ({"gamma": 0}, (2, 2, 2))],
    ),
    "BDIAHeun": (
        "2 for every gamma",
        [({"gamma": g, "base": b}, (2, 2, 2)) for g, b in ((0, "z"), (HALF, "z_hat"), (1, "z"), (1, "z_hat"))],
    ),
    "DPMSolver": ("`order`: 1, 2 or 3", [({"order": k}, (k, k, k)) for k in (1, 2, 3)]),
    "DPMSolverPPSinglestep": ("`order`: 1, 2 or 3", [({"order": k}, (k, k, k)) for k in (1, 2, 3)]),
    "DPMSolverMultistep": ("1, 2, 2 as published", [({"order": k}, (min(k, 2),) * 3) for k in (1, 2, 3)]),
    "DPMSolverPP": (
        "1, 2, 2 as published; `order` if `exact`",
        [*(({"order": k}, (min(k, 2),) * 3) for k in (1, 2, 3)), ({"order": 3, "exact": True}, (3, 3, 2))],
    ),
    "FireFlow": ("2", [({}, (2, 2, 2))]),
    "Heun": ("2;", [({"variable": v}, (2, 2, 2)) for v in (*ANGLE, "t")]),
    "Leapfrog": ("2 on smooth grids", [({"variable": v}, (2, 1, 2)) for v in ANGLE]),
    "McCallumFoster": (
        "that of the base for c < 1; for c = 1 over Euler z is of order 1",
        [
            ({"coupling": HALF, "base": solvers.Euler()}, (1, 1, 1)),
            ({"coupling": HALF, "base": solvers.Midpoint()}, (2, 2, 2)),
            ({"coupling": HALF, "base": solvers.RK4()}, (4, 4, 4)),
            ({"coupling": 1, "base": solvers.Euler()}, (1, 1, 1)),
        ],
    ),
    "Midpoint": ("2", [({}, (2, 2, 2))]),
    "RFSolver": ("2", [({}, (2, 2, 2))]),
    "ReversibleHeun": ("2;", [({"variable": v}, (2, 2, 2)) for v in ANGLE]),
    "Rex": (
        "that of the base for c < 1",
        [({"coupling": HALF, "base": b}, (k, k, k)) for b, k in ((solvers.Euler(), 1), (solvers.Midpoint(), 2))],
    ),
}
HEAVY = {
    "BDIA3(gamma1=1/2, gamma2=1/2)",
    "UniPC(order=3",
    "Composed(base=ALF(variable='angle'), scheme=suzuki",
    "SymmetricMultistep(k=5",
    "DEIS(order=4)",
    "DEIS(order=3)",
    "McCallumFoster(coupling=1/2, base=RK4())",
}
CASES = [
    pytest.param(
        name,
        given,
        orders,
        id=(label := f"{name}({', '.join(f'{k}={v}' for k, v in given.items() if not callable(v))})"),
        marks=pytest.mark.slow if label.startswith(tuple(HEAVY)) else (),
    )
    for name, (_, cases) in CLAIMS.items()
    for given, orders in cases
]


def test_every_solver_is_there_with_the_line_that_it_has():
    assert set(CLAIMS) == set(SOLVERS)
    for name, (line, _) in CLAIMS.items():
        assert documented(SOLVERS[name], "Order").startswith(line), name


@pytest.mark.parametrize(("name", "given", "orders"), CASES)
def test_the_orders_that_a_docstring_claims(name: str, given: dict[str, Any], orders: tuple[int, int, int]) -> None:
    found = analysis.symbolic_order(SOLVERS[name](**given))
    assert (found.order_smooth, found.order_rough, found.order_with_start) == orders
    if found.order_with_start < found.order_smooth:
        assert "with its own start" in documented(SOLVERS[name], "Order")


LAW = problems.GaussianMixture([0.4, 0.6], [[-1.0], [1.5]], [0.6, 0.4])


@pytest.mark.parametrize(("b0", "b1"), [(0, F(1, 5)), (F(1, 4), 0), (F(1, 4), F(1, 5))])
def test_the_signs_in_the_condition_of_iia_edm(b0, b1):
    for sign, order in ((1, 2), (-1, 1)):
        found = analysis.symbolic_order(solvers.IIAEDM(**iia_edm(b0, b1, sign)))
        assert (found.order_smooth, found.order_uniform) == (order, order)


@pytest.mark.slow
def test_the_signs_in_the_condition_of_iia_edm_are_measured():
    for sign, order in ((1, 2), (-1, 1)):
        found = analysis.observed_order(solvers.IIAEDM(**iia_edm(0, F(1, 5), sign)), LAW, start="own", states=8)
        assert found.low - 0.1 < order < found.high + 0.1


class Coupled:
    """Heun's method whose slope is bent by a second state, which it disturbs by a term of order h: order 1.

    v differs from z by O(h), so that eps(v) - eps(z) in z's increment is an error of h^2 a step that adds up.
    """

    registers = ("v", "z")

    def step(self, s: Any) -> None:
        v, z = s.registers
        i, end, e = s.i, s.i - 1, s.eps(z)
        euler = s.scratch(z + s.delta(i, end, z, e), at=end)
        new = z + s.delta(i, end, z, HALF * e + HALF * s.eps(euler) + HALF * (s.eps(v) - e))
        s.assign(v, new + F(1, 3) * (s.sigma_bar(end) - s.sigma_bar(i)) * s.alpha(end) * e, at=end)
        s.assign(z, new, at=end)


def test_what_modes_feed_each_other_adds_up(monkeypatch):
    found = analysis.symbolic_order(Coupled())
    assert (found.order_smooth, found.order_rough, found.register_orders) == (1, 1, {"v": 1, "z": 1})
    rough = step.SeriesStep.of(Coupled(), 5, "rough")
    assert propagation.mode_orders(rough, rough.residual())["one"] == 1
    right: Callable[..., Any] = modes.error_orders  # without what one mode feeds another at each step:
    monkeypatch.setattr(propagation, "error_orders", lambda sources, found, k, adding: right(sources, found, k, ()))
    assert propagation.mode_orders(rough, rough.residual())["one"] == 2


def test_the_order_of_the_coupled_method_is_measured():
    found = analysis.observed_order(Coupled(), LAW, max_steps=128, states=8)
    assert found.low > 0.8 and found.high < 1.2


def test_the_ratio_that_bdias_docstring_claims():
    g = sympy.Symbol("gamma")
    assert sympy.cancel(analysis.symbolic_order(solvers.BDIA(g)).ddim_ratio - (1 - g) / (1 + g)) == 0
    for made in (solvers.BDIADEIS(2, g), solvers.BDIAPLMS(g, 2), solvers.BDIADPMSolverPP(g)):
        assert sympy.cancel(analysis.symbolic_order(made).ddim_ratio + g / (1 + g)) == 0
