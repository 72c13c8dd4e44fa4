# %% [markdown]
# # 5. Stability, rounding, and the price of γ < 1
#
# ## Question
#
# [Chapter 3](03_exact_inversion.py) left a riddle: exact round trips through useless latents. By which factor does an
# error grow on the way to the noise, and on the way to the data? What does $\gamma<1$ buy, and what does it cost? How
# many digits does a computer need so that "exact" inversion is exact in practice?

# %% tags=["hide-input"]
from fractions import Fraction

import numpy as np
import sympy as sp
from IPython.display import Markdown, Math

from bdia_numerics import (
    BDIA,
    CBDIA,
    EDICT,
    OBELM,
    analysis,
    grids,
    problems,
    round_trip,
    schedules,
)
from bdia_numerics.formulas import number, table
from bdia_numerics.pages.ledger import verdicts
from bdia_numerics.plots import Picture
from bdia_numerics.plots.results import figure, regions as region_plot
from bdia_numerics.plots.style import Panel, draw, looks

# %% [markdown]
# ## Derivation
#
# ### Zero-stability
#
# Switch the network off, $\hat\epsilon=0$, and let $\alpha$ be constant. The ODE then stands still, and so should a
# solver. BDIA becomes the recurrence $u_{k+2}=(1-\gamma)\,u_{k+1}+\gamma\,u_k$, where $k$ counts the steps. Try
# $u_k=\zeta^k$:
#
# $$\zeta^2-(1-\gamma)\,\zeta-\gamma=(\zeta-1)(\zeta+\gamma)=0 .$$
#
# This is the *characteristic polynomial*. The root 1 carries the solution. The root $-\gamma$ is *parasitic*: nothing
# in the ODE corresponds to it. For $\gamma\ne-1$ every solution of the recurrence is
#
# $$u_k=A+B\,(-\gamma)^k,\qquad A=\frac{u_1+\gamma u_0}{1+\gamma},\qquad B=\frac{u_0-u_1}{1+\gamma}.$$
#
# If both first values are equal, then $B=0$, and the solver stands still. If a rounding error makes them differ, the
# parasitic part stays bounded for all $k$ if and only if $|\gamma|\le1$. For $\gamma=-1$ the root 1 is double, the
# solution is $A+Bk$, and it grows. A solver is called **zero-stable** if its recurrence keeps all solutions bounded as
# the number of steps grows. For BDIA this is $-1<\gamma\le1$. In general all roots must lie in the closed unit disc,
# and those on the circle must be simple ([Dahlquist, 1956](https://doi.org/10.7146/math.scand.a-10454)).

# %% tags=["hide-cell"]
gamma, p, g1, g2, zeta = sp.symbols("gamma p gamma_1 gamma_2 zeta", positive=True)
k = sp.Symbol("k", integer=True, nonnegative=True)
u0, u1, power = sp.symbols("u0 u1 power")  # power stands for (-gamma)^k
A, B = (u1 + gamma * u0) / (1 + gamma), (u0 - u1) / (1 + gamma)
u = [A + B * power * (-gamma) ** j for j in range(3)]
assert sp.simplify(u[2] - (1 - gamma) * u[1] - gamma * u[0]) == 0
assert [sp.simplify(x.subs(power, 1)) for x in u[:2]] == [u0, u1]

# %% [markdown]
# Zero-stability is what turns small local errors into small global ones. Collect the last two errors of a run in a
# vector $\mathbf v_k$. It obeys
# $\mathbf v_{k+1}=C\,\mathbf v_k+(\text{slope terms of size at most }|h_k|\,L\,|\mathbf v_k|)+\boldsymbol\ell_k$, with
# the companion matrix $C$ of the recurrence and a bound $L$ of the Jacobian. Zero-stability says that all powers of $C$
# are bounded, $\|C^k\|\le K$. Unroll the recurrence:
#
# $$|\mathbf v_k|\le K\Big(|\mathbf v_0|+\sum_{j<k}|h_j|\,L\,|\mathbf v_j|+\sum_{j<k}|\boldsymbol\ell_j|\Big)\quad\text{so}\quad
# |\mathbf v_k|\le K\Big(|\mathbf v_0|+\sum_j|\boldsymbol\ell_j|\Big)\,e^{KLH},\qquad H=\sum_j|h_j| .$$
#
# The second inequality is Gronwall's for sums. The bound does not grow with $N$. If local errors are $O(h^{p+1})$ and
# the start is $O(h^p)$, then the global error is $O(h^p)$. Without zero-stability there is no $K$, and the bound is
# void.
#
# ### Roots, both ways
#
# The library takes the polynomial from the program, and that of the way back from the derived inverse:

