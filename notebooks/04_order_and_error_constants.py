# %% [markdown]
# # 4. Order and error constants
#
# ## Question
#
# [The paper](https://arxiv.org/abs/2307.10829) calls BDIA "more accurate" than DDIM and shows better samples. Is it
# more accurate by a constant, or by an order? What does $\gamma$ do to the constant? On which time grids is that so?
# And why do two papers disagree about the best $\gamma$ at ten steps?

# %% tags=["hide-input"]
from fractions import Fraction

import numpy as np
import sympy as sp
from IPython.display import Markdown, Math
from scipy.integrate import quad

from bdia_numerics import (
    BDIA,
    CBDIA,
    DDIM,
    EDICT,
    OBELM,
    Heun,
    analysis,
    grids,
    names as register,
    problems,
    schedules,
    solve,
)
from bdia_numerics.analysis import GridFamily, global_error
from bdia_numerics.formulas import number, table
from bdia_numerics.pages.ledger import verdicts
from bdia_numerics.plots import Picture
from bdia_numerics.plots.style import Panel, draw
from bdia_numerics.solvers import BDIA2, BDIAHeun
from bdia_numerics.studies.study import to_clean

# %% [markdown]
# ## Derivation
#
# ### The step as two Euler defects
#
# Put $\mathbf z=\alpha\mathbf y$ into (27). In $\mathbf y$ both increments are Euler steps,
# $\Delta(t_i\to t_{i-1})=\alpha_{i-1}(\mathbf y_i+h_i\hat\epsilon_i)-\alpha_i\mathbf y_i$ and
# $\Delta(t_i\to t_{i+1})=\alpha_{i+1}(\mathbf y_i-h_{i+1}\hat\epsilon_i)-\alpha_i\mathbf y_i$, with $h_i=s_{i-1}-s_i<0$
# as in [chapter 2](02_ddim_as_euler.py). The terms $\alpha_i\mathbf y_i$ have the factor $(1-\gamma)+\gamma-1=0$, and
# what is left is
#
# $$\alpha_{i-1}\big[\mathbf y_{i-1}-\mathbf y_i-h_i\hat\epsilon_i\big]
# =\gamma\,\alpha_{i+1}\big[\mathbf y_{i+1}-\mathbf y_i+h_{i+1}\hat\epsilon_i\big].$$
#
# Each bracket says by how much a neighbour misses the tangent at $\mathbf y_i$. DDIM sets the left bracket to zero.
# BDIA sets it to a share of the right bracket.

# %% tags=["hide-cell"]
(a0, a1, a2), (y0, y1, y2) = sp.symbols("a0:3"), sp.symbols("y0:3")
h1, h2, eps, g_ = sp.symbols("h1 h2 eps g")
forward = a0 * (y1 + h1 * eps) - a1 * y1
backward = a2 * (y1 - h2 * eps) - a1 * y1
step = a2 * y2 - (1 - g_) * (a2 * y2 - a1 * y1) - g_ * backward + forward
brackets = a0 * (y0 - y1 - h1 * eps) - g_ * a2 * (y2 - y1 + h2 * eps)
assert sp.expand((a0 * y0 - step) - brackets) == 0

# %% [markdown]
# ### The error of one step
#
# Put the exact solution into both brackets. Its neighbours are at $s_i+h_i$ and $s_i-h_{i+1}$, so by Taylor's theorem
# the brackets are $\tfrac12h_i^2\mathbf y''+O(h^3)$ and $\tfrac12h_{i+1}^2\mathbf y''+O(h^3)$. The local error of BDIA,
# exact minus numerical in $\mathbf z$, is the left side minus the right side. The library expands the *program* with
# free $\alpha$, $\sigma$ and $\gamma$, and finds the same:

# %%
gamma = sp.Symbol("gamma", positive=True)
bdia = analysis.symbolic_order(BDIA(gamma))
(local,) = bdia.local["z"].values()

# %% tags=["hide-input"]
written = sp.latex(local).replace("alpha_", r"\alpha_")
Math(rf"{written}\;\mathbf y''+O(h^3)")

