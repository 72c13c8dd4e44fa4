# %% [markdown]
# # 2. DDIM as Euler
#
# ## Question
#
# DDIM was derived as a non-Markovian diffusion process, and the paper calls it "a first-order solver" in passing. Which
# method is it, exactly? How large is its error, and how much of that is the choice of the time grid? And what does
# "DDIM inversion" lose?

# %% tags=["hide-input"]
import numpy as np
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
from bdia_numerics.pages.ledger import verdicts
from bdia_numerics.plots import Picture
from bdia_numerics.plots.style import Panel, draw
from bdia_numerics.spaces import Vector, formal_model

# %% [markdown]
# ## Derivation
#
# The solver's source is one assignment, `z + s.delta(s.i, s.i - 1, z, s.eps(z))`. The formula below is printed from
# that program; nobody typed it.

# %%
Math(step_latex(DDIM()))

# %% [markdown]
# It is eq. (6)-(7) of the paper, $\mathbf z_{i-1}=a_i\mathbf z_i+b_i\hat\epsilon$. Now run the same program over one
# slot with *symbols* for the state, for $\alpha,\sigma$ at both ends, and for the network, of which nothing is assumed.
# The result is a vector of coefficients. Divide by $\alpha_0$ to get $\mathbf y_0$ in terms of
# $\mathbf y_1=\mathbf z_1/\alpha_1$:

# %%
slot, z1 = grids.symbolic(1), Vector.basis("z_1")
(a0, a1), (s0, s1) = slot.alpha, slot.sigma
z0 = solve(DDIM(), formal_model(), slot, z1).z
of_y, of_eps = (c / a0 for c in z0.terms.values())
of_y *= a1  # z_1 is alpha_1 y_1
assert of_y == 1
assert (of_eps - (s0 / a0 - s1 / a1)).simplify() == 0
Math(
    r"\mathbf y_0=\mathbf y_1+\Big(\tfrac{\sigma_0}{\alpha_0}-\tfrac{\sigma_1}{\alpha_1}\Big)\,\hat\epsilon(\mathbf z_1,t_1)"
)

# %% [markdown]
# With $s=\sigma/\alpha$ this is $\mathbf y_{i-1}=\mathbf y_i+h_i\,\epsilon_i$, $h_i=s_{i-1}-s_i$: **the explicit Euler
# method on $d\mathbf y/ds=\epsilon$**, for every schedule and every network. Euler's theory applies from here on. One
# step, begun on the exact solution, misses it by (exact minus numerical, read in $\mathbf z$)

# %%
order = analysis.symbolic_order(DDIM())
print(order.local["z"], "- order", order.order)
assert order.order == 1

# %% [markdown]
# that is $\tfrac12\alpha_{i-1}h_i^2\,y''$: half the curvature of the trajectory. Errors then travel along the flow.
# With $g(s)$ the derivative of $\mathbf y$ at the end by $\mathbf y$ at level $s$, the error at the end is
#
# $$\mathbf y(s_0)-\mathbf y_0\;\approx\;\sum_i g(s_i)\,\tfrac12h_i^2\,y''(s_i)\;\approx\;\frac1N\int_0^1 d(u)\,du .$$
#
# On a grid that is a smooth function of $u=i/N$ the sum is an integral. In one dimension all in it is known: the
# trajectory from the distribution function, $g$ as a ratio of densities (chapter 1). `analysis.leading_error` takes the
# local error from the program and does the quadrature. No ODE is solved.
#
# ## Experiment
#
# The distribution is that of chapter 1. First a picture of what Euler does.

# %%
law = problems.GaussianMixture([0.3, 0.7], [[-1.0], [1.0]], [0.04, 0.09])
schedule = schedules.vp_linear()
model = law.model(schedule)
ends = {"t_max": 1, "t_min": 0.01}
start = np.array([[-0.45]])


def path_of(n):
    grid = grids.asinh(schedule, n, **ends)
    run = solve(DDIM(), model, grid, start, return_trajectory=True)
    return np.arcsinh(grid.sigma / grid.alpha), run.trajectory[:, 0, 0]


fine = grids.asinh(schedule, 200, **ends)
exact = np.array([law.flow(start, 1, t, schedule)[0, 0] for t in fine.t])
Picture(
    draw(
        Panel(
            "asinh(σ/α), data end left",
            "z",
            {f"DDIM, {n} steps": path_of(n) for n in (4, 8, 16)},
            {"exact trajectory": (np.arcsinh(fine.sigma / fine.alpha), exact)},
        ),
        height=3.4,
    ),
    "DDIM with 4, 8 and 16 steps beside the exact trajectory, which they leave early",
)

# %% [markdown]
# *Figure 2.1. DDIM's states and the exact trajectory. Each step follows the slope at its noisy end, so it leaves the
# trajectory where that bends. (A step is straight in $(s,y)$, not on these axes, of which asinh is like $s$ near 0 and
# like its logarithm far away: the points are what counts.)*
#
# ### Is it first order, and is the constant right?
#
# $N$ times the error must tend to the quadrature's number, with its sign, for each spacing.