# %%
sampling = analysis.characteristic_polynomial(BDIA(gamma), zeta=zeta)
inverting = analysis.characteristic_polynomial(
    BDIA(gamma), direction="invert", zeta=zeta
)

# %% tags=["hide-input"]
rows = []
for name, solver, parasitic in (
    ("BDIA", BDIA(gamma), -gamma),
    ("EDICT", EDICT(p), p**2),
    ("CBDIA", CBDIA(g1, g2), g1 - g2),
):
    both = [
        sp.factor(
            analysis.characteristic_polynomial(
                solver, direction=d, zeta=zeta
            ).as_expr()
        )
        for d in ("sample", "invert")
    ]
    assert sp.simplify(both[0].subs(zeta, parasitic)) == 0
    assert sp.simplify(both[1].subs(zeta, 1 / parasitic)) == 0
    rows.append((name, *(f"${sp.latex(q)}$" for q in both)))
assert sp.expand(sampling - (zeta - 1) * (zeta + gamma)) == 0
assert sp.simplify(inverting.subs(zeta, -1 / gamma)) == 0
Markdown(table(["solver", "sampling", "inverting"], rows))

# %% [markdown]
# The parasitic root of the inverse is the *reciprocal* of that of the sampler. So **what a solver damps on one way it
# amplifies on the other.** A parasitic root of modulus below 1 in sampling makes the inverse zero-unstable. Only
# modulus 1 is neutral both ways, and at modulus 1 nothing is damped.
#
# ### The growth of a perturbation
#
# With varying $\alpha$ and $\hat\epsilon\ne0$ two things change. First, the two brackets of
# [chapter 4](04_order_and_error_constants.py) read, without slopes,
# $\alpha_{i-1}(\mathbf y_{i-1}-\mathbf y_i)=-\gamma\,\alpha_{i+1}(\mathbf y_i-\mathbf y_{i+1})$. So a difference of
# neighbours is multiplied by $-\gamma\,\alpha_{i+1}/\alpha_{i-1}$ in each step, exactly. Second, a slope $J$ moves the
# roots. With $x=hJ$ the polynomial is $\zeta^2-(1-\gamma+(1+\gamma)x)\,\zeta-\gamma$, and to first order in $x$ its
# roots are
#
# $$1+x\approx e^{hJ},\qquad-\gamma\,(1-x)\approx-\gamma\,e^{-hJ}.$$
#
# The smooth mode follows the flow. The parasitic mode follows the flow *with the opposite sign of* $J$: it grows where
# the solution shrinks. Multiply the factors over a run to the noise. A perturbation of $\mathbf z_0$ alone has the
# share $1/(1+\gamma)$ in both modes, up to a factor $\gamma$, and
#
# $$\Big|\frac{\partial\mathbf z_N}{\partial\mathbf z_0}\Big|\approx\frac1{1+\gamma}\Big|
# \underbrace{\frac{\alpha_N}{\alpha_0}\,e^{\int J\,ds}}_{\text{smooth}}
# \;-\;(-1)^{N-1}\underbrace{\gamma^{-(N-1)}\,\frac{\alpha_1}{\alpha_{N-1}}\,e^{-\int J\,ds}}_{\text{parasitic}}\Big|,$$
#
# with integrals from $s_0$ to $s_N$. For $\gamma<1$ and large $N$ the parasitic term wins: the latent is made of
# $\gamma^{-(N-1)}$ times the error of the start.

# %% tags=["hide-cell"]
x = sp.Symbol("x", real=True)
quadratic = analysis.stability_polynomial(BDIA(gamma), zeta=zeta, x=x).as_expr()
assert (
    sp.expand(quadratic - (zeta**2 - (1 - gamma + (1 + gamma) * x) * zeta - gamma))
    == 0
)
for moved in (1 + x, -gamma * (1 - x)):
    left = sp.series(sp.expand(quadratic.subs(zeta, moved)), x, 0, 2).removeO()
    assert sp.simplify(left) == 0