# %% [markdown]
# ### From local errors to the global one
#
# Take equal steps and $\alpha=1$. A step is
# $\mathbf y_{i-1}=\gamma\,\mathbf y_{i+1}+(1-\gamma)\,\mathbf y_i+(1+\gamma)\,h\,\hat\epsilon_i$. For the error
# $\mathbf e_i=\mathbf y(s_i)-\mathbf y_i$ this gives, to first order,
#
# $$\mathbf e_{i-1}=\gamma\,\mathbf e_{i+1}+(1-\gamma)\,\mathbf e_i+(1+\gamma)\,h\mathbf J\,\mathbf e_i+\ell,
# \qquad\ell=\tfrac12(1-\gamma)\,h^2\mathbf y''.$$
#
# Two combinations of neighbouring errors show what happens. The first is
# $\mathbf E_i=(\mathbf e_{i}+\gamma\,\mathbf e_{i+1})/(1+\gamma)$. Add $\gamma\mathbf e_i$ to both sides, and divide by
# $1+\gamma$:
#
# $$\mathbf E_{i-1}=\mathbf E_i+h\mathbf J\,\mathbf e_i+\frac{\ell}{1+\gamma}.$$
#
# The second is the difference $\mathbf D_i=\mathbf e_i-\mathbf e_{i+1}$. Subtract $\mathbf e_i$ from both sides:
#
# $$\mathbf D_{i-1}=-\gamma\,\mathbf D_i+(1+\gamma)\,h\mathbf J\,\mathbf e_i+\ell .$$
#
# For $\gamma<1$ the difference is damped in each step, and settles at the size of one step's change. So
# $\mathbf e_i=\mathbf E_i+O(h)\,|\mathbf e|+O(h^2)$. The first recursion is then that of Euler's method in chapter 2,
# with $\ell/(1+\gamma)$ in place of $\tfrac12h^2\mathbf y''$. The errors are therefore proportional, and
#
# $$\lim_{N\to\infty}\frac{\text{error of BDIA}}{\text{error of DDIM}}=\frac{1-\gamma}{1+\gamma}.$$
#
# This is the central number of the course. One factor, $1-\gamma$, is what the average removes from a local error. The
# other one, $1/(1+\gamma)$, says that a defect made once is shared between the solution and the damped mode. The
# damping takes about $1/(1-\gamma)$ steps, so the limit is reached only for $N(1-\gamma)\gg1$. The ledger proves it
# also for varying $\alpha$, as long as neighbouring steps have bounded ratios (fact 3).

# %% tags=["hide-input"]
e1, e2, x, ell = sp.symbols("e1 e2 x ell")  # x is h J
error = g_ * e2 + (1 - g_) * e1 + (1 + g_) * x * e1 + ell
smooth_part = (error + g_ * e1) / (1 + g_)
euler_like = (e1 + g_ * e2) / (1 + g_) + x * e1 + ell / (1 + g_)
assert sp.simplify(smooth_part - euler_like) == 0
difference = -g_ * (e1 - e2) + (1 + g_) * x * e1 + ell
assert sp.expand(error - e1 - difference) == 0
assert sp.simplify(bdia.ddim_ratio - (1 - gamma) / (1 + gamma)) == 0
(limit_ratio, polynomial) = (
    bdia.ddim_ratio,
    analysis.characteristic_polynomial(BDIA(gamma)),
)
print(f"error over DDIM's, from the program: {sp.factor(limit_ratio)}")
print(f"characteristic polynomial, from the program: {sp.factor(polynomial)}")