# %%
state, counts = -0.45, (10, 20, 40, 80, 160, 320)
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
    limits[f"_{name}"] = (
        (counts[0], counts[-1]),
        (found.coefficient, found.coefficient),
    )
    print(
        f"{name}: N times the error at N = 320: {scaled[name][1][-1]:.4f}; quadrature: {found.coefficient:.4f}"
    )
    assert np.isclose(
        scaled[name][1][-1], found.coefficient, rtol=0.03
    )  # the next term is of size 1/N relative to it
measured = analysis.observed_order(DDIM(), law)
print(measured)
assert measured.agrees(1)
Picture(
    draw(
        Panel("steps N", "N · (exact − DDIM)", scaled, limits, log="x", ticks=counts)
    ),
    "N times DDIM's error against N for two spacings, tending to two grey lines from the quadrature",
)

# %% [markdown]
# *Figure 2.2. $N$ times the error of DDIM, and the numbers (grey) that a quadrature along the exact trajectory
# predicts. The spacing of the grid alone changes the constant, and here even its sign.*
#
# ### Which grid?
#
# At equal $N$ the spacing decides. Root mean square over 200 states:

# %%
states = law.sample(200, np.random.default_rng(0), 1, schedule)
targets = law.flow(states, 1, 0.01, schedule)
makers = {
    "t": grids.uniform,
    "quadratic in t": grids.quadratic,
    "log SNR": grids.log_snr,
    "asinh(σ/α)": grids.asinh,
    "Karras, ρ = 7": grids.karras,
}


def rms(x):
    return float(np.sqrt(np.mean(np.square(x))))


by_spacing = {
    name: (
        counts,
        [
            rms(solve(DDIM(), model, make(schedule, n, **ends), states).z - targets)
            for n in counts
        ],
    )
    for name, make in makers.items()
}
for k in (1, 4):
    at = {name: values[k] for name, (_, values) in by_spacing.items()}
    best, worst = min(at, key=at.get), max(at, key=at.get)
    print(
        f"{counts[k]} steps: best is {best}, worst is {worst}, with {at[worst] / at[best]:.1f} times the error"
    )
ended = solve(DDIM(), model, grids.uniform(schedule, 20, **ends), states).z
misses = (ended - targets)[:, 0] ** 2
worst_four = np.argsort(misses)[-4:]
share, strayed = (
    misses[worst_four].sum() / misses.sum(),
    ended[worst_four, 0] * targets[worst_four, 0] < 0,
)
print(
    f"20 steps, uniform in t: {share:.0%} of the mean square comes from 4 of the 200 states;"
)
print(
    f"they are the states {np.round(np.sort(states[worst_four, 0]), 2)}, of which {strayed.sum()} end in the wrong mode"
)
assert share > 0.5
Picture(
    draw(
        Panel(
            "steps N", "root-mean-square error", by_spacing, log="xy", ticks=counts
        ),
        height=3.4,
    ),
    "Root-mean-square error of DDIM against steps for five spacings, parallel lines of slope minus one",
)

# %% [markdown]
# *Figure 2.3. One method, five spacings. On the right the lines are parallel: the order does not change, the constant
# does. On the left they are flat: most of the mean square is due to a few states that begin next to the watershed
# between the modes, most of which end in the wrong one.*
#
# ### DDIM inversion
#
# To edit an image one needs its noise. Solving (6) for $\mathbf z_i$ gives eq. (9), with $\hat\epsilon$ at the
# *unknown* $\mathbf z_i$. The program's structure says the same, and the library refuses:

# %%
ten = grids.asinh(schedule, 10, **ends)
try:
    invert(DDIM(), model, ten, solve(DDIM(), model, ten, states).state)
except NotInvertibleError as refusal:
    print(refusal)
else:
    raise AssertionError("DDIM's step cannot be undone from its structure")

# %% [markdown]
# The usual way out, eq. (10), takes $\hat\epsilon$ at $\mathbf z_{i-1}$ instead, and tells it the time of the unknown
# state; eq. (23) tells it the time of $\mathbf z_{i-1}$, which is the DDIM step on the reversed grid. The other is to
# solve (9) by iteration. Two errors have to be kept apart: does the round trip return to the data, and is the noise in the middle
# the true one?

# %%
data = law.sample(100, np.random.default_rng(1))
rows = [
    "| N | method | returns to the data within | noise is off by | evaluations there and back |",
    "|---|---|---|---|---|",
]
trips = {}
for n in (10, 20, 40, 80):
    grid = grids.asinh(schedule, n, **ends)
    for name, method in (
        ("eq. (10)", None),
        ("eq. (23)", inversion.DDIMInversion(at_target=False)),
        ("eq. (9), iterated", inversion.ImplicitInversion(memory=1)),
    ):
        trip = round_trip(
            DDIM(), model, grid, data, end="data", reference=law, method=method
        )
        trips[name, n] = trip
        rows.append(
            f"| {n} | {name} | {trip.error:.1e} | {trip.latent:.2f} | {trip.nfe} |"
        )
Markdown("\n".join(rows))