# the inverse from z_0 = 1, z_1 = 0: C + D (-1/gamma)^k
C, D = sp.symbols("C D")
found = sp.solve([C + D - 1, C - D / gamma], [C, D])
assert sp.simplify(found[C] - 1 / (1 + gamma)) == 0
assert sp.simplify(found[D] - gamma / (1 + gamma)) == 0

# %% [markdown]
# [`analysis.amplification`](../docs/api/analysis.md) multiplies the companion matrices of an actual grid, so it needs
# no approximation. We compare it with the formula for a Gaussian of variance $c$, where
# $e^{\int J\,ds}=\sqrt{(c+s_N^2)/(c+s_0^2)}$:

# %%
schedule, c = schedules.vp_linear(), 0.25
slope = analysis.gaussian_jacobian(c)


def grid_of(n):
    return grids.uniform(schedule, n, t_max=1, t_min=0.01)


found = analysis.amplification(BDIA(0.9), grid_of(20), "invert", J=slope)


# %% tags=["hide-input"]
def terms(g, grid):
    """Return the smooth and the parasitic term of the formula."""
    s, n, a = grid.sigma / grid.alpha, grid.n, grid.alpha
    flow = np.sqrt((c + s[-1] ** 2) / (c + s[0] ** 2))
    smooth, parasitic = a[-1] / a[0] * flow, g ** (1.0 - n) * a[1] / a[-2] / flow
    return smooth / (1 + g), parasitic / (1 + g)


rows, excess = [], {}
for g in (0.5, 0.8, 0.9, 1):
    for n in (20, 80, 320):
        found = analysis.amplification(BDIA(g), grid_of(n), "invert", J=slope)
        response = abs(found.response[found.registers.index("z")])
        smooth, parasitic = terms(g, grid_of(n))
        total = smooth + parasitic  # N is even
        excess[g, n] = response / total - 1
        rows.append(
            (
                g,
                n,
                number(response),
                number(parasitic),
                number(total),
                f"{response / total:.2f}",
            )
        )
        assert abs(excess[g, n]) < 16 / n
heads = [
    "γ",
    "N",
    "companion matrices",
    "parasitic term",
    "both terms",
    "matrices over both terms",
]
Markdown(table(heads, rows))

# %% [markdown]
# The formula is asymptotic, and the last column says how good it is. With both terms it is too small by up to two
# thirds at 20 steps, by a seventh at 80, and by a few hundredths at 320: the relative error falls like $1/N$. The
# parasitic term alone would be 2.6 times too small for $\gamma=0.9$ and 20 steps, where both modes are still of one
# size. At $\gamma=1$ both modes have modulus 1, and the smooth one is larger here.

# %% tags=["hide-cell"]
assert max(excess[g, 20] for g in (0.5, 0.8, 0.9)) < 0.7
assert max(excess[g, 80] for g in (0.5, 0.8, 0.9)) < 0.15
assert max(excess[g, 320] for g in (0.5, 0.8, 0.9)) < 0.04
early = analysis.amplification(BDIA(0.9), grid_of(20), "invert", J=slope)
alone = abs(early.response[early.registers.index("z")]) / terms(0.9, grid_of(20))[1]
assert 2.5 < alone < 2.7

# %% [markdown]
# ### The interval of stability
#
# In sampling $hJ<0$ where the flow contracts, because $h<0$ and $J>0$ there ([chapter 2](02_ddim_as_euler.py)). How
# large may $|hJ|$ be until a solver blows up where it ought to decay? For $\alpha=1$ and equal steps the answer is
# exact algebra (exercise 1):

# %%
interval = analysis.stability_interval(BDIA(gamma))
Math(rf"-{sp.latex(sp.simplify(interval.length))}<h_iJ<0")

# %% tags=["hide-cell"]
assert sp.simplify(interval.length - 2 * (1 - gamma) / (1 + gamma)) == 0
ratio = analysis.symbolic_order(BDIA(gamma)).ddim_ratio
assert sp.simplify(interval.length - 2 * ratio) == 0

# %% [markdown]
# It is *twice the error over DDIM's* of chapter 4. The smaller the error, the smaller the interval, and at $\gamma=1$
# both are 0. DDIM ($\gamma=0$) has Euler's interval of length 2.

