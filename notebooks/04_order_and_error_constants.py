# %% [markdown]
# # 4. Order and error constants
#
# ## Question
#
# The paper calls BDIA "more accurate" than DDIM and shows better samples. More accurate by how much: by a constant, or
# by an order? What does $\gamma$ do to the constant? On which time grids is that so? And why do two papers disagree
# about the best $\gamma$ at ten steps?

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
    problems,
    schedules,
    solve,
)
from bdia_numerics import names as register
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
# ### What one step misses
#
# Put the exact solution into (27) and expand. In $\mathbf y=\mathbf z/\alpha$, $s=\sigma/\alpha$, $h_i=s_{i-1}-s_i$, a
# step is
#
# $$\alpha_{i-1}\big[\mathbf y_{i-1}-\mathbf y_i-h_i\epsilon_i\big]
# =\gamma\,\alpha_{i+1}\big[\mathbf y_{i+1}-\mathbf y_i+h_{i+1}\epsilon_i\big],$$
#
# one Euler defect against another. Each bracket is $\tfrac12h^2\mathbf y''+\dots$ The library expands the *program*,
# with free $\alpha$, $\sigma$ and $\gamma$. Exact minus numerical, in $\mathbf z$:

# %%
gamma = sp.Symbol("gamma", positive=True)
bdia = analysis.symbolic_order(BDIA(gamma))
(local,) = bdia.local["z"].values()
written = sp.latex(local).replace("alpha_", r"\alpha_")
Math(rf"{written}\;\mathbf y''+O(h^3)")

# %% [markdown]
# ### From local errors to the global one
#
# With $\epsilon=0$ the step is $\mathbf y_{i-1}-\mathbf y_i=-\gamma(\mathbf y_i-\mathbf y_{i+1})$ where $\alpha$ is
# constant: the characteristic polynomial is $(\zeta-1)(\zeta+\gamma)$. A defect $\ell$, made once, leaves
# $\ell\,(1-\gamma+\gamma^2-\dots)=\ell/(1+\gamma)$ behind in the mode $\zeta=1$, which the flow then carries. So on a
# smooth grid a step adds
#
# $$\frac{1}{1+\gamma}\cdot\frac{1-\gamma}{2}\,h^2\,\mathbf y''$$
#
# to the global error, where DDIM adds $\tfrac12h^2\mathbf y''$:

# %%
assert sp.simplify(bdia.ddim_ratio - (1 - gamma) / (1 + gamma)) == 0
roots = analysis.characteristic_polynomial(BDIA(gamma))
print("characteristic polynomial:", sp.factor(roots.as_expr()))
Math(
    r"\lim\frac{\text{error of BDIA}}{\text{error of DDIM}}="
    + sp.latex(sp.simplify(bdia.ddim_ratio))
)

# %% [markdown]
# For $\gamma<1$ the order is 1, with a smaller constant. At $\gamma=1$ the constant is 0. What is left of the local
# error is a *difference*: with $q_i=\alpha_i\alpha_{i-1}h_i^2$, $\alpha_i$ times it is
# $\tfrac12(q_i-q_{i+1})\mathbf y''$. It telescopes, to second order, where $q$ varies slowly from slot to slot. Where
# it jumps in every slot it does not.
#
# ### The table
#
# Everything below is read off programs. "Rough" are grids whose neighbouring steps have bounded ratios and no other
# regularity.

# %%
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
        return "no multiple"
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
# Steps equal in $\operatorname{asinh}(\sigma/\alpha)$; steps that alternate $h,2h$; random steps within a factor of 3
# (24 seeds). Starts are exact, so that the step is judged and not the start. An order rests on the five finest numbers
# of steps, and holds up to there.