# %% [markdown]
# ### The case γ = 1
#
# At $\gamma=1$ the constant is 0, and the difference is no longer damped: it changes its sign in each step and keeps
# its size. What is left of the local error is a difference, too. With $q_i=\alpha_i\alpha_{i-1}h_i^2$ it is
# $\ell_i=\tfrac1{2\alpha_i}(q_i-q_{i+1})\,\mathbf y''$. Let $\alpha=1$ and forget the slope, $\mathbf J=0$. Then
#
# $$\mathbf e_{i-1}=\mathbf e_{i+1}+\ell_i=\ell_i+\ell_{i+2}+\ell_{i+4}+\dots$$
#
# **Every second local error adds up.** Three kinds of grid follow from this line:
#
# - On a smooth grid $q_i-q_{i+1}=O(h^3)$. The sum of $N/2$ such terms is $O(h^2)$, so the order is 2.
# - On a grid with steps $h,2h,h,2h,\dots$ every second $q_i-q_{i+1}$ has the same sign and the size $3h^2$. The sum is
#   $O(h)$, so the order is 1.
# - On a random grid the terms are of the size $h^2$ with random signs. The sum of $N/2$ of them grows like $\sqrt N$,
#   so the order is $\tfrac32$.
#
# Solvers whose parameter follows the steps avoid the problem: O-BELM of
# [Wang et al. (2024)](https://arxiv.org/abs/2410.07273) chooses $\gamma_i$ such that $\ell_i$ vanishes on every grid
# (exercise 2).
#
# ### The table
#
# Everything in this table is read from programs. "Rough" means grids whose neighbouring steps have bounded ratios and
# no other regularity. The last column is the limit of the error over DDIM's. A solver of higher order has 0 there.
# EDICT has no ratio, because its leading error is not a multiple of DDIM's.

# %% tags=["hide-input"]
contenders = {
    "DDIM": DDIM(),
    "EDICT, p = 0.93": EDICT(),
    "BDIA, γ": BDIA(gamma),
    "BDIA, γ = 1": BDIA(1),
    "O-BELM": OBELM(),
    "CBDIA, 0.3, 0.7": CBDIA(Fraction(3, 10), Fraction(7, 10)),
    "BDIA of 2nd order, (29)": BDIA2(),
    "Heun": Heun(),
    "BDIA-EDM": BDIAHeun(1),
}
proved = {
    name: analysis.symbolic_order(solver) for name, solver in contenders.items()
}
assert (proved["BDIA, γ = 1"].order_smooth, proved["BDIA, γ = 1"].order_rough) == (
    2,
    1,
)


def ratio_of(found):
    if found.ddim_ratio is None:
        return "none"
    return f"${sp.latex(sp.simplify(found.ddim_ratio))}$"


Markdown(
    table(
        ["solver", "order, smooth", "order, rough", "error over DDIM's"],
        [
            (name, f.order_smooth, f.order_rough, ratio_of(f))
            for name, f in proved.items()
        ],
    )
)

# %% [markdown]
# ## Experiment
#
# ### Orders on three families of grids
#
# We measure errors on steps that are equal in $\operatorname{asinh}(\sigma/\alpha)$, on steps that alternate $h,2h$,
# and on random steps within a factor of 3 (24 seeds). Starts are exact, so that the step is judged and not the start. A
# fitted order rests on the five finest numbers of steps.

# %%
law = problems.GaussianMixture([0.3, 0.7], [[-1.0], [1.0]], [0.04, 0.09])
order = analysis.observed_order(
    BDIA(1), law, GridFamily("alternating"), max_steps=256
)
print(order)

# %% tags=["hide-input"]
first, half, obelm = "BDIA, γ = 1", "BDIA, γ = 1/2", "O-BELM"
solvers = {first: BDIA(1), half: BDIA(Fraction(1, 2)), obelm: OBELM()}
observed = [
    (name, analysis.observed_order(solvers[name], law, family, **options))
    for family, names, options in (
        (GridFamily("smooth"), solvers, {"max_steps": 256}),
        (GridFamily("alternating"), solvers, {"max_steps": 256}),
        (GridFamily("random", ratio=3), (first, obelm), {"seeds": 24}),
    )
    for name in names
    if (name, family.kind) != (first, "alternating")
]
observed.append((first, order))
order = {(name, o.family.split()[0]): o for name, o in observed}
panels = []
for kind in ("smooth", "alternating", "random"):
    curves = {
        name: ([x.steps for x in o.levels], [x.error for x in o.levels])
        for name, o in ((name, order.get((name, kind))) for name in solvers)
        if o
    }
    n, e = map(np.array, curves[first])
    at = {p: 0.6 * e[0] * (n / n[0]) ** -p for p in (1, 1.5, 2)}
    lines = {f"slope −{p:g}": (n, values) for p, values in at.items()}
    panels.append(Panel("steps N", "", curves, lines, kind, "xy", around=(obelm,)))
picture = draw(*panels, columns=3, height=3.0, ncols=6)
picture.axes[0].set_ylabel("root-mean-square error")
Picture(
    picture,
    "Errors against steps of BDIA and O-BELM on smooth, alternating and random grids",
)

