# %% [markdown]
# # 7. EDM and DPM-Solver++ with BDIA
#
# ## Question
#
# BDIA replaces the increment over the slot behind by an average with a second estimate of the same integral. For DDIM
# this gains an order and an exact inverse. [The paper](https://arxiv.org/abs/2307.10829) puts the same average into two
# solvers that are of second order already: Heun's method as used by EDM
# ([Karras et al., 2022](https://arxiv.org/abs/2206.00364)) in Algorithm 1, and DPM-Solver++ 2M
# ([Lu et al., 2022](https://arxiv.org/abs/2211.01095)) in eq. (65). What does it gain there? What does it cost? Is
# there still an inverse?
#
# The paper answers with FID scores: BDIA-EDM is "consistently better". Scores of images rank samplers on one network.
# Here the same programs are expanded into Taylor series, and run against exact flows.

# %% tags=["hide-input"]
import inspect
from fractions import Fraction

import numpy as np
import sympy
from IPython.display import Markdown, Math

from bdia_numerics import (
    BDIA,
    DDIM,
    SOLVERS,
    BDIADPMSolverPP,
    BDIAHeun,
    DPMSolverPP,
    Heun,
    analysis,
    grids,
    invertibility,
    problems,
    schedules,
    solve,
    step_latex,
)
from bdia_numerics.analysis.measurement.errors import root_mean_square
from bdia_numerics.formulas import table
from bdia_numerics.plots import Picture
from bdia_numerics.plots.style import Panel, draw
from bdia_numerics.solvers import dpm_solver_pp, history

edm, vp = schedules.edm(), schedules.vp_linear()
g = sympy.Symbol("gamma", positive=True)


def error(solver, law, grid, z):
    """Return the exact data end less the solver's, state by state."""
    truth = law.flow(z, grid.t[grid.n], grid.t[0], grid.schedule)
    return truth - solve(solver, law.model(grid.schedule), grid, z).z


# %% [markdown]
# ## Derivation
#
# ### Heun, and Algorithm 1
#
# EDM takes $\alpha=1$ and $\sigma=t$. Then $\mathbf z$ is its own $\mathbf y$, and the slope of the ODE is
# $\hat\epsilon$. Heun's method is a trapezoidal rule with an Euler step in place of the unknown end, eq. (35)-(36). The
# program prints it as follows:

# %%
Math(step_latex(Heun(), exploding=True))

# %% [markdown]
# Its local error has two sources. The trapezoidal rule with true slopes has the error $-\tfrac1{12}h^3\mathbf y'''$.
# The Euler predictor is too small by $\tfrac12h^2\mathbf y''$, so the slope there is too small by
# $\mathbf J\cdot\tfrac12h^2\mathbf y''$, and half a step with it adds $\tfrac14h^3\mathbf J\mathbf y''$. Together they
# are, exact minus numerical,
#
# $$h^3\Big(-\tfrac1{12}\,\mathbf y'''+\tfrac14\,\mathbf J\,\mathbf y''\Big).$$
#
# Once the slope at $\mathbf z_i$ is known, the slot behind can be integrated a second time, now with true slopes at
# both ends. Algorithm 1 starts its step from the average $\hat{\mathbf z}_i$ of both estimates, eq. (37), and keeps the
# slope from $\mathbf z_i$, so it costs no evaluation. Eq. (37) adds the second estimate to $\mathbf z_{i+1}$, as
# printed. But the step that led to $\mathbf z_i$ began at $\hat{\mathbf z}_{i+1}$. The library has both readings,
# `base="z"` and `base="z_hat"`. The second one prints shorter, with $z'$ for $\hat{\mathbf z}$:

# %%
Math(step_latex(BDIAHeun(base="z_hat"), exploding=True))

# %% [markdown]
# ### What the average does to the error
#
# The library expands the three programs along the exact solution, and solves for what a step adds to the error on a
# uniform grid. The table has the coefficients of $h^3$:

# %%
names = {
    "Heun": Heun(),
    "BDIA-EDM, base z": BDIAHeun(g),
    "BDIA-EDM, base z_hat": BDIAHeun(g, base="z_hat"),
}
orders = {name: analysis.symbolic_order(solver) for name, solver in names.items()}