# %%
law = problems.GaussianMixture([0.3, 0.7], [[-1.0], [1.0]], [0.04, 0.09])
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
]
order = {(name, o.family.split()[0]): o for name, o in observed}
assert order["BDIA, γ = 1", "smooth"].agrees(2)
assert order["BDIA, γ = 1", "alternating"].agrees(1)
between = order["BDIA, γ = 1", "random"]
assert 1 < between.low < between.high < 2 and abs(between.order - 1.5) < 0.25
assert order["O-BELM", "alternating"].agrees(2)
panels = [
    Panel(
        "steps N",
        "root-mean-square error",
        {
            name: ([x.steps for x in o.levels], [x.error for x in o.levels])
            for (name, its_kind), o in order.items()
            if its_kind == kind
        },
        title=kind,
        log="xy",
    )
    for kind in ("smooth", "alternating", "random")
]
Picture(
    draw(*panels, columns=3),
    "Errors against steps of BDIA and O-BELM on smooth, alternating and random grids",
)

# %%
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
# *Figure 4.1. Errors against steps, and the fitted orders. BDIA at $\gamma=1$ has order 2 on the smooth grids, 1 on the
# alternating ones, and about 3/2 on random ones, where the differences $q_i-q_{i+1}$ add up like a random walk. O-BELM,
# which lets $\gamma$ follow the steps, keeps 2.*

# %% [markdown]
# ### The constant
#
# The error of BDIA, projected on that of DDIM so that it keeps its sign, against $\gamma$:

# %%
gammas = np.array([0, 0.2, 0.4, 0.6, 0.8, 0.9, 0.95, 1])
smooth, ratios = GridFamily("smooth"), {}
for n in (10, 40, 160):
    of_ddim = global_error(DDIM(), law, smooth(n)).end.ravel()
    runs = [global_error(BDIA(float(g)), law, smooth(n)).end.ravel() for g in gammas]
    ratios[f"N = {n}"] = gammas, [run @ of_ddim / (of_ddim @ of_ddim) for run in runs]
fine = np.linspace(0, 1, 50)
Picture(
    draw(
        Panel(
            "γ",
            "error over DDIM's",
            ratios,
            {"(1 − γ)/(1 + γ)": (fine, (1 - fine) / (1 + fine))},
        )
    ),
    "Error of BDIA over DDIM's against gamma for three numbers of steps, nearing the limit",
)

# %% [markdown]
# *Figure 4.2. Against the limit (grey). At ten steps it is far off: the limit shows once $N(1-\gamma)$ is large, and
# the next term is of size $1/N$.*

# %%
gap = {
    n: np.abs(r - (1 - gammas) / (1 + gammas)).max() for n, (_, r) in ratios.items()
}
print({n: round(float(x), 3) for n, x in gap.items()})
assert 3 < gap["N = 40"] / gap["N = 160"] < 5  # 1/N

# %% [markdown]
# ### Even and odd
#
# At $\gamma=1$ the second root is $-1$: what is put into its mode never decays by itself. The DDIM start puts
# $\tfrac14h_N^2\mathbf y''_N$ into it, of the same order as the whole error. So $N^2$ times the error has *two* limits.
# For $\alpha=1$ both are quadratures (chapter 2):

# %%
edm, ends, state = schedules.edm(), {"t_max": 2, "t_min": 0.2}, np.array([[1.5]])
leading = analysis.leading_error(BDIA(1), law, edm, 1.5, variable="sigma_bar", **ends)
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
    "coefficient + oscillating": [leading.coefficient + leading.oscillating] * 2,
    "coefficient − oscillating": [leading.coefficient - leading.oscillating] * 2,
}
print(
    f"coefficient {leading.coefficient:.4f}, oscillating part {leading.oscillating:.4f}"
)
for n in (64, 65):
    assert np.isclose(scaled_error(n), n**2 * leading.at(n), rtol=0.02)
Picture(
    draw(
        Panel(
            "steps N",
            "N² · (exact − BDIA)",
            swing,
            {label: ((8, 65), values) for label, values in limits.items()},
        )
    ),
    "N squared times BDIA's error for even and odd N, with two different limits",
)

