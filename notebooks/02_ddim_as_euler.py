# %% [markdown]
# # 2. DDIM as Euler
#
# ## Question
#
# [DDIM](https://arxiv.org/abs/2010.02502) (Song, Meng and Ermon, 2021) was derived as a non-Markovian diffusion
# process, and [the paper](https://arxiv.org/abs/2307.10829) calls it "a first-order solver" in passing. Which method is
# it, exactly? How large is its error, and how much of the error depends on the time grid? And what does "DDIM
# inversion" lose?

# %% tags=["hide-input"]
import numpy as np
import sympy as sp
from IPython.display import Markdown, Math
from scipy.integrate import quad

from bdia_numerics import (
    DDIM,
    NotInvertibleError,
    analysis,
    grids,
    inversion,
    invert,
    problems,
    round_trip,
    schedules,
    solve,
    step_latex,
)
from bdia_numerics.formulas import number, table
from bdia_numerics.pages.ledger import verdicts
from bdia_numerics.plots import Picture
from bdia_numerics.plots.style import Panel, draw
from bdia_numerics.spaces import Vector, formal_model

# %% [markdown]
# ## Derivation
#
# ### The step
#
# A network at $\mathbf z_i$ predicts the noise $\hat\epsilon_i$. By
# $\mathbf z=\alpha\mathbf x+\sigma\boldsymbol\epsilon$ it also predicts the data,
# $\hat x_i=(\mathbf z_i-\sigma_i\hat\epsilon_i)/\alpha_i$. DDIM believes both predictions, and mixes them anew for the
# next time:
#
# $$\mathbf z_{i-1}=\alpha_{i-1}\,\hat x_i+\sigma_{i-1}\,\hat\epsilon_i .$$
#
# This is eq. (6). In the library the step is one assignment, `z + s.delta(s.i, s.i - 1, z, s.eps(z))`. The formula
# below is printed from that program:

# %%
Math(step_latex(DDIM()))

# %% [markdown]
# It is eq. (7), $\mathbf z_{i-1}=a_i\mathbf z_i+b_i\hat\epsilon_i$ with $a_i=\alpha_{i-1}/\alpha_i$ and
# $b_i=\sigma_{i-1}-\sigma_i\,\alpha_{i-1}/\alpha_i$. Divide by $\alpha_{i-1}$, and write $\mathbf y=\mathbf z/\alpha$,
# $s=\sigma/\alpha$ as in [chapter 1](01_probability_flow.py):
#
# $$\mathbf y_{i-1}=\mathbf y_i+h_i\,\hat\epsilon_i,\qquad h_i=s_{i-1}-s_i .$$
#
# This is **the explicit Euler method on $d\mathbf y/ds=\hat\epsilon$**, for every schedule and every network. To check
# it, run the program over one slot with symbols for the state, for $\alpha$ and $\sigma$ at both ends, and for the
# network. The result is a vector of coefficients of $\mathbf z_1$ and $\hat\epsilon$:

# %%
slot, z1 = grids.symbolic(1), Vector.basis("z_1")
z0 = solve(DDIM(), formal_model(), slot, z1).z
of_z, of_eps = z0.terms.values()
Math(
    rf"\mathbf z_0={sp.latex(of_z)}\,\mathbf z_1+\Big({sp.latex(of_eps)}\Big)\,\hat\epsilon(\mathbf z_1,t_1)"
)

# %% tags=["hide-cell"]
(a0, a1), (s0, s1) = slot.alpha, slot.sigma
assert of_z * a1 / a0 == 1  # y_0 has the coefficient 1 of y_1 = z_1 / alpha_1
assert (of_eps / a0 - (s0 / a0 - s1 / a1)).simplify() == 0