# %% tags=["hide-input"]
assert (
    {o.order for o in orders.values()}
    == {2}
    == {o.order_rough for o in orders.values()}
)
curved, coupled = "y'''", "J y''"
assert orders["Heun"].principal[curved] == -sympy.Rational(1, 12)
assert orders["Heun"].principal[coupled] == sympy.Rational(1, 4)
terms = [
    (name, o.order, *(f"${sympy.latex(o.principal[d])}$" for d in (curved, coupled)))
    for name, o in orders.items()
]
Markdown(table(["solver", "order", f"of ${curved}$", f"of ${coupled}$"], terms))

# %% [markdown]
# All three are of order 2, on rough grids, too. The average leaves the quadrature error $-\frac1{12}\mathbf y'''$ alone
# and reduces the error of the predictor: to a half at $\gamma=1$ as printed, and to nothing with $\hat{\mathbf z}$ as
# base.
#
# On one Gaussian of variance $c$ the exact flow is $y=K\sqrt{c+s^2}$. There both terms are multiples of each other,
# since $y'''=-3s\,y''/(c+s^2)$ and $J=y'/y=s/(c+s^2)$. The ratio of BDIA-EDM's error to Heun's is then a number:

# %% tags=["hide-input"]
s, c = sympy.symbols("s c", positive=True)
y = sympy.sqrt(c + s**2)
values = {
    curved: sympy.diff(y, s, 3),
    coupled: sympy.diff(y, s) / y * sympy.diff(y, s, 2),
}
assert sympy.simplify(values[curved] + 3 * values[coupled]) == 0


def on_gaussian(order):
    """Return the leading term along the flow of a Gaussian."""
    return sum(
        coefficient * values[name] for name, coefficient in order.principal.items()
    )


ratios = {
    name: sympy.factor(sympy.simplify(on_gaussian(o) / on_gaussian(orders["Heun"])))
    for name, o in orders.items()
}
assert ratios["BDIA-EDM, base z"].equals((2 + g) / (2 + 2 * g))
assert ratios["BDIA-EDM, base z_hat"].equals((2 - g) / 2)
Markdown(
    table(
        ["solver", "error over Heun's"],
        [(name, f"${sympy.latex(r)}$") for name, r in ratios.items()],
    )
)

# %% [markdown]
# On a mixture $\mathbf J\mathbf y''$ and $\mathbf y'''$ have no fixed ratio, and they may have the same sign or not.
# Where the predictor's error *cancels* against that of the quadrature, removing it makes things worse. So there can be
# no theorem that BDIA-EDM is better.
#
# ### DPM-Solver++, and equation (65)
#
# DPM-Solver++ 2M extrapolates the data prediction $x=\mathbf z-\sigma\hat\epsilon$ linearly in $\log\sigma$. Here $w$
# is the prediction at $\mathbf z_i$:

# %%
Math(step_latex(DPMSolverPP(), exploding=True))

# %% [markdown]
# Equation (65) takes that as the increment over the slot ahead, and BDIA's average of DDIM increments for the slot
# behind. These are the program and the line for the slot behind:

# %%
print(inspect.getsource(BDIADPMSolverPP.step))
print(inspect.getsource(history.over_previous_slot))

# %% [markdown]
# Count the local errors for $\alpha=1$ and equal steps, as in [chapter 4](04_order_and_error_constants.py). In
# BDIA-DDIM the increment ahead has the error $\tfrac12h^2\mathbf y''$, and the backward increment of weight $\gamma$
# contributes $-\tfrac\gamma2h^2\mathbf y''$. At $\gamma=1$ they cancel, and that is where the order comes from. In (65)
# the increment ahead is already right to second order. The error of the backward increment has nothing to cancel
# against: $\ell=-\tfrac\gamma2h^2\mathbf y''$. A local error adds $\ell/(1+\gamma)$ to the global one, so the error is
#
# $$-\frac{\gamma}{1+\gamma}\quad\text{times DDIM's}.$$

# %% tags=["hide-input"]
series = {
    "DDIM": analysis.symbolic_order(DDIM()),
    "BDIA-DDIM": analysis.symbolic_order(BDIA(g)),
    "BDIA-DDIM, $\\gamma=1$": analysis.symbolic_order(BDIA(1)),
    "DPM-Solver++ 2M": analysis.symbolic_order(DPMSolverPP()),
    "(65)": analysis.symbolic_order(BDIADPMSolverPP(g)),
}
assert [o.order for o in series.values()] == [1, 1, 2, 2, 1]
assert series["(65)"].ddim_ratio.equals(-g / (1 + g))
leading = {
    name: [f"${sympy.latex(c)}\\;{d}$" for d, c in o.principal.items()]
    for name, o in series.items()
}
lines = [(name, o.order, ", ".join(leading[name])) for name, o in series.items()]
Markdown(table(["solver", "order", "leading error of a step"], lines))