# %% [markdown]
# *Figure 4.3. One more step changes the sign of the error. Extrapolating from $N$ and $N+1$, or fitting an order
# through both, goes wrong.*
#
# ### Rough grids can be worse than DDIM
#
# Alternating steps, $\alpha=1$, two Gaussians at $\pm1$, 200 steps, root mean square over the default states:

# %%
rows = []
for variance in (0.1, 0.01):
    pair = problems.GaussianMixture([0.5, 0.5], [[-1.0], [1.0]], [variance] * 2)
    rough = grids.alternating(edm, 200, variable="sigma_bar", t_max=3, t_min=0.05)
    errors = [global_error(s, pair, rough).error for s in (DDIM(), BDIA(1), OBELM())]
    rows.append((variance, *map(number, errors), f"{errors[1] / errors[0]:.1f}"))
    assert errors[1] > 2 * errors[0] > 20 * errors[2]
Markdown(table(["variance", "DDIM", "BDIA, γ = 1", "O-BELM", "BDIA over DDIM"], rows))

# %% [markdown]
# The factor grows without bound as the components tighten (`bdia verify --only fact-4`).
#
# ### Ten steps
#
# Orders are statements about $N\to\infty$. At ten steps of DDPM's schedule three things decide: the spacing, the last
# slot, and the scale of the data. "Leading" takes the times $900,800,\dots,0$ and then steps to clean data: its last
# slot is far shorter than the one before. "Cut" is the same without it.

# %%
ddpm = schedules.ddpm_linear()
names = ("leading", "cut", "trailing", "quad")
ten = {name: to_clean(name, ddpm, 10) for name in names}
for name, grid in ten.items():
    levels = grid.sigma / grid.alpha
    shrinks = (levels[2] - levels[1]) / (levels[1] - levels[0])
    print(f"{name}: {grid.n} slots, the last but one is {shrinks:.2f} times the last")
tens = np.array([0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1])
panels, best = [], {}
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
        if name == "leading" and law_name == "sharp":
            of_leading = errors[-1]
        if name == "cut" and law_name == "sharp":
            print(
                f"gamma = 1, sharp: the last slot of leading costs {of_leading / errors[-1]:.0f}-fold"
            )
            assert 20 < of_leading / errors[-1] < 40
    panels.append(
        Panel("γ (0 is DDIM)", "root-mean-square error", curves, title=about, log="y")
    )
Picture(
    draw(*panels, height=3.4),
    "Error at ten steps against gamma on four grids, for wide and for tight modes",
)

# %% [markdown]
# *Figure 4.4. Ten steps. Wide modes like $\gamma$ near 1 on every grid. Tight ones do so on the two grids that end
# evenly; where the last slot is several times shorter than the one before it (see the printed ratios), a $\gamma$ near
# 1 multiplies their error, on "leading" almost by that ratio.*

# %%
Markdown(
    table(
        ["best γ", *names],
        [(name, *(best[name, g] for g in names)) for name in ("broad", "sharp")],
    )
)

# %%
assert best["sharp", "leading"] == 0
assert best["sharp", "cut"] > 0.8 and best["sharp", "trailing"] > 0.8
assert all(best["broad", g] >= 0.8 for g in names)

# %% [markdown]
# One paper (BDIA) reports that $\gamma=1$ beats DDIM at ten steps on CIFAR-10, another (BELM) that it is by far the
# worst. Neither states its grid. On "trailing" grids the first pattern arises, on "leading" ones the second, with exact
# scores and no network at all: see the page on the best gamma among the findings.
#
# ## What we found
#
# - BDIA with $\gamma<1$ is a first-order method with $(1-\gamma)/(1+\gamma)$ of DDIM's error, asymptotically. "More
#   accurate" holds, by a constant.
# - BDIA with $\gamma=1$ is of second order on smooth grids, of order 3/2 on random ones and of order 1 on alternating
#   ones, where it can be many times worse than DDIM.
# - The start and the last slot matter as much as $\gamma$. Letting $\gamma$ follow the steps (O-BELM) gives order 2 on
#   all grids, at a price that chapter 5 names.
#
# Try it: <a href="../explorer.html#last-slot">the last slot</a> and
# <a href="../explorer.html#rough-grid">a rough grid</a> in the explorer (`bdia explore last-slot`).