# %% [markdown]
# ### The sign of a step
#
# Sampling goes from noise to data, so $s$ falls and **every $h_i$ is negative**. This is easy to get wrong, because
# books on numerical analysis let $h>0$. Three rules follow from it:
#
# | question | sampling, $h<0$ | inversion, $h>0$ |
# |---|---|---|
# | Where does the flow contract perturbations of $\mathbf y$? | where $J=\partial\hat\epsilon/\partial y>0$ | where $J<0$ |
# | Where does a step, with its factor $1+hJ$, contract them? | where $-2<hJ<0$ | where $-2<hJ<0$ |
# | Which sign has $\tfrac12h^2$, the factor of the local error below? | positive | positive |
#
# The first rule is the equation for perturbations, $d\delta/ds=J\delta$, read downwards. Scores of broad distributions
# have $J>0$ nearly everywhere, so sampling contracts and inversion expands.
#
# ### The error of one step
#
# Begin a step on the exact solution. Taylor's theorem gives
# $\mathbf y(s_{i-1})=\mathbf y(s_i)+h_i\mathbf y'(s_i)+\tfrac12h_i^2\mathbf y''+O(h^3)$, and Euler's step is the first
# two terms. So the *local error*, exact minus numerical, is $\tfrac12h_i^2\mathbf y''$: half the curvature of the
# trajectory. Read in $\mathbf z$ it has the factor $\alpha_{i-1}$. The library expands the program and finds the same:

# %%
order = analysis.symbolic_order(DDIM())
print(order.local["z"], "- order", order.order)

# %% tags=["hide-cell"]
assert order.order == 1

# %% [markdown]
# ### The error of a run
#
# Let $\mathbf e_i=\mathbf y(s_i)-\mathbf y_i$. Subtract the step from the Taylor expansion. The slopes of the exact and
# of the numerical state differ by $\mathbf J_i\mathbf e_i$ to first order, hence
#
# $$\mathbf e_{i-1}=(\mathbf I+h_i\mathbf J_i)\,\mathbf e_i+\tfrac12h_i^2\mathbf y''(s_i)+\dots$$
#
# The error obeys Euler's method for the equation of perturbations, with a source in every step. So each local error
# travels along the flow. Let $g(s)$ be the derivative of the final $\mathbf y$ by $\mathbf y$ at level $s$. Adding up,
#
# $$\mathbf y(s_0)-\mathbf y_0\;\approx\;\sum_i g(s_i)\,\tfrac12h_i^2\,\mathbf y''(s_i)\;\approx\;\frac1N\int_0^1 d(u)\,du .$$
#
# The second step is for grids that are a smooth function of $u=i/N$: then $h_i\approx-s'(u)/N$, and the sum is a
# Riemann sum of $d=\tfrac12g\,s'^2\,\mathbf y''$. Halving the steps halves the error, which is what *order 1* means.
# The proof that the dots are of smaller order is in
# [Hairer, Nørsett and Wanner (1993)](https://doi.org/10.1007/978-3-540-78862-1), sections II.3 and II.8.
#
# In one dimension everything in the integral is known: the trajectory from the distribution function, and $g$ as a
# ratio of densities (chapter 1, exercise 3). [`analysis.leading_error`](../docs/api/analysis.md) takes the local error
# from the program and evaluates the integral. It solves no ODE.
#
# ## Experiment
#
# The distribution is that of chapter 1. First we draw what Euler's method does. We take $\alpha=1$, so that
# $\mathbf z=\mathbf y$ and $\sigma=s$, and equal steps in $s$.

# %%
law = problems.GaussianMixture([0.3, 0.7], [[-1.0], [1.0]], [0.04, 0.09])
edm, plane = schedules.edm(), {"t_max": 1.5, "t_min": 0.02}
begin = law.flow(np.array([[0.2]]), 0.02, 1.5, edm)  # the state that ends at 0.2


# %%
def path_of(n):
    grid = grids.uniform(edm, n, **plane)
    run = solve(DDIM(), law.model(edm), grid, begin, return_trajectory=True)
    return grid.sigma, run.trajectory[:, 0, 0]


# %% tags=["hide-input"]
levels = np.linspace(0.02, 1.5, 300)
exact = np.array([law.flow(begin, 1.5, t, edm)[0, 0] for t in levels])
picture = draw(
    Panel(
        "noise level s (sampling goes to the left)",
        "y",
        {f"Euler, {n} steps": path_of(n) for n in (3, 6)},
        {"exact trajectory": (levels, exact)},
    ),
    height=3.4,
    ncols=2,
)
Picture(
    picture,
    "Euler's polygons with 3 and 6 steps and the exact trajectory, which bends; with 3 steps the polygon ends far below it.",
)