# %%
plane = {"real": (-2.2, 0.4), "imaginary": (-1.3, 1.3)}
regions = {
    f"γ = {g}": analysis.stability_region(BDIA(g), **plane)
    for g in (0, Fraction(1, 2), Fraction(9, 10))
}

# %% tags=["hide-input"]
Picture(
    figure({k.replace("9/10", "0.9"): r for k, r in regions.items()}, region_plot),
    "Regions of linear stability of BDIA for gamma 0, 1/2 and 9/10, shrinking from Euler's disc to the imaginary axis",
)

# %% [markdown]
# *Figure 5.1. The regions show where numerical solutions of $dy/ds=Jy$ stay bounded, in the plane of $hJ$ with equal
# scales. The region shrinks from Euler's disc towards the segment of the imaginary axis that leapfrog has.*
#
# ## Experiment
#
# ### The riddle of chapter 3
#
# We go from data to noise by the inverse, with *one* DDIM step as start. The start has an error of the size $h^2$,
# which falls like $N^{-2}$, and the growth does the rest. We therefore compare $N^2$ times the latent error with the
# growth alone.

# %%
law = problems.GaussianMixture([0.3, 0.7], [[-1.0], [1.0]], [0.04, 0.09])
model, data = law.model(schedule), law.sample(100, np.random.default_rng(0))
trip = round_trip(BDIA(0.9), model, grid_of(40), data, end="data", reference=law)
print(f"latent error {trip.latent:.2f}, round-trip error {trip.error:.1e}")

# %% tags=["hide-input"]
counts = (10, 15, 20, 25, 30, 40)
latent, growth, guides = {}, {}, {}
for g in (1, Fraction(9, 10), Fraction(1, 2)):
    name = f"γ = {float(g):g}"
    trips = [
        round_trip(BDIA(g), model, grid_of(n), data, end="data", reference=law)
        for n in counts
    ]
    latent[name] = (
        counts,
        [n**2 * t.latent for n, t in zip(counts, trips, strict=True)],
    )
    grown = [
        analysis.amplification(BDIA(g), grid_of(n), "invert", J=slope).total
        for n in counts
    ]
    growth[name] = counts, grown
    if g < 1:
        power = float(g) ** -np.array(counts, float)
        guides[f"proportional to ${float(g):g}^{{-N}}$"] = counts, power / power[-1]
rate = np.polyfit(counts[2:], np.log(latent["γ = 0.5"][1][2:]), 1)[0]
print(f"gamma = 1/2: N² times the latent error grows {np.exp(rate):.2f}-fold a step")
assert abs(np.exp(rate) - 2) < 0.1
panels = []
for title, y, curves in (
    ("latent error", "N² · root mean square", latent),
    ("growth on the way to noise", "factor", growth),
):
    ends = [curves[f"γ = {g}"][1][-1] for g in ("0.9", "0.5")]
    scaled = {
        label: (x, values * end)
        for (label, (x, values)), end in zip(guides.items(), ends, strict=True)
    }
    panels.append(Panel("steps N", y, curves, scaled, title, "y"))
Picture(
    draw(*panels, height=3.4),
    "Latent error, and growth of perturbations, against steps for three gammas, with lines proportional to gamma to the power minus N",
)

# %% [markdown]
# *Figure 5.2. More steps make the latent worse, exponentially, unless $\gamma=1$. The left panel has $N^2$ times the
# latent error. The grey lines have the slopes $\gamma^{-N}$ and pass through the last points.*
#
# The way back undoes all of it. It starts from the states that the way there reached, and multiplies by the
# reciprocals. That is why a round trip says nothing about the latent.
#
# ### Rounding
#
# A start can be improved, but rounding cannot. Each slot makes an error of about one unit in the last place, and the
# growth on the way *back* multiplies it. `analysis.round_trip_error` adds this up from the program, by format, before
# anything is run. We go from noise to data and back on a unit Gaussian with 40 steps:

# %%
unit, curvature = problems.Gaussian([0], 1), analysis.gaussian_jacobian(1)
predicted = analysis.round_trip_error(BDIA(0.9), grid_of(40), J=curvature)
print({name: float(f"{x:.2g}") for name, x in predicted.errors.items()})