# %% [markdown]
# *Figure 4.1. Errors fall with the number of steps, next to reference slopes in grey. BDIA at $\gamma=1$ has order 2 on
# smooth grids, 1 on alternating ones, and between them on random ones. O-BELM keeps order 2 everywhere. The table has
# the fitted orders.*

# %% tags=["hide-input"]
Markdown(
    table(
        ["solver", "grids", "order", "interval"],
        [
            (name, kind, f"{o.order:.2f}", f"{o.low:.2f} to {o.high:.2f}")
            for (name, kind), o in order.items()
        ],
    )
)

# %% [markdown]
# On random grids the fitted order of BDIA is above $\tfrac32$, because up to 256 steps the smooth part of its error, of
# order 2, is still visible next to the random sum.

# %% tags=["hide-cell"]
assert order[first, "smooth"].agrees(2)
assert order[first, "alternating"].agrees(1)
between = order[first, "random"]
assert 1 < between.low < between.high < 2 and abs(between.order - 1.5) < 0.25
assert order[obelm, "alternating"].agrees(2)

# %% [markdown]
# ### The constant
#
# How fast is the limit $(1-\gamma)/(1+\gamma)$ reached? We project the error of BDIA on that of DDIM, so that it keeps
# its sign:

# %%
smooth, of = GridFamily("smooth"), {}
for n in (10, 40, 160):
    of[n] = global_error(DDIM(), law, smooth(n)).end.ravel()

# %% tags=["hide-input"]
gammas, ratios = np.array([0, 0.2, 0.4, 0.6, 0.8, 0.9, 0.95, 1]), {}
for n, ddim in of.items():
    runs = [global_error(BDIA(float(g)), law, smooth(n)).end.ravel() for g in gammas]
    ratios[f"N = {n}"] = gammas, [run @ ddim / (ddim @ ddim) for run in runs]
fine = np.linspace(0, 1, 50)
limit = {"limit (1 − γ)/(1 + γ)": (fine, (1 - fine) / (1 + fine))}
Picture(
    draw(Panel("γ", "error over DDIM's", ratios, limit), ncols=4),
    "Error of BDIA over DDIM's against gamma for three numbers of steps, nearing the limit",
)

# %% [markdown]
# *Figure 4.2. The error of BDIA is divided by that of DDIM on smooth grids. At ten steps the limit (grey) is far. The
# distance from it falls like $1/N$.*

# %% tags=["hide-cell"]
gap = {
    n: np.abs(r - (1 - gammas) / (1 + gammas)).max() for n, (_, r) in ratios.items()
}
print({n: round(float(x), 3) for n, x in gap.items()})
assert 3 < gap["N = 40"] / gap["N = 160"] < 5  # 1/N

# %% [markdown]
# ### Even and odd
#
# At $\gamma=1$ the mode with the root $-1$ keeps what is put into it. The DDIM start has the error $\mathbf e_N=0$,
# $\mathbf e_{N-1}=\tfrac12h_N^2\mathbf y''$. Write the pair as a smooth part plus an alternating part,
# $\mathbf e_i=\mathbf A+(-1)^{N-i}\mathbf B$. Then $\mathbf A+\mathbf B=0$ and
# $\mathbf A-\mathbf B=\tfrac12h_N^2\mathbf y''$, so $\mathbf A=-\mathbf B=\tfrac14h_N^2\mathbf y''$. The alternating
# part has the same order as the whole error. So $N^2$ times the error has *two* limits, one for even and one for odd
# $N$. For $\alpha=1$ both are integrals as in chapter 2:

# %%
edm, ends, state = schedules.edm(), {"t_max": 2, "t_min": 0.2}, np.array([[1.5]])
leading = analysis.leading_error(BDIA(1), law, edm, 1.5, variable="sigma_bar", **ends)
print(f"smooth part {leading.coefficient:.4f}, alternating {leading.oscillating:.4f}")

# %% tags=["hide-input"]
truth = law.flow(state, 2, 0.2, edm)


def scaled_error(n):
    run = solve(BDIA(1), law.model(edm), grids.uniform(edm, n, **ends), state)
    return n**2 * (truth - run.z)[0, 0]