# %% [markdown]
# *Figure 2.1. Euler's polygons and the exact trajectory lie in the plane of $s$ and $y$. Each step is a straight line
# with the slope of the field at its noisy (right) end. It leaves the trajectory where that bends, and later steps
# cannot know it.*

# %% tags=["hide-cell"]
ends_of = [path_of(n)[1][0] for n in (3, 6, 24)]
assert np.all(np.diff(np.abs(np.array(ends_of) - 0.2)) < 0)

# %% [markdown]
# ### Is it first order, and is the constant right?
#
# From here on the schedule is the variance-preserving one, with $s$ from 152 down to 0.045. If the theory is right, $N$
# times the error tends to the integral, with its sign, on every smooth grid.

# %%
schedule, ends = schedules.vp_linear(), {"t_max": 1, "t_min": 0.01}
model, state = law.model(schedule), -0.45
found = analysis.leading_error(DDIM(), law, schedule, state, variable="t", **ends)
print(f"predicted: N times the error tends to {found.coefficient:.4f}")

# %% tags=["hide-input"]
start, counts = np.array([[state]]), (10, 20, 40, 80, 160, 320)
truth = law.flow(start, 1, 0.01, schedule)
spacings = {
    "uniform in t": ("t", grids.uniform),
    "uniform in log SNR": ("log_snr", grids.log_snr),
}
scaled, limits = {}, {}
for name, (variable, make) in spacings.items():
    errors = [
        (truth - solve(DDIM(), model, make(schedule, n, **ends), start).z)[0, 0]
        for n in counts
    ]
    scaled[name] = counts, np.array(counts) * errors
    found = analysis.leading_error(
        DDIM(), law, schedule, state, variable=variable, **ends
    )
    limit = found.coefficient
    limits[f"predicted, {name}"] = (counts[0], counts[-1]), (limit, limit)
    print(f"{name}: {scaled[name][1][-1]:.4f} at N = 320; predicted {limit:.4f}")
    # the next term is of size 1/N relative to it
    assert np.isclose(scaled[name][1][-1], limit, rtol=0.03)
Picture(
    draw(
        Panel("steps N", "N · (exact − DDIM)", scaled, limits, log="x", ticks=counts),
        ncols=2,
    ),
    "N times DDIM's error against N for two spacings, tending to two grey lines from the quadrature",
)

# %% [markdown]
# *Figure 2.2. $N$ times the error of DDIM for one initial state tends to the limits (grey) that the integral predicts.
# The spacing of the grid alone changes the constant, and for this state even its sign.*

# %% tags=["hide-cell"]
measured = analysis.observed_order(DDIM(), law)
print(measured)
assert measured.agrees(1)
assert schedule.sigma_bar(1) > 151 and 0.044 < schedule.sigma_bar(0.01) < 0.046

# %% [markdown]
# ### Which grid?
#
# At equal $N$ the spacing decides. We compare five spacings over 200 initial states.

# %%
makers = {
    "uniform in t": grids.uniform,
    "quadratic in t": grids.quadratic,
    "uniform in log SNR": grids.log_snr,
    "uniform in asinh(s)": grids.asinh,
    "Karras, ρ = 7": grids.karras,
}

# %% tags=["hide-input"]
states = law.sample(200, np.random.default_rng(0), 1, schedule)
targets = law.flow(states, 1, 0.01, schedule)
many = (10, 20, 40, 80, 160, 320, 640)
misses = {
    name: [
        np.abs(solve(DDIM(), model, make(schedule, n, **ends), states).z - targets)
        for n in many
    ]
    for name, make in makers.items()
}


def rms(x):
    return float(np.sqrt(np.mean(np.square(x))))


slope_1 = {"slope −1": (many, 1.2 / np.array(many))}
panels = []
for title, mean in (("root mean square", rms), ("median", np.median)):
    curves = {name: (many, [mean(e) for e in es]) for name, es in misses.items()}
    panels.append(Panel("steps N", "error", curves, slope_1, title, "xy", ticks=many))
Picture(
    draw(*panels, height=3.4),
    "Errors of DDIM against steps for five spacings. The medians are parallel lines of slope minus one; "
    "the root mean squares are flat at first, then steep, then of slope minus one.",
)