# %% [markdown]
# For every $\gamma>0$ equation (65) is of order **one**. It spends an order that DPM-Solver++ had.
#
# ### Is there an inverse?
#
# The paper says that BDIA-EDM and (65) are "designed to improve the sampling quality instead of enabling inversion".
# Whether they are invertible is a property of the program ([chapter 3](03_exact_inversion.py)). The library walks
# backwards through the step and says where it stops:

# %% tags=["hide-input"]
programs = {
    "Heun": Heun(),
    "BDIA-EDM, base z": BDIAHeun(),
    "BDIA-EDM, base z_hat": BDIAHeun(base="z_hat"),
    "DPM-Solver++ 2M": DPMSolverPP(),
    "(65)": BDIADPMSolverPP(),
    "(65) with order 1": BDIADPMSolverPP(order=1),
}
assert not invertibility(BDIADPMSolverPP()).invertible
assert str(invertibility(BDIADPMSolverPP(order=1))) == "gamma != 0"
Markdown(
    table(
        ["solver", "exactly invertible"],
        [(name, invertibility(solver)) for name, solver in programs.items()],
    )
)

# %% [markdown]
# In (65) the step to $\mathbf z_{i-1}$ overwrites $\mathbf z_{i+1}$, with a coefficient that is not zero. But it also
# used $\hat x(\mathbf z_{i+1})$. To undo it one needs the network at the very state that one is looking for. That is an
# implicit equation, which iteration solves up to a tolerance, and not an exact inverse. With order 1 that prediction is
# not used, the scheme is BDIA-DDIM, and the condition is $\gamma\ne0$.
#
# ## Experiment
#
# ### One Gaussian: the constants
#
# First we test the predicted ratios at three numbers of steps, with 200 initial states:

# %%
single = problems.GaussianMixture([1.0], [[0.5]], [0.25])
noise = 10 * np.random.default_rng(0).standard_normal((200, 1))
grid = grids.uniform(edm, 48, t_max=10, t_min=0.02)
heun, ours = (
    root_mean_square(error(s, single, grid, noise)) for s in (Heun(), BDIAHeun(1))
)
print(f"48 steps: error of BDIA-EDM over Heun's {ours / heun:.3f}; predicted 3/4")

# %% tags=["hide-input"]
contenders = {
    "base z": BDIAHeun(1),
    "base z_hat": BDIAHeun(1, base="z_hat"),
    "base z, γ = 1/2": BDIAHeun(Fraction(1, 2)),
}
predicted = [
    ratios["BDIA-EDM, base z"].subs(g, 1),
    ratios["BDIA-EDM, base z_hat"].subs(g, 1),
]
predicted.append(ratios["BDIA-EDM, base z"].subs(g, sympy.Rational(1, 2)))
measured = {}
for n in (48, 96, 192):
    grid = grids.uniform(edm, n, t_max=10, t_min=0.02)
    heun = root_mean_square(error(Heun(), single, grid, noise))
    measured[n] = [
        root_mean_square(error(solver, single, grid, noise)) / heun
        for solver in contenders.values()
    ]
assert np.allclose(measured[192], [float(x) for x in predicted], atol=0.01)
rows = [(f"{n} steps", *(f"{x:.3f}" for x in found)) for n, found in measured.items()]
Markdown(
    table(
        ["error over Heun's", *contenders],
        [*rows, ("predicted", *(f"${sympy.latex(x)}$" for x in predicted))],
    )
)

# %% [markdown]
# ### A mixture on which BDIA-EDM is worse
#
# We take two distant components, and $\gamma=1$ as in the paper's table 3:

# %%
distant = problems.GaussianMixture([0.28, 0.72], [[-2.0], [3.9]], [0.07, 0.54])
grid = grids.asinh(edm, 192, t_max=10, t_min=0.02)