even = np.array([8, 12, 16, 24, 32, 48, 64])
swing = {
    "even N": (even, [scaled_error(n) for n in even]),
    "odd N": (even + 1, [scaled_error(n + 1) for n in even]),
}
limits = {
    "limit for even N": [leading.coefficient + leading.oscillating] * 2,
    "limit for odd N": [leading.coefficient - leading.oscillating] * 2,
}
for n in (64, 65):
    assert np.isclose(scaled_error(n), n**2 * leading.at(n), rtol=0.02)
Picture(
    draw(
        Panel(
            "steps N",
            "N² · (exact − BDIA)",
            swing,
            {label: ((8, 65), values) for label, values in limits.items()},
        ),
        ncols=2,
    ),
    "N squared times BDIA's error for even and odd N, with two different limits",
)

# %% [markdown]
# *Figure 4.3. $N^2$ times the error of BDIA at $\gamma=1$ for one state has two limits. One more step changes the sign
# of the error. An extrapolation from $N$ and $N+1$, or an order fitted through both, is therefore wrong.*
#
# ### Rough grids can be worse than DDIM
#
# Take alternating steps, $\alpha=1$, two Gaussians at $\pm1$, and 200 steps:

# %% tags=["hide-input"]
rows = []
for variance in (0.1, 0.01):
    pair = problems.GaussianMixture([0.5, 0.5], [[-1.0], [1.0]], [variance] * 2)
    rough = grids.alternating(edm, 200, variable="sigma_bar", t_max=3, t_min=0.05)
    errors = [global_error(s, pair, rough).error for s in (DDIM(), BDIA(1), OBELM())]
    rows.append((variance, *map(number, errors), f"{errors[1] / errors[0]:.1f}"))
    assert errors[1] > 2 * errors[0] > 20 * errors[2]
Markdown(table(["variance", "DDIM", "BDIA, γ = 1", "O-BELM", "BDIA over DDIM"], rows))

# %% [markdown]
# The columns are root-mean-square errors over the default states. The last ratio grows without bound as the components
# tighten (`bdia verify --only fact-4`).
#
# ### Ten steps
#
# Orders are statements about $N\to\infty$. At ten steps of DDPM's schedule three things decide: the spacing, the last
# slot, and the scale of the data. "Leading" takes the times $900,800,\dots,0$ and then steps to clean data, so its last
# slot is far shorter than the one before it. "Cut" is the same grid without that slot.

# %%
ddpm = schedules.ddpm_linear()
names = ("leading", "cut", "trailing", "quad")
ten = {name: to_clean(name, ddpm, 10) for name in names}

# %% tags=["hide-input"]
for name, grid in ten.items():
    levels = grid.sigma / grid.alpha
    shrinks = (levels[2] - levels[1]) / (levels[1] - levels[0])
    print(f"{name}: {grid.n} slots, the last but one is {shrinks:.2f} times the last")

# %% tags=["hide-input"]
tens = np.arange(11) / 10
panels, best, at_one = [], {}, {}
for law_name, about in (
    ("broad", "two wide modes"),
    ("sharp", "three modes of width 0.003"),
):
    chosen, curves = register.distribution(law_name), {}
    for name, grid in ten.items():
        z = chosen.sample(200, np.random.default_rng(0), grid.t[-1], ddpm)
        target = chosen.flow(z, grid.t[-1], grid.t[0], ddpm)
        runs = [solve(BDIA(float(g)), chosen.model(ddpm), grid, z).z for g in tens]
        errors = [float(np.sqrt(np.mean((run - target) ** 2))) for run in runs]
        curves[name] = tens, errors
        best[law_name, name] = tens[int(np.argmin(errors))]
        at_one[law_name, name] = errors[-1]
    panels.append(
        Panel("γ (0 is DDIM)", "root-mean-square error", curves, title=about, log="y")
    )
costs = at_one["sharp", "leading"] / at_one["sharp", "cut"]
print(f"gamma = 1, sharp: the last slot of leading costs {costs:.0f}-fold")
assert 20 < costs < 40
Picture(
    draw(*panels, height=3.4, ncols=4),
    "Error at ten steps against gamma on four grids, for wide and for tight modes",
)