# %% [markdown]
# *Figure 2.3. DDIM with five spacings is compared over 200 states. On the right, the median error falls with slope $-1$
# from the beginning. On the left, the root mean square has slopes between $-0.3$ and $-2.1$ before it reaches $-1$ at
# about 200 steps. The grey line has slope $-1$.*

# %% tags=["hide-input"]
rows = []
for name, es in misses.items():
    for kind, mean in (("root mean square", rms), ("median", np.median)):
        sizes = np.array([mean(e) for e in es])
        slopes = np.log2(sizes[1:] / sizes[:-1])
        rows.append((name, kind, *(f"{slope:.2f}" for slope in slopes)))
        assert abs(slopes[-1] + 1) < 0.05
        if kind == "median" and "asinh" not in name:
            assert np.all(np.abs(slopes + 1) < 0.05)
medians = {name: [float(np.median(e)) for e in es] for name, es in misses.items()}
assert medians["quadratic in t"] == [
    min(at) for at in zip(*medians.values(), strict=True)
]
heads = [f"{n} to {2 * n}" for n in many[:-1]]
Markdown(table(["spacing", "mean over states", *heads], rows))

# %% tags=["hide-input"]
end_at_20 = solve(DDIM(), model, grids.uniform(schedule, 20, **ends), states).z
squares = (end_at_20 - targets)[:, 0] ** 2
four = np.argsort(squares)[-4:]
share = squares[four].sum() / squares.sum()
strayed = int((end_at_20[four, 0] * targets[four, 0] < 0).sum())
print(
    f"20 steps, uniform in t: {share:.0%} of the mean square comes from 4 of the 200 states, "
    f"{np.round(np.sort(states[four, 0]), 2)}; {strayed} of them end in the wrong mode"
)
assert share > 0.5 and strayed >= 2

# %% [markdown]
# The table has the slopes between neighbouring numbers of steps. The order is 1 on every grid, but a mean over states
# may hide it: few states begin next to the watershed between the modes, and with few steps they end in the wrong mode.
# Their error is of the size of the distance of the modes, until the steps are small enough, and then it falls at once.
# An order that is fitted to such a mean is not an order. The later chapters therefore state the steps on which a fit
# rests.
#
# **Which spacing is best?** On this problem it is the quadratic one. Its median error is the smallest at every $N$, and
# at 20 steps half of that of the spacing uniform in $\operatorname{asinh}(s)$. Its root mean square differs little from
# that of equal steps in $t$. Another distribution may have another best grid. What a grid gains is a constant, and no
# grid raises the order.
#
# ### DDIM inversion
#
# To edit an image one needs its noise. Solving (6) for $\mathbf z_i$ gives eq. (9), with $\hat\epsilon$ at the
# *unknown* $\mathbf z_i$. The structure of the program says the same, and the library refuses:

# %%
ten = grids.asinh(schedule, 10, **ends)
try:
    invert(DDIM(), model, ten, solve(DDIM(), model, ten, states).state)
except NotInvertibleError as refusal:
    print(refusal)

# %% [markdown]
# There are three ways out. Eq. (10) evaluates $\hat\epsilon$ at the known $\mathbf z_{i-1}$, and tells the network the
# time of the unknown state. Eq. (23) tells it the time of $\mathbf z_{i-1}$, which is the DDIM step on the reversed
# grid. The third way solves (9) by iteration, as do [Pan et al. (2023)](https://arxiv.org/abs/2309.04907) and
# [Hong et al. (2024)](https://arxiv.org/abs/2311.18387). Two errors must be kept apart: how well the round trip returns
# to the data, and how far the noise in the middle is from the exact one.

# %%
methods = {
    "eq. (10)": None,
    "eq. (23)": inversion.DDIMInversion(at_target=False),
    "eq. (9), iterated": inversion.ImplicitInversion(memory=1),
}

# %% tags=["hide-input"]
data, trips = law.sample(100, np.random.default_rng(1)), {}
for n in (10, 20, 40, 80):
    grid = grids.asinh(schedule, n, **ends)
    for name, method in methods.items():
        trips[n, name] = round_trip(
            DDIM(), model, grid, data, end="data", reference=law, method=method
        )
Markdown(
    table(
        ["N", "method", "round-trip error", "latent error", "evaluations"],
        [
            (n, name, number(t.error), number(t.latent), t.nfe)
            for (n, name), t in trips.items()
        ],
    )
)