# %% tags=["hide-input"]
found = {
    name: error(solver, distant, grid, noise)
    for name, solver in {"Heun": Heun(), **contenders}.items()
}
over_heun = {
    name: root_mean_square(e) / root_mean_square(found["Heun"])
    for name, e in found.items()
}
print(
    "error over Heun's:",
    "; ".join(f"{name}: {x:.2f}" for name, x in over_heun.items()),
)
assert over_heun["base z"] > 1.9 and over_heun["base z_hat"] > 2.9

# %% [markdown]
# On the same grid and from the same noise, the error of BDIA-EDM is twice that of Heun, and the more thorough base is
# the worse one. This does not contradict the paper's table, which is about four networks. It contradicts "consistently"
# as a property of the method.
#
# ### Equation (65) loses its order
#
# Next we measure orders on a mixture with grids that are smooth in $\operatorname{asinh}\sigma$:

# %%
mixture = problems.GaussianMixture([0.4, 0.6], [[-1.0], [1.5]], [0.1, 0.2])
steps = (40, 80, 160, 320, 640)
solvers = {
    "DDIM": DDIM(),
    "DPM-Solver++": DPMSolverPP(),
    "(65), γ = 1/2": BDIADPMSolverPP(Fraction(1, 2)),
    "BDIA-DPM-Solver++": BDIADPMSolverPP(1),
}

# %% tags=["hide-input"]
spread = 10 * np.linspace(-2, 2, 9)[:, None]
errors = {
    name: [
        error(solver, mixture, grids.asinh(edm, n, t_max=10, t_min=0.02), spread)[
            :, 0
        ]
        for n in steps
    ]
    for name, solver in solvers.items()
}
sizes = {name: [root_mean_square(e) for e in found] for name, found in errors.items()}
slopes = {name: np.log2(found[-1] / found[-2]) for name, found in sizes.items()}
print(
    "slopes between 320 and 640 steps:",
    "; ".join(f"{name}: {x:.2f}" for name, x in slopes.items()),
)
assert slopes["DPM-Solver++"] < -1.9 and slopes["BDIA-DPM-Solver++"] > -1.15
reference = {
    "slope −1": (steps, 1.2 / np.array(steps)),
    "slope −2": (steps, 20 / np.array(steps) ** 2),
}
panel = Panel(
    "steps N",
    "root-mean-square error",
    {n: (steps, e) for n, e in sizes.items()},
    reference,
    log="xy",
    ticks=steps,
)
Picture(
    draw(panel, height=3.6, ncols=2),
    "Errors against steps: DPM-Solver++ falls with slope -2, DDIM and equation (65) with slope -1.",
)

# %% [markdown]
# *Figure 7.1. Errors fall with the number of steps, next to reference slopes in grey. DPM-Solver++ is 2M, and
# BDIA-DPM-Solver++ is (65) at $\gamma=1$. Equation (65) has the slope of DDIM, not that of the solver that it extends.*
#
# The theory says more than the slope. State by state, the error of (65) tends to $-\gamma/(1+\gamma)$ times DDIM's. The
# cell regresses one error on the other, and extrapolates from the two finest grids:

# %% tags=["hide-input"]
for name, gamma in (("(65), γ = 1/2", 0.5), ("BDIA-DPM-Solver++", 1.0)):
    fits = [
        float(e @ d / (d @ d))
        for e, d in zip(errors[name], errors["DDIM"], strict=True)
    ]
    limit = 2 * fits[-1] - fits[-2]
    print(
        f"gamma {gamma}: {', '.join(f'{x:.2f}' for x in fits)} -> {limit:.2f}; theory {-gamma / (1 + gamma):.2f}"
    )
    assert abs(limit + gamma / (1 + gamma)) < 0.04

# %% [markdown]
# ### At equal evaluations
#
# Steps are not cost, because Heun's take two evaluations. We compare errors at equal numbers of evaluations, from the
# same states, on the grids with which each schedule is used:

# %%
field = {
    "DDIM": DDIM(),
    "BDIA, γ = 1": BDIA(1),
    "Heun": Heun(),
    "BDIA-EDM": BDIAHeun(1),
    "DPM-Solver++": DPMSolverPP(),
    "BDIA-DPM-Solver++": BDIADPMSolverPP(1),
}

# %% tags=["hide-input"]
kinds = {
    "EDM, Karras grid": lambda n: grids.karras(edm, n, t_max=10, t_min=0.02),
    "linear VP, asinh grid": lambda n: grids.asinh(vp, n, t_min=0.001),
}
work = analysis.work_precision(
    field, {"mixture": mixture}, kinds, [12, 24, 48, 96], repeats=1, states=100
)