# %% tags=["hide-input"]
gammas = np.array([0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 1])
predictions = [
    analysis.round_trip_error(BDIA(float(g)), grid_of(40), J=curvature)
    for g in gammas
]
measured, expected = {}, {}
for dtype in ("float16", "float32", "float64"):
    noise = np.random.default_rng(0).standard_normal((300, 1)).astype(dtype)
    trips = [
        round_trip(
            BDIA(float(g)), unit.model(schedule), grid_of(40), noise, reference=unit
        )
        for g in gammas
    ]
    kept = np.array([np.isfinite(t.error) and t.error < 1 for t in trips])
    measured[dtype] = gammas[kept], [t.error for t in trips if t.error < 1]
    by_theory = np.array([x.errors[dtype] for x in predictions])
    inside = np.array([t.error for t in trips])[kept] / by_theory[kept]
    expected[f"{dtype}, predicted"] = (
        gammas[by_theory < 30],
        by_theory[by_theory < 30],
    )
    print(
        f"{dtype}: measured over predicted {inside.min():.2f} to {inside.max():.2f}"
    )
    assert 0.4 < inside.min() <= inside.max() < 2.5
marks = {
    name: look | {"linestyle": "none"} for name, look in looks(list(measured)).items()
}
Picture(
    draw(
        Panel(
            "γ", "round-trip error", measured, expected, log="y", limits=(1e-16, 10)
        ),
        height=3.6,
        ncols=2,
        style=marks,
    ),
    "Round-trip error against gamma in three floating-point formats at 40 steps: marks on the predicted lines",
)

# %% [markdown]
# *Figure 5.3. Round-trip errors from noise to data and back at 40 steps are root mean squares. Marks are measured, and
# grey lines are predicted. Where the error exceeds 1, the size of the noise itself, nothing comes back, and the mark is
# left out.*
#
# Turned around, the prediction names the format that a tolerance needs:

# %%
for g in (1, 0.9, 0.5):
    print(analysis.required_dtype(BDIA(g), grid_of(50), 1e-5))

# %% [markdown]
# ### What γ = 1 costs
#
# At $\gamma=1$ both ways are neutral, but neutral means that nothing is damped. Where the flow contracts strongly, as
# it does for tight data, the parasitic mode grows by as much as the solution shrinks. The table has the growth of a
# perturbation over a run of 80 steps, either way:

# %% tags=["hide-input"]
rows = []
for variance in (1, 0.01, 0.0001):
    tight = analysis.gaussian_jacobian(variance)
    fine = grids.asinh(schedule, 80, t_max=1, t_min=0.01)
    total = {
        (g, d): analysis.amplification(BDIA(g), fine, d, J=tight).total
        for g in (1, 0.9)
        for d in ("sample", "invert")
    }
    rows.append((variance, *map(number, total.values())))
    assert variance == 1 or total[1, "sample"] > 5 > 1 > total[0.9, "sample"]
ways = {"sample": "sampling", "invert": "inverting"}
Markdown(table(["variance", *(f"γ = {g}, {ways[d]}" for g, d in total)], rows))

# %% [markdown]
# For tight data $\gamma=1$ amplifies in sampling, where $\gamma=0.9$ damps. This is what a $\gamma$ below 1 buys.
#
# ### The trade
#
# `analysis.best_gamma` puts both sides on one scale. One is the sample error, from local errors carried along exact
# trajectories. The other one is the loss of a round trip in a given format.

# %%
traded = analysis.best_gamma(law, grid_of(40), target="both", dtype="float32")
print(traded.why)

# %% tags=["hide-input"]
useful = traded.round_trip < 10
curves = {
    "sample error": (traded.gammas, traded.sample),
    "round-trip error, float32": (
        traded.gammas[useful],
        traded.round_trip[useful],
    ),
}
Picture(
    draw(Panel("γ", "root-mean-square error", curves, log="y")),
    "Predicted sample error and round-trip error in float32 against gamma",
)

# %% [markdown]
# *Figure 5.4. The errors are predicted for 40 steps on a smooth grid and a broad distribution. Both curves fall towards
# $\gamma=1$, so there is no trade at all. A trade arises where $\gamma=1$ is worse at sampling: on rough grids, with
# short last slots, and on tight data (chapter 4).*
#
# ### What O-BELM costs
#
# O-BELM's $\gamma_i$ follows the squared ratio of the steps, so it exceeds 1 in every other slot of an alternating
# grid. The table has the growth of a perturbation over a run on steps $h,2h$, with $\hat\epsilon=0$ and $\alpha=1$:

# %% tags=["hide-input"]
edm = schedules.edm()
lengths = (20, 40, 80, 160)
totals = {
    name: [
        analysis.amplification(
            solver,
            grids.alternating(edm, n, variable="sigma_bar", t_max=3, t_min=0.05),
        ).total
        for n in lengths
    ]
    for name, solver in (("BDIA, γ = 1", BDIA(1)), ("O-BELM", OBELM()))
}
assert np.allclose(np.diff(np.log2(totals["O-BELM"]))[1:], 1, atol=0.05)  # linear
assert np.ptp(totals["BDIA, γ = 1"]) < 1e-9
Markdown(
    table(
        ["solver", *(f"N = {n}" for n in lengths)],
        [(name, *map(number, values)) for name, values in totals.items()],
    )
)

# %% [markdown]
# The growth is linear, not exponential. The price for second order on every grid is one factor $N$. It multiplies the
# error of the start, too, so a DDIM start leaves order 1, and a start of second order is needed (fact 10).
#
# ## What we found
#
# - Zero-stability bounds global errors by local ones. BDIA has it for $-1<\gamma\le1$. Within this interval its inverse
#   has it for $\gamma=1$ alone.
# - Parasitic roots of sampler and inverse are reciprocal. $\gamma<1$ (EDICT: $p<1$) damps sampling and makes the
#   inverse unstable, with $\gamma^{-(N-1)}$. This is a property of every such scheme, and not a fault of an
#   implementation.
# - The same number $(1-\gamma)/(1+\gamma)$ is the error over DDIM's and half of the stability interval.
# - The inversion (33) of [the paper](https://arxiv.org/abs/2307.10829) is exact in exact arithmetic for every
#   $\gamma\ne0$. In floating point it loses digits at a rate that is known beforehand, and `required_dtype` names the
#   format.
# - $\gamma=1$ pays with an undamped oscillation where data are tight or slots unequal.
#
# **Which $\gamma$ should you take?** Take $\gamma=1$ for round trips and editing, and for samples on a smooth grid.
# Take a $\gamma$ below 1 for samples alone, if the grid has a short last slot or steps that alternate, or if the data
# are tight. If you need both on such a grid, take $\gamma$ near 1 and keep the states in float64. `analysis.best_gamma`
# weighs the two sides on your own grid ([choose gamma](../docs/choose-gamma.md)).

# %% [markdown]
# You can try this in the explorer: <a href="../explorer.html#gamma">the parasitic root</a> is shown with the roots of
# the step and of the inverse in every slot (`bdia explore gamma`).

# %%
Markdown(verdicts("fact-5", "fact-6"))

# %% [markdown]
# ## Exercises
#
# 1. **Warm-up.** Derive the stability interval from the quadratic of $dy/ds=Jy$ by asking when a root is $-1$.
# 2. **Standard.** For $\gamma=0.9$ and the grids above, at how many steps has a round trip from noise in float32 lost
#    all digits? Predict, then run.
# 3. **Standard.** Is $\gamma>1$ a way out? It makes the inverse stable. Say what happens to sampling, and check it with
#    the code.
# 4. **Research.** Both ways are neutral only if all parasitic roots lie on the unit circle. Let a method have more
#    steps than two. Can it damp all parasitic modes a little on *both* ways, at the price of the order or of a
#    register?
#
# ## Solutions
#
# <details><summary>Solution of exercise 1</summary>
#
# With $x=hJ$ the step is $y_{i-1}=(1-\gamma+(1+\gamma)x)\,y_i+\gamma\,y_{i+1}$, so
# $\zeta^2-\big(1-\gamma+(1+\gamma)x\big)\zeta-\gamma=0$. At $\zeta=-1$ this is $1+1-\gamma+(1+\gamma)x-\gamma=0$, so
# $x=-2(1-\gamma)/(1+\gamma)$. The product of the roots is $-\gamma$. As long as neither is $\pm1$, both therefore stay
# inside the circle, and at $x=0$ one of them is 1.
#
# </details>