# %% tags=["hide-cell"]
for n in (10, 20, 40, 80):
    exact_trip, plain = trips[n, "eq. (9), iterated"], trips[n, "eq. (10)"]
    assert exact_trip.error < 1e-10 < 1e-3 < plain.error
    assert exact_trip.latent > 0.5 * plain.latent
halving = trips[40, "eq. (10)"].error / trips[80, "eq. (10)"].error
print(f"from 40 to 80 steps the error of (10)'s return falls by {halving:.2f}")
assert 1.7 < halving < 2.3  # first order, two-sided

# %% [markdown]
# The round-trip error is that of the data that come back, and the latent error is the distance of the noise from the
# exact flow. The iteration returns to rounding at several times the price, and its noise is *no better*. An exact
# return says nothing about the noise, because a solver that goes a wrong way and comes back the same wrong way returns
# exactly. This course therefore always gives both numbers.
#
# ## What we found
#
# - DDIM is Euler's method in $(\mathbf z/\alpha,\sigma/\alpha)$, as an identity of programs. The paper's "first-order
#   solver" is right.
# - Its leading error is known beforehand. It is half the curvature, carried by the flow, and an integral predicts it
#   with its sign.
# - The spacing of the grid changes the constant, for single states even its sign. It does not change the order.
# - DDIM has no exact inverse. Eq. (10) returns with an error of first order. Iterating (9) returns exactly, to a noise
#   that is no nearer to the exact one.

# %%
Markdown(verdicts("eq-7", "eq-9", "eq-10"))

# %% [markdown]
# ## Exercises
#
# 1. **Warm-up.** For which distribution of the data is DDIM exact with a single step?
# 2. **Standard.** Compute the leading error for one Gaussian $\mathcal N(0,c)$ on a grid uniform in $s$ by hand, and
#    compare it with `analysis.leading_error`.
# 3. **Standard.** For one state, let $d(u)$ be the density of the error on some grid. Show that among all smooth
#    regradings the one with step density $\rho\propto\sqrt{|d|}$ minimises $\int|d|/\rho$. Build that grid, and check
#    the predicted gain by running DDIM.
# 4. **Research.** The grid of exercise 3 belongs to one state. Which grid is best for the root mean square over the
#    states of a run? Is it also best for the median? Figure 2.3 says that the two means need not agree.
#
# ## Solutions
#
# <details><summary>Solution of exercise 1</summary>
#
# Euler's method is exact where the slope is constant along the trajectory. For a single point $\mu$,
# $\hat\epsilon=(\mathbf y-\mu)/s$, and the trajectories are straight lines through $\mu$. For two points this fails.
#
# </details>

# %% tags=["hide-cell"]
one_step = grids.uniform(schedule, 1, **ends)
point, points = (
    problems.GaussianMixture([1.0], [[0.7]], [0.0]),
    problems.GaussianMixture([0.5, 0.5], [[-1.0], [1.0]], [0.0, 0.0]),
)
for name, atoms in (("one point", point), ("two points", points)):
    missed = solve(DDIM(), atoms.model(schedule), one_step, states).z - atoms.flow(
        states, 1, 0.01, schedule
    )
    print(f"{name}: root-mean-square error of one step {rms(missed):.1e}")
    # s begins at 152, where y has lost two digits
    assert (rms(missed) < 1e-12) == (name == "one point")

# %% [markdown]
# <details><summary>Solution of exercise 2</summary>
#
# $y=K\sqrt{c+s^2}$, so $y''=Kc\,(c+s^2)^{-3/2}$ and $g(s)=\sqrt{(c+s_0^2)/(c+s^2)}$. With $h=-H/N$, $H=s_N-s_0$, the
# sum of $\tfrac12h^2g\,y''$ over the slots is $\tfrac{H}{2N}\int g\,y''\,ds$:
#
# $$y(s_0)-y_0\approx\frac{H}{2N}\,Kc\,\sqrt{c+s_0^2}\int_{s_0}^{s_N}\frac{ds}{(c+s^2)^2}.$$
#
# </details>