# %%
Markdown(verdicts("fact-2", "fact-10"))

# %% [markdown]
# ## Exercises
#
# 1. Derive the ratio of errors for CBDIA and find all pairs $(\gamma_1,\gamma_2)$ of second order.
# 2. Which $\gamma_i$ makes the leading local error of BDIA vanish on *every* grid? Check that the solver is O-BELM.
# 3. On an alternating grid, $\alpha=1$, $\gamma=1$, the error tends to $\tfrac H6\int y''/g\,ds$ with $H=3h$ and $g(s)$
#    the derivative of the flow from $s$ to the end (DDIM: $\tfrac{5H}{18}\int g\,y''ds$). Check both for one Gaussian.
#
# ## Solutions
#
# **1.** For $\epsilon=0$ a step keeps a common value of both states and multiplies their difference by
# $\gamma_1-\gamma_2$. Local errors are $\tfrac12h^2(2\gamma_k-1)\mathbf y''$ for $\alpha=1$ (above:
# $2\alpha_i\gamma_k-2\alpha_i+\alpha_{i-1}$). The mean that a step conserves has the weights $\gamma_2$ and
# $1-\gamma_1$, over their sum; so it gains $\tfrac12h^2\mathbf y''$ times
#
# $$\frac{\gamma_2(2\gamma_1-1)+(1-\gamma_1)(2\gamma_2-1)}{1-\gamma_1+\gamma_2}=\frac{\gamma_1+\gamma_2-1}{1-\gamma_1+\gamma_2}.$$

# %% tags=["hide-cell"]
g1, g2 = sp.symbols("g1 g2", positive=True)
found = analysis.symbolic_order(CBDIA(g1, g2))
assert sp.simplify(found.ddim_ratio - (g1 + g2 - 1) / (1 - g1 + g2)) == 0
mean = g2 * (2 * g1 - 1) + (1 - g1) * (2 * g2 - 1)
assert sp.expand(mean - (g1 + g2 - 1)) == 0
print("order 2 where", found.condition)

# %% [markdown]
# **2.** $\alpha_{i-1}h_i^2=\gamma\,\alpha_{i+1}h_{i+1}^2$, so $\gamma_i=\alpha_{i-1}h_i^2/(\alpha_{i+1}h_{i+1}^2)$. A
# parameter may be a function of the slot.


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
# **3.** $y=K\sqrt{c+s^2}$, $y''=Kc\,(c+s^2)^{-3/2}$, $g=\sqrt{(c+s_0^2)/(c+s^2)}$; $H$ is a double step, three $h$.

# %% tags=["hide-cell"]
c, s_end, s_start, n, z = 0.5, 0.05, 3.0, 400, 2.0
one = problems.Gaussian([0], c)
K = z / np.sqrt(c + s_start**2)


def curvature(s):
    return K * c * (c + s**2) ** -1.5


def carried(s):
    return np.sqrt((c + s_end**2) / (c + s**2))


double = 2 * (s_start - s_end) / n
predicted = {
    "BDIA": double / 6 * quad(lambda s: curvature(s) / carried(s), s_end, s_start)[0],
    "DDIM": 5
    * double
    / 18
    * quad(lambda s: curvature(s) * carried(s), s_end, s_start)[0],
}
uneven = grids.alternating(edm, n, variable="sigma_bar", t_max=s_start, t_min=s_end)
for name, solver in (("BDIA", BDIA(1)), ("DDIM", DDIM())):
    miss = global_error(solver, one, uneven, states=np.array([[z]])).end[0, 0]
    print(f"{name}: measured {abs(miss):.3e}, quadrature {predicted[name]:.3e}")
    assert np.isclose(abs(miss), predicted[name], rtol=0.03)