def against_evaluations(kind):
    """Return a panel of errors against evaluations on one kind of grid."""
    curves = {}
    for name in field:
        rows = work.select(grid=kind, solver=name)
        curves[name] = ([r.nfe for r in rows], [r.error for r in rows])
    return Panel(
        "model evaluations",
        "root-mean-square error",
        curves,
        title=kind,
        log="xy",
        ticks=(12, 24, 48, 96),
    )


best = {
    (kind, row.nfe): min(
        work.select(grid=kind, nfe=row.nfe), key=lambda r: r.error
    ).solver
    for kind in kinds
    for row in work.select(grid=kind, solver="DDIM")
}
Picture(
    draw(*map(against_evaluations, kinds), height=3.4),
    "Errors against model evaluations for six solvers: DPM-Solver++ is best on the Karras grid, BDIA on the linear VP schedule.",
)

# %% [markdown]
# *Figure 7.2. Solvers are compared at equal numbers of evaluations. The best solver depends on the schedule, and it is
# neither BDIA-EDM nor (65). On the Karras grid it is 2M. On the smooth grid of the VP schedule it is BDIA-DDIM with
# $\gamma=1$, with one evaluation a step and an exact inverse. (65) is behind 2M at every number of evaluations and on
# both grids.*

# %% tags=["hide-cell"]
for prefix, winner in (("EDM", "DPM-Solver++"), ("linear", "BDIA, γ = 1")):
    assert {n for (kind, _), n in best.items() if kind.startswith(prefix)} == {winner}
for kind in kinds:
    for extended in work.select(grid=kind, solver="BDIA-DPM-Solver++"):
        (plain,) = work.select(grid=kind, solver="DPM-Solver++", nfe=extended.nfe)
        assert extended.error > plain.error

# %% [markdown]
# ## What we found
#
# - BDIA-EDM keeps order 2 and removes a part of Heun's predictor error. On one Gaussian this is a gain of a quarter at
#   $\gamma=1$ (a half with the consistent base), and a theorem. On a mixture it can be a loss, twofold or threefold
#   here. The paper's "consistently better" is a measurement on four networks, and not a property of the method.
# - Equation (65) is of order 1 for every $\gamma>0$. The error that BDIA cancels in DDIM does not exist in
#   DPM-Solver++.
# - None of them has an exact inverse, and the library says where each fails. Of the paper's schemes in this chapter
#   only BDIA-DDIM has one.
# - An average helps where the two averaged errors have opposite signs. To know the signs, expand the program.
#
# ## Exercises
#
# 1. **Warm-up.** Algorithm 1 sets $\mathbf z_{i-1}$ in its last line only if $\sigma_{i-1}\ne0$, and EDM itself ends at
#    $\sigma_0=0$. What is missing, and how many evaluations does a run of $N$ steps take?
# 2. **Standard.** Repair (65). Replace the backward DDIM increment by one of second order that costs nothing. What
#    order results, how does its constant compare with 2M's, and is it invertible?
# 3. **Standard.** List the solvers of the library that are invertible, of order 2 or more, and zero-stable with their
#    default parameters. Which of them evaluates once a step?
# 4. **Research.** On mixtures BDIA-EDM may be worse than Heun without a known bound. Find a distribution for which the
#    ratio of the errors is larger than 3.15, or prove a bound for a class of distributions.
#
# ## Solutions
#
# <details><summary>Solution of exercise 1</summary>
#
# The `else` is missing. Without it the output $\mathbf z_0$ is never set. With it, the last step is an Euler step of
# one evaluation, which makes $2N-1$ in all, the same as for Heun.
#
# </details>

# %% tags=["hide-cell"]
to_zero = grids.uniform(edm, 10, t_max=10, t_min=0)
taken = [
    solve(solver, mixture.model(edm), to_zero, noise).nfe
    for solver in (Heun(), BDIAHeun(1))
]
assert taken == [2 * to_zero.n - 1] * 2
print("evaluations:", taken)

# %% [markdown]
# <details><summary>Solution of exercise 2</summary>
#
# The prediction at $\mathbf z_{i+1}$ is known, because 2M used it. So integrate the slot behind by the trapezoidal rule
# in $\hat\epsilon$, with both ends. Order 2 is back. At $\gamma=1$ the coefficient of $\mathbf y''$ is half of 2M's,
# and that of $\mathbf y'''$ is two fifths, for one evaluation a step. So the idea behind (65) was sound, and the DDIM
# increment in it was not. The inverse is still refused, for the same reason.
#
# </details>