# %% tags=["hide-cell"]
(end,) = sp.solve(quadratic.subs(zeta, -1), x)
assert sp.simplify(end + interval.length) == 0
print("root -1 at x =", sp.factor(end))

# %% [markdown]
# <details><summary>Solution of exercise 2</summary>
#
# All digits are lost when $\tfrac12\cdot2^{-23}\cdot\gamma^{-N}$ reaches 1, up to a factor, so
# $N\approx\ln(2^{24})/\ln(1/\gamma)$. The cell compares this with the prediction from the program and with runs.
#
# </details>

# %% tags=["hide-cell"]
rough_guess = np.log(2.0**24) / np.log(1 / 0.9)
tried = range(100, 220, 10)
from_program = next(
    n
    for n in tried
    if analysis.round_trip_error(BDIA(0.9), grid_of(n), J=curvature).errors["float32"]
    > 1
)
noise = np.random.default_rng(0).standard_normal((100, 1)).astype("float32")
from_runs = next(
    n
    for n in tried
    if not round_trip(
        BDIA(0.9), unit.model(schedule), grid_of(n), noise, reference=unit
    ).error
    < 1
)
print(
    f"rule of thumb {rough_guess:.0f}, from the program {from_program}, run {from_runs}"
)
assert abs(from_program - from_runs) <= 10
assert abs(rough_guess - from_runs) <= 30

# %% [markdown]
# <details><summary>Solution of exercise 3</summary>
#
# Where $\alpha$ is constant the roots exchange their roles. The sampler has the root $-\gamma$ outside the unit disc,
# and samples are lost instead of latents. Where $\alpha$ grows towards the data, as on variance-preserving schedules,
# the effective root is $-\gamma\,\alpha_{i+1}/\alpha_{i-1}$. Its product over the run is about
# $\gamma^N(\alpha_N/\alpha_0)^2$. So there is room above 1 for *few* steps, as there was for EDICT's $p$ in chapter 3,
# and with more steps it ends. (The library asks for `allow_any=True`.)
#
# </details>

# %% tags=["hide-cell"]
noise = law.sample(100, np.random.default_rng(2), 1, schedule)
data = law.sample(100, np.random.default_rng(3))
missed = {}
for g in (Fraction(9, 10), Fraction(10, 9)):
    solver = BDIA(g, allow_any=True)
    for n in (80, 240):
        grid = grid_of(n)
        there = round_trip(solver, model, grid, noise, reference=law)
        back = round_trip(solver, model, grid, data, end="data", reference=law)
        missed[g > 1, n] = there.latent, back.latent
        root = float(g) ** n * (grid.alpha[-1] / grid.alpha[0]) ** 2
        print(
            f"gamma = {g}, {n} steps: sample error {number(there.latent)}, latent error"
            f" {number(back.latent)}; product of the effective roots {number(root)}"
        )
assert max(missed[True, 80]) < 0.1  # room above 1
assert missed[True, 240][0] > 1 > 0.1 > missed[True, 240][1]  # samples lost
assert missed[False, 80][0] < 0.1 < 1 < missed[False, 80][1]  # the other way round

# %% [markdown]
# <details><summary>First steps on exercise 4</summary>
#
# For a linear multistep method the product of all roots has the modulus of the quotient of the last and the first
# coefficient, and the inverse has the reciprocal roots. If sampling damps every parasitic root, the inverse amplifies
# every one. So both ways cannot be damped by a linear method with constant coefficients. What remains is to alternate
# between methods, or to pay with a register that is thrown away and made anew, which ends exactness.
# [How good an exactly invertible method can be](../docs/findings/barrier.md) proves the trade-off between order and
# damping.
#
# </details>
#
# ## Further reading
#
# - [Hairer, Nørsett and Wanner (1993)](https://doi.org/10.1007/978-3-540-78862-1), sections III.3 and III.4, have the root
#   condition and the proof of convergence in general. Their second volume treats stability regions.
# - [Higham (2002)](https://doi.org/10.1137/1.9780898718027) is the reference for rounding errors.
# - [Precision](../docs/findings/precision.md) has the digits that each solver loses, and
#   [choose gamma](../docs/choose-gamma.md) gives advice.
# - [Chapter 9](09_bit_exact_inversion.py) removes rounding altogether.