# %% [markdown]
# *Figure 4.4. Errors at ten steps on four grids are root mean squares over 200 states. On the left, with wide modes,
# values of $\gamma$ near 1 are best on every grid. On the right, with tight modes, they are best on the two grids that
# end evenly. Where the last slot is several times shorter than the one before it (the printed ratios), they multiply
# the error, on "leading" almost by that ratio.*

# %% tags=["hide-input"]
Markdown(
    table(
        ["best γ", *names],
        [(name, *(best[name, g] for g in names)) for name in ("broad", "sharp")],
    )
)

# %% tags=["hide-cell"]
assert best["sharp", "leading"] == 0
assert best["sharp", "cut"] > 0.8 and best["sharp", "trailing"] > 0.8
assert all(best["broad", g] >= 0.8 for g in names)

# %% [markdown]
# The BDIA paper reports that $\gamma=1$ beats DDIM at ten steps on CIFAR-10, and the
# [BELM paper](https://arxiv.org/abs/2410.07273) reports that it is by far the worst. Neither paper states its grid. The
# [public code](../docs/findings/protocols.md) of BELM takes a "leading" grid, and BDIA has none for this table. On
# "trailing" grids the first pattern arises, and on "leading" ones the second, with exact scores and without any
# network. The page on the [best gamma](../docs/findings/best-gamma.md) has more.
#
# ## What we found
#
# - BDIA with $\gamma<1$ is a first-order method with $(1-\gamma)/(1+\gamma)$ of DDIM's error, asymptotically. "More
#   accurate" holds, by a constant.
# - BDIA with $\gamma=1$ adds up every second local error. It is of order 2 on smooth grids, $\tfrac32$ on random ones,
#   and 1 on alternating ones, where it can be many times worse than DDIM.
# - The start and the last slot matter as much as $\gamma$. Letting $\gamma$ follow the steps (O-BELM) gives order 2 on
#   all grids, at a price that [chapter 5](05_stability_and_rounding.py) names.

# %% [markdown]
# You can try this in the explorer: <a href="../explorer.html#last-slot">the last slot</a> and
# <a href="../explorer.html#rough-grid">a rough grid</a> (`bdia explore last-slot`).

# %%
Markdown(verdicts("fact-2", "fact-10"))

# %% [markdown]
# ## Exercises
#
# 1. **Warm-up.** Which $\gamma_i$ makes the leading local error of BDIA vanish on *every* grid? Check that the solver
#    is O-BELM.
# 2. **Standard.** Derive the ratio of errors for CBDIA, and find all pairs $(\gamma_1,\gamma_2)$ of second order.
# 3. **Standard.** On an alternating grid with $\alpha=1$ and $\gamma=1$ the error tends to $\tfrac H6\int y''/g\,ds$,
#    with $H=3h$ and $g(s)$ the derivative of the flow from $s$ to the end. For DDIM it is
#    $\tfrac{5H}{18}\int g\,y''ds$. Check both for one Gaussian.
# 4. **Research.** Figure 4.4 says that the best $\gamma$ depends on the spacing, the last slot and the data. Find a
#    rule that predicts it from the grid and from one number of the data, and test it on distributions that you did not
#    use to find it.
#
# ## Solutions
#
# <details><summary>Solution of exercise 1</summary>
#
# The local error vanishes for $\alpha_{i-1}h_i^2=\gamma\,\alpha_{i+1}h_{i+1}^2$, so
# $\gamma_i=\alpha_{i-1}h_i^2/(\alpha_{i+1}h_{i+1}^2)$. In the library a parameter may be a function of the slot.
#
# </details>


# %% tags=["hide-cell"]
def matched(slot):
    ahead, behind = slot.next, slot.previous
    return ahead.alpha * slot.h**2 / (behind.alpha * behind.h**2)


vp = schedules.vp_linear()
uneven = grids.alternating(vp, 20, t_max=0.9, t_min=0.05)
noise = np.random.default_rng(0).standard_normal((50, 1))
runs = [
    solve(solver, law.model(vp), uneven, noise).z
    for solver in (BDIA(matched), OBELM())
]
print(f"largest difference: {np.abs(runs[0] - runs[1]).max():.1e}")
assert np.allclose(runs[0], runs[1], rtol=0, atol=1e-12)  # 20 steps of rounding