# %% [markdown]
# The iteration returns to rounding, at several times the price, and its noise is *no better*. An exact return says
# nothing about the noise: a solver that goes a wrong way and comes back the same wrong way returns exactly. This book
# therefore always gives both numbers.

# %%
for n in (10, 20, 40, 80):
    assert (
        trips["eq. (9), iterated", n].error
        < 1e-10
        < 1e-3
        < trips["eq. (10)", n].error
    )
    assert trips["eq. (9), iterated", n].latent > 0.5 * trips["eq. (10)", n].latent
halving = trips["eq. (10)", 40].error / trips["eq. (10)", 80].error
print(f"from 40 to 80 steps the error of (10)'s return falls by {halving:.2f}")
assert 1.7 < halving < 2.3  # first order, two-sided

# %% [markdown]
# ## What we found
#
# - DDIM is Euler's method in $(\mathbf z/\alpha,\sigma/\alpha)$, as an identity of programs. The paper's "first-order
#   solver" is right.
# - Its leading error is known beforehand: half the curvature, carried by the flow. A quadrature predicts it with its
#   sign.
# - The spacing of the grid changes the constant, for single states even its sign; the order it does not change.
# - DDIM has no exact inverse; (10) returns with an error of first order, and iterating (9) returns exactly to a noise
#   that is no nearer to the true one.

# %%
Markdown(verdicts("eq-7", "eq-9", "eq-10"))

# %% [markdown]
# ## Exercises
#
# 1. For which distribution of the data is DDIM exact with a single step?
# 2. Compute the leading error for one Gaussian $\mathcal N(0,c)$ on a grid uniform in $s$ by hand, and compare with
#    `analysis.leading_error`.
# 3. For one state, let $d(u)$ be the density of the error on some grid, $\int_0^1d\,du/N$. Show that among all smooth
#    regradings the one with step density $\rho\propto\sqrt{|d|}$ minimises $\int|d|/\rho$. Build that grid, and check
#    the predicted gain by running DDIM.
#
# ## Solutions
#
# **1.** Euler is exact where the slope is constant along the trajectory. For a single point $\mu$,
# $\epsilon=(\mathbf y-\mu)/s$, and trajectories are straight lines through $\mu$: constant slope. (For two points it
# fails.)

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
    assert (rms(missed) < 1e-12) == (
        name == "one point"
    )  # s begins at 152, where y has lost two digits

# %% [markdown]
# **2.** $y=K\sqrt{c+s^2}$, so $y''=Kc\,(c+s^2)^{-3/2}$ and $g(s)=\sqrt{(c+s_0^2)/(c+s^2)}$. With $h=-H/N$, $H=s_N-s_0$,
# the sum of $\tfrac12h^2g\,y''$ over the slots is $\tfrac{H}{2N}\int g\,y''\,ds$:
#
# $$\mathbf y(s_0)-\mathbf y_0\approx\frac{H}{2N}\,Kc\,\sqrt{c+s_0^2}\int_{s_0}^{s_N}\frac{ds}{(c+s^2)^2}.$$

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
assert np.isclose(
    by_hand, found.coefficient, rtol=1e-4
)  # the tolerance of its quadrature

# %% [markdown]
# **3.** The local error is of second order in the step. A grid with step density $\rho(u)$, $\int\rho\,du=1$, has its
# steps near $u$ changed by the factor $1/\rho$, so each unit of $u$ has $N\rho$ slots, each with $1/\rho^2$ of the
# error: $d/\rho$. By Cauchy-Schwarz $\int|d|/\rho\cdot\int\rho\ge\big(\int\sqrt{|d|}\big)^2$, with equality for
# $\rho\propto\sqrt{|d|}$. What is left of the signed error is then
# $\int\sqrt{|d|}\cdot\int\operatorname{sign}(d)\sqrt{|d|}$.

# %% tags=["hide-cell"]
before = analysis.leading_error(DDIM(), law, schedule, state, variable="t", **ends)
u = np.linspace(0, 1, 4001)
root = np.sqrt(np.abs(np.interp(u, before.u, before.density)))
rho = (
    root + 0.02 * root.max()
)  # a floor keeps the steps finite where d changes its sign
cumulative = np.concatenate([[0], np.cumsum((rho[1:] + rho[:-1]) / 2)])
total, cumulative = cumulative[-1] / 4000, cumulative / cumulative[-1]
d, density = np.interp(u, before.u, before.density), rho / total
predicted, bound_before, bound_after = (
    np.mean(x) for x in (d / density, np.abs(d), np.abs(d) / density)
)
n = 1280
times = np.interp(np.linspace(1, 0, n + 1), cumulative, 0.01 + u * 0.99)
error = (
    truth - solve(DDIM(), model, grids.from_timesteps(schedule, times), start).z
)[0, 0]
print(
    f"integral of |d|: {bound_before:.3f} uniform in t, {bound_after:.3f} on the new grid"
)
print(
    f"N times the error on the new grid, N = {n}: {n * error:.4f}; predicted {predicted:.4f}"
)
assert bound_after < bound_before
assert np.isclose(n * error, predicted, atol=0.02 * bound_after)