# %% tags=["hide-cell"]
c, z_end = 0.25, 0.8
s_first, s_last = schedule.sigma_bar(0.01), schedule.sigma_bar(1)
K = z_end / schedule.alpha(1) / np.sqrt(c + s_last**2)
integral = quad(
    lambda s: (c + s**2) ** -2, s_first, s_last, epsabs=0, epsrel=1e-12, limit=500
)[0]
by_hand = (
    schedule.alpha(0.01)
    * (s_last - s_first)
    / 2
    * K
    * c
    * np.sqrt(c + s_first**2)
    * integral
)
found = analysis.leading_error(
    DDIM(), problems.Gaussian([0], c), schedule, z_end, variable="sigma_bar", **ends
)
print(f"by hand {by_hand:.6f}, from the program {found.coefficient:.6f}")
assert np.isclose(by_hand, found.coefficient, rtol=1e-4)  # its quadrature's tolerance

# %% [markdown]
# <details><summary>Solution of exercise 3</summary>
#
# The local error is of second order in the step. A grid with step density $\rho(u)$, $\int\rho\,du=1$, has its steps
# near $u$ changed by the factor $1/\rho$. Each unit of $u$ then has $N\rho$ slots, each with $1/\rho^2$ of the error,
# which is $d/\rho$ in all. By Cauchy and Schwarz $\int|d|/\rho\cdot\int\rho\ge\big(\int\sqrt{|d|}\big)^2$, with
# equality for $\rho\propto\sqrt{|d|}$. The signed error that is left is
# $\int\sqrt{|d|}\cdot\int\operatorname{sign}(d)\sqrt{|d|}$.
#
# </details>

# %% tags=["hide-cell"]
before = analysis.leading_error(DDIM(), law, schedule, state, variable="t", **ends)
u = np.linspace(0, 1, 4001)
root = np.sqrt(np.abs(np.interp(u, before.u, before.density)))
# a floor keeps the steps finite where d changes its sign
rho = root + 0.02 * root.max()
cumulative = np.concatenate([[0], np.cumsum((rho[1:] + rho[:-1]) / 2)])
total, cumulative = cumulative[-1] / 4000, cumulative / cumulative[-1]
d, density = np.interp(u, before.u, before.density), rho / total
predicted, bound_before, bound_after = (
    np.mean(x) for x in (d / density, np.abs(d), np.abs(d) / density)
)
n = 1280
times = np.interp(np.linspace(1, 0, n + 1), cumulative, 0.01 + u * 0.99)
graded = grids.from_timesteps(schedule, times)
error = (truth - solve(DDIM(), model, graded, start).z)[0, 0]
print(f"integral of |d|: {bound_before:.3f} uniform in t, {bound_after:.3f} after")
print(f"N times the error, N = {n}: {n * error:.4f}; predicted {predicted:.4f}")
assert bound_after < bound_before
assert np.isclose(n * error, predicted, atol=0.02 * bound_after)

# %% [markdown]
# <details><summary>First steps on exercise 4</summary>
#
# For the mean square, minimise $\int\int d(u,u')\,du\,du'/(\rho(u)\rho(u'))$ with $d(u,u')=\mathbb E[d(u)d(u')]$ over
# the states. This is not of the form of exercise 3, because errors of different slots may cancel. For states near the
# watershed the expansion itself fails, as figure 2.3 shows, so the best grid at 20 steps may be none of those that an
# expansion finds. [Karras et al. (2022)](https://arxiv.org/abs/2206.00364) chose $\rho=7$ by experiment.
#
# </details>
#
# ## Further reading
#
# - [Song, Meng and Ermon (2021)](https://arxiv.org/abs/2010.02502), section 4.3, already name the ODE of DDIM.
#   [Lu et al. (2022)](https://arxiv.org/abs/2206.00927), section 3, get DDIM from an exponential integrator in the
#   log-SNR.
# - [Hairer, Nørsett and Wanner (1993)](https://doi.org/10.1007/978-3-540-78862-1), chapter II, is the reference for
#   Euler's method, order and the expansion of the global error.
# - The [API of the grids](../docs/api/grids.md) has all spacings. [Inversions compared](../docs/findings/inversions.md)
#   measures many ways to invert DDIM.
# - [Chapter 3](03_exact_inversion.py) removes the obstacle to the inverse.