# %% [markdown]
# <details><summary>Solution of exercise 2</summary>
#
# For $\hat\epsilon=0$ a step keeps a common value of both states and multiplies their difference by
# $\gamma_1-\gamma_2$. The local errors are $\tfrac12h^2(2\gamma_k-1)\,\mathbf y''$ for $\alpha=1$. The mean that a step
# conserves has the weights $\gamma_2$ and $1-\gamma_1$, over their sum. So it gains $\tfrac12h^2\mathbf y''$ times
#
# $$\frac{\gamma_2(2\gamma_1-1)+(1-\gamma_1)(2\gamma_2-1)}{1-\gamma_1+\gamma_2}=\frac{\gamma_1+\gamma_2-1}{1-\gamma_1+\gamma_2}.$$
#
# It vanishes for $\gamma_1+\gamma_2=1$.
#
# </details>

# %% tags=["hide-cell"]
g1, g2 = sp.symbols("g1 g2", positive=True)
found = analysis.symbolic_order(CBDIA(g1, g2))
assert sp.simplify(found.ddim_ratio - (g1 + g2 - 1) / (1 - g1 + g2)) == 0
mean = g2 * (2 * g1 - 1) + (1 - g1) * (2 * g2 - 1)
assert sp.expand(mean - (g1 + g2 - 1)) == 0
print("order 2 where", found.condition)

# %% [markdown]
# <details><summary>Solution of exercise 3</summary>
#
# $y=K\sqrt{c+s^2}$, $y''=Kc\,(c+s^2)^{-3/2}$, $g=\sqrt{(c+s_0^2)/(c+s^2)}$, and $H$ is a double step, three $h$. The
# alternating mode travels with $1/g$ where the solution travels with $g$, which explains the quotient in the first
# integral.
#
# </details>

# %% tags=["hide-cell"]
c, s_end, s_start, n, z = 0.5, 0.05, 3.0, 400, 2.0
one = problems.Gaussian([0], c)
K = z / np.sqrt(c + s_start**2)


def curvature(s):
    return K * c * (c + s**2) ** -1.5


def carried(s):
    return np.sqrt((c + s_end**2) / (c + s**2))


double = 2 * (s_start - s_end) / n
integrals = (
    quad(lambda s: curvature(s) / carried(s), s_end, s_start)[0],
    quad(lambda s: curvature(s) * carried(s), s_end, s_start)[0],
)
predicted = {
    "BDIA": double / 6 * integrals[0],
    "DDIM": 5 * double / 18 * integrals[1],
}
uneven = grids.alternating(edm, n, variable="sigma_bar", t_max=s_start, t_min=s_end)
for name, solver in (("BDIA", BDIA(1)), ("DDIM", DDIM())):
    miss = global_error(solver, one, uneven, states=np.array([[z]])).end[0, 0]
    print(f"{name}: measured {abs(miss):.3e}, quadrature {predicted[name]:.3e}")
    assert np.isclose(abs(miss), predicted[name], rtol=0.03)

# %% [markdown]
# <details><summary>First steps on exercise 4</summary>
#
# [`analysis.best_gamma`](../docs/api/analysis.md) predicts the error of samples from local errors that are carried
# along exact trajectories, so it needs the distribution. [Choose gamma](../docs/choose-gamma.md) calls it for the
# grids of schedulers. A first candidate for your one number is the standard deviation of the tightest component over
# the last $\sigma/\alpha$ of the grid. Beware of means over states, which figure 2.3 warns of.
#
# </details>
#
# ## Further reading
#
# - [Hairer, Nørsett and Wanner (1993)](https://doi.org/10.1007/978-3-540-78862-1), section III.9, expand the global
#   error of multistep methods into smooth and parasitic parts. [Skeel (1993)](https://doi.org/10.1007/BF01990352)
#   treats variable steps of leapfrog.
# - [Orders](../docs/findings/orders.md) has proved and observed orders of one-step and of exactly invertible solvers,
#   [multistep solvers](../docs/findings/multistep.md) those of the others, and
#   [protocols](../docs/findings/protocols.md) the protocols of published comparisons.
# - [`analysis.symbolic_order`, `observed_order`, `leading_error`](../docs/api/analysis.md) are the functions that this
#   chapter used.