# %% tags=["hide-cell"]
class Repaired(BDIADPMSolverPP):
    """Equation (65) with the trapezoidal rule over the slot behind."""

    def step(self, s):
        """Record the step from t_i to t_{i-1}."""
        z_prev, z = s.registers
        e, last, gamma = s.eps(z), s.eps(z_prev), s.value(self.gamma)
        ahead = (
            dpm_solver_pp.solution(s, z, (s.x0(z, e), s.x0(z_prev, last)), self.exact)
            - z
        )
        behind = (1 - gamma) * (z - z_prev) - gamma * s.delta(
            s.i, s.i + 1, z, (e + last) / 2
        )
        s.assign(z_prev, z_prev + behind + ahead, at=s.i - 1)
        s.swap(z_prev, z)


repaired, original = analysis.symbolic_order(Repaired(g)), series["DPM-Solver++ 2M"]
assert repaired.order == 2 and not invertibility(Repaired()).invertible
comparison = [
    (
        f"${name}$",
        f"${sympy.latex(original.principal[name])}$",
        f"${sympy.latex(sympy.factor(c))}$",
    )
    for name, c in repaired.principal.items()
]
shares = {
    name: (c / original.principal[name]).subs(g, 1)
    for name, c in repaired.principal.items()
}
assert {name: sympy.nsimplify(x) for name, x in shares.items()} == {
    "y''": sympy.Rational(1, 2),
    "y'''": sympy.Rational(2, 5),
}
fine = grids.asinh(edm, 640, t_max=10, t_min=0.02)
gain = (
    root_mean_square(error(Repaired(1), mixture, fine, spread))
    / sizes["DPM-Solver++"][-1]
)
print(f"error over that of 2M at 640 steps: {gain:.2f}")
assert gain < 0.7
Markdown(table(["leading error", "2M", "repaired"], comparison))

# %% [markdown]
# <details><summary>Solution of exercise 3</summary>
#
# The folded cell asks every program and makes a run of 12 steps. Solvers that took 12 to 15 evaluations evaluate once a
# step, and what exceeds 12 belongs to their start. CBDIA evaluates twice.
#
# </details>

# %% tags=["hide-cell"]
everything = []
for name, make in SOLVERS.items():
    solver = make()
    verdict = invertibility(solver)
    if verdict.invertible:
        order = analysis.symbolic_order(solver)
        if order.order >= 2 and order.zero_stable:
            each = solve(
                solver, mixture.model(vp), grids.asinh(vp, 12, t_min=0.001), noise
            ).nfe
            everything.append((name, order.order, each, verdict))
assert {"BDIA", "OBELM"} <= {name for name, *_ in everything}
assert not {"Heun", "BDIAHeun", "DPMSolverPP", "BDIADPMSolverPP"} & {
    name for name, *_ in everything
}
Markdown(
    table(["solver", "order", "evaluations of 12 steps", "invertible"], everything)
)

# %% [markdown]
# <details><summary>First steps on exercise 4</summary>
#
# `analysis.leading_error` gives the leading error of both solvers along exact trajectories, so you can search over
# mixtures without running a solver. The ratio is large where Heun's two error terms cancel along most trajectories. A
# bound needs a lower bound of $|{-\tfrac1{12}}\mathbf y'''+\tfrac14\mathbf J\mathbf y''|$, which fails at zeros. So ask
# for a bound in the mean over states.
#
# </details>
#
# ## Further reading
#
# - [Karras et al. (2022)](https://arxiv.org/abs/2206.00364), section 3, and
#   [Lu et al. (2022)](https://arxiv.org/abs/2211.01095), section 4, introduce the two base solvers.
#   [Zhang, Niwa and Kleijn (2024)](https://arxiv.org/abs/2304.11328) improve EDM by a related average, IIA.
# - [Hairer, Nørsett and Wanner (1993)](https://doi.org/10.1007/978-3-540-78862-1), sections II.1 to II.3, have the
#   order conditions of Runge-Kutta methods.
# - [Observed orders](../docs/findings/orders.md) compares more solvers by error and evaluations, and
#   [`solvers`](../docs/api/solvers.md) has their programs.
