# %% [markdown]
# # 3. Exact inversion: EDICT, BDIA, CBDIA
#
# ## Question
#
# A network cannot be inverted, yet EDICT, BDIA and CBDIA undo their steps exactly. By which trick, and under which
# condition? The paper says that BDIA does it at half of EDICT's cost: is that so? And if a round trip returns every
# digit, is the noise in its middle the right one?

# %% tags=["hide-input"]
from fractions import Fraction

import numpy as np
from IPython.display import Markdown, Math

from bdia_numerics import (
    BDIA,
    CBDIA,
    DDIM,
    EDICT,
    BDIADPMSolverPP,
    analysis,
    grids,
    inverse_latex,
    invertibility,
    problems,
    round_trip,
    schedules,
    solve,
    step_latex,
)
from bdia_numerics.analysis.scheme import interlacing, scheme
from bdia_numerics.formulas import number, table
from bdia_numerics.pages.ledger import verdicts
from bdia_numerics.plots import Picture
from bdia_numerics.plots.scheme import interlaced, programs
from bdia_numerics.plots.style import Panel, draw

# %% [markdown]
# ## Derivation
#
# ### Change one register at a time
#
# Let a solver hold several registers. An assignment that changes one of them, by
#
# $$x\;\leftarrow\;c\,x+\big(\text{anything computed from the other registers}\big),\qquad c\neq0,$$
#
# can be undone whatever the network is: the others still stand, so the same thing can be computed again, subtracted,
# and the rest divided by $c$. DDIM has one register and evaluates the network *at the register that it overwrites*:
# chapter 2 ended there. With two registers there is room.
#
# **EDICT** holds two states. Each reads $\hat\epsilon$ off the other one, then both are mixed, eq. (11)-(14):

# %%
Math(step_latex(EDICT()))

# %% [markdown]
# Four assignments, each of one register. (A prime marks a value on the way; $-(p-1)$ is the printer's $1-p$.)
# Backwards, each is solved for what it overwrote. This is done by the library; (15)-(18) are written nowhere in it:

# %%
Math(inverse_latex(EDICT()))

# %% [markdown]
# **BDIA** holds the last two states of *one* trajectory. Its idea: at $\mathbf z_i$ take one evaluation and use it
# twice, for the slot ahead, and for the slot just passed, to replace a part $\gamma$ of what was done there by a
# backward DDIM step, eq. (27). What is overwritten is $\mathbf z_{i+1}$, and the network never saw it in this step:

# %%
Math(step_latex(BDIA()))

# %%
Math(inverse_latex(BDIA()))

# %% [markdown]
# **CBDIA** (appendix B) couples two states as EDICT does, but the second takes a *backward* DDIM step, off the state
# that the first has just reached:

# %%
Math(step_latex(CBDIA()))

# %% [markdown]
# The three programs as pictures, drawn from the recorded assignments. Full arrows carry states, dashed ones
# evaluations.

# %%
Picture(
    programs(
        [
            ("EDICT", scheme(EDICT())),
            ("BDIA", scheme(BDIA())),
            ("CBDIA", scheme(CBDIA())),
        ]
    ),
    "Which state feeds which in a step of EDICT, BDIA and CBDIA",
)

# %% [markdown]
# *Figure 3.1. One slot in full, the others faint. EDICT and CBDIA ask the network twice a slot, BDIA once. No dashed
# arrow ends at the state that it started from: that is why all three can be undone.*
#
# ### The condition
#
# Invertibility is decided from the program, for every network: own coefficients (and determinants of mixings) must not
# vanish, and what a step has evaluated must be repeatable on the way back.


# %%
class Careless:
    """BDIA's step, gamma = 1, with the network asked at the state that goes."""

    registers = ("z_prev", "z")

    def step(self, s):
        z_prev, z = s.registers
        back, ahead = (s.delta(s.i, j, z, s.eps(z_prev)) for j in (s.i + 1, s.i - 1))
        s.assign(z_prev, z_prev - back + ahead, at=s.i - 1)
        s.swap(z_prev, z)


solvers = (DDIM(), EDICT(), BDIA(), CBDIA(), BDIADPMSolverPP(), Careless())
found = {type(s).__name__: invertibility(s) for s in solvers}
assert [name for name, f in found.items() if f.invertible] == [
    "EDICT",
    "BDIA",
    "CBDIA",
]
Markdown(table(["solver", "exactly invertible?"], found.items()))

# %% [markdown]
# The paper allows $\gamma$ and $p$ in $[0,1]$; at 0 the inverse divides by 0. It says itself that BDIA-DPM-Solver++ is
# not for inversion; the program shows why.
#
# ### What BDIA integrates
#
# Proposition 1 writes each $\mathbf z_i$ as $\mathbf z_N$ plus weighted forward and backward DDIM updates of every
# slot. The weights can be read off the program too:

# %%
Picture(
    interlaced(
        [
            ("BDIA, γ = 1", interlacing(BDIA(1))),
            ("BDIA, γ = 1/2", interlacing(BDIA(Fraction(1, 2)))),
        ]
    ),
    "Forward and backward updates that make up each state of BDIA",
)

# %% [markdown]
# *Figure 3.2. Rows are states, columns are slots; arrows to the right are forward updates, to the left backward ones.
# At $\gamma=1$ they are interlaced, as in the paper's Fig. 3; below 1 each slot is an average, of weights that sum to
# 1.*

# %%
g = Fraction(1, 2)
shares = {(x.state, x.slot, x.taken_at): x.weight for x in interlacing(BDIA(g))}
n = max(slot for _, slot, _ in shares)
for (i, j, taken_at), weight in shares.items():
    if j >= i + 2:  # the sum of (30)
        forward, backward = 1 - (-g) ** (j - i), g + (-g) ** (j - i)
        assert weight == (forward if taken_at == j else backward) / (1 + g)
print(
    f"{len(shares)} weights of the program at gamma = 1/2; those of the sum (30) agree"
)

# %% [markdown]
# ## Experiment
#
# From data to noise and back, on the distribution of chapter 1, 200 samples. The first states of BDIA come from a DDIM step,
# those of EDICT and CBDIA are equal copies. Both sides of the trip are measured: does it return, and how far is the
# noise from the true one?

# %%
law = problems.GaussianMixture([0.3, 0.7], [[-1.0], [1.0]], [0.04, 0.09])
schedule = schedules.vp_linear()
model = law.model(schedule)
data = law.sample(200, np.random.default_rng(0))
contenders = {
    "DDIM, eq. (10)": DDIM(),
    "EDICT, p = 0.93": EDICT(),
    "EDICT, p = 1": EDICT(p=1),
    "BDIA, γ = 1": BDIA(1),
    "BDIA, γ = 0.9": BDIA(Fraction(9, 10)),
    "CBDIA, 0.95, 0.05": CBDIA(),
}


def grid_of(n):
    return grids.asinh(schedule, n, t_max=1, t_min=0.01)


counts = (10, 20, 40, 80, 160)
trips = {
    (name, n): round_trip(solver, model, grid_of(n), data, end="data", reference=law)
    for name, solver in contenders.items()
    for n in counts
}
Markdown(
    table(
        ["solver", "N", "evaluations", "return misses by", "noise is off by"],
        [
            (name, n, t.nfe, number(t.error), number(t.latent))
            for (name, n), t in trips.items()
            if n in (20, 160)
        ],
    )
)


# %%
drawn = [
    Panel(
        "evaluations, there and back",
        "root-mean-square error",
        {
            name: (
                [trips[name, n].nfe for n in counts],
                [getattr(trips[name, n], what) for n in counts],
            )
            for name in contenders
        },
        log="xy",
        title=title,
    )
    for what, title in (
        ("error", "return: back at the data"),
        ("latent", "latent: the noise itself"),
    )
]
Picture(
    draw(*drawn, height=3.8),
    "Round-trip error and error of the latent against evaluations",
)

# %% [markdown]
# *Figure 3.3. Left: all but DDIM return, but for rounding (which is that of large numbers where the latent is large).
# Right: what they return from. At many steps the latents of BDIA with $\gamma<1$, of EDICT with $p=0.93$ and of CBDIA
# are worthless, by orders of magnitude, and the left picture does not notice.*

# %%
exact_ones = [name for name in contenders if not name.startswith("DDIM")]
assert all(trips[name, n].error < 1e-8 for name in exact_ones for n in counts)
assert trips["BDIA, γ = 0.9", 160].latent > 1e3
assert trips["EDICT, p = 0.93", 160].latent > 1e3
assert trips["BDIA, γ = 1", 160].latent < 0.1
assert trips["EDICT, p = 1", 160].latent < 0.1
for n in (20, 160):
    ratio = trips["EDICT, p = 1", n].nfe / trips["BDIA, γ = 1", n].nfe
    print(f"{n} slots: EDICT takes {ratio:.2f} times BDIA's evaluations")

# %% [markdown]
# Nothing is wrong with the arithmetic. The *inverse* is an unstable recurrence: the error that the start puts in (and
# rounding, later) grows by a constant factor with each step on the way to the noise, and shrinks by the same factor on
# the way back. Chapter 5 computes that factor. To see that it is the inverse and not the sampler, go the other way:
# from noise to data, where the far end is the sample.

# %%
noise = np.random.default_rng(1).standard_normal((200, 1))
forth = {
    name: round_trip(solver, model, grid_of(80), noise, reference=law)
    for name, solver in contenders.items()
}
assert forth["EDICT, p = 1"].latent > 1
assert all(
    forth[name].latent <= forth["DDIM, eq. (10)"].latent
    for name in exact_ones
    if name != "EDICT, p = 1"
)
Markdown(
    table(
        ["solver, 80 steps", "sample is off by", "return misses by"],
        [(name, number(t.latent), number(t.error)) for name, t in forth.items()],
    )
)

# %% [markdown]
# Now the solvers that had worthless latents have good samples, and it is EDICT with $p=1$ that fails. Its two states
# differ, and their difference is multiplied by $p^2a_i$ in a step towards the data, so by $1/(p^2a_i)$ in a step
# towards the noise (`bdia verify --only fact-12`). What is damped one way is amplified the other way. On this schedule
# $\prod a_i=\alpha_0/\alpha_N$ is large, so $p=1$ amplifies in sampling, and $p=0.93$ with many steps amplifies in
# inversion. In between there is one $p$ at which the whole trip does neither:
#
# $$p^{2N}\,\frac{\alpha_0}{\alpha_N}=1.$$

# %%
rows = []
for n in (20, 80, 160):
    growth = grid_of(n).alpha[0] / grid_of(n).alpha[-1]
    for name, p in (
        ("1", 1.0),
        ("0.93", 0.93),
        ("balanced", growth ** (-1 / (2 * n))),
    ):
        there = round_trip(EDICT(p=p), model, grid_of(n), noise, reference=law)
        back = (
            trips["EDICT, p = 1", n]
            if p == 1
            else round_trip(
                EDICT(p=p), model, grid_of(n), data, end="data", reference=law
            )
        )
        rows.append((n, name, p, p ** (2 * n) * growth, there.latent, back.latent))
        if name == "balanced":
            assert there.latent < 0.5 and back.latent < 0.5
shown = [
    (n, f"{name} ({p:.3f})" if name == "balanced" else name, *map(number, rest))
    for n, name, p, *rest in rows
]
heads = [
    "N",
    "p",
    "growth of the difference, sampling",
    "sample is off by",
    "noise is off by",
]
Markdown(table(heads, shown))

# %% [markdown]
# So a "recommended" $p=0.93$ belongs to one number of steps and one schedule. The balanced $p$ gives usable samples and
# usable latents, though its samples are several times further off than those of a smaller $p$. BDIA at $\gamma=1$ needs
# no such tuning here.
#
# ## What we found
#
# - Exact inversion is a property of the program: one register at a time, with a coefficient that is not 0, and no
#   evaluation at what is overwritten. The condition is $\gamma\neq0$ for BDIA, $p\neq0$ for EDICT,
#   $\gamma_1\neq\gamma_2$ for CBDIA.
# - BDIA needs one evaluation a slot and EDICT two: the paper's "half" holds, up to the one evaluation of the start.
# - EDICT with $p=1$ has a usable latent and bad samples, with $p=0.93$ good samples and, at many steps, a useless
#   latent.
# - "Exact" concerns the return. With $\gamma<1$ or $p<1$ the latent of many steps is far from any noise that the flow
#   connects with the data. The round trip cannot see that.
#
# Try it: <a href="../explorer.html#second-state">EDICT's second state</a> and
# <a href="../explorer.html#inversion">a return with a wrong latent</a> in the explorer (`bdia explore second-state`).

# %%
Markdown(verdicts("eq-33", "prop-1", "prop-2", "eq-61"))

# %% [markdown]
# ## Exercises
#
# 1. Write the explicit midpoint rule $\mathbf y_{i-1}=\mathbf y_{i+1}+(h_i+h_{i+1})\,\epsilon_i$ as a step program in
#    $\mathbf z$. Is it invertible, and when does it equal BDIA with $\gamma=1$?
# 2. Proposition 2 says that BDIA at $\gamma=1$ is symmetric in time. Test it without the inverse: run the *sampler* on
#    the reversed grid from the last two states.
# 3. Which volume does a step of BDIA leave of the pair $(\mathbf z_{i+1},\mathbf z_i)$? Show that the answer does not
#    depend on the network, and compare EDICT and CBDIA.
#
# ## Solutions
#
# **1.** In $\mathbf z=\alpha\mathbf y$ it reads
# $\mathbf z_{i-1}=\frac{\alpha_{i-1}}{\alpha_{i+1}}\mathbf z_{i+1}+\alpha_{i-1}(s_{i-1}-s_{i+1})\epsilon_i$. The own
# coefficient is never 0: always invertible. BDIA has the coefficient $\gamma$ there instead of
# $\alpha_{i-1}/\alpha_{i+1}$, so at $\gamma=1$ the two agree where $\alpha$ is constant, as in EDM's parametrisation.


# %% tags=["hide-cell"]
class MidpointRule:
    registers = ("z_prev", "z")

    def step(self, s):
        z_prev, z = s.registers
        level = {j: s.sigma(j) / s.alpha(j) for j in (s.i - 1, s.i + 1)}
        moved = s.alpha(s.i - 1) / s.alpha(s.i + 1) * z_prev
        slope = s.alpha(s.i - 1) * (level[s.i - 1] - level[s.i + 1]) * s.eps(z)
        s.assign(z_prev, moved + slope, at=s.i - 1)
        s.swap(z_prev, z)


print("invertible:", invertibility(MidpointRule()))
gaps = {}
for name, other in (("EDM", schedules.edm()), ("linear VP", schedule)):
    grid = grids.asinh(other, 20, t_max=0.9, t_min=0.1)
    runs = [
        solve(s, law.model(other), grid, noise).z for s in (MidpointRule(), BDIA(1))
    ]
    gaps[name] = np.abs(runs[0] - runs[1]).max()
    print(f"{name}: largest difference to BDIA {number(gaps[name])}")
assert gaps["EDM"] < 1e-13 < 1e-3 < gaps["linear VP"]

# %% [markdown]
# **2.** Exchanging $t_{i-1}$ and $t_{i+1}$ in (28) changes the signs of both increments and gives the same relation. So
# the sampler on the reversed grid must walk back through its own states.

# %% tags=["hide-cell"]
grid = grid_of(20)
for gamma in (1, Fraction(9, 10)):
    states = solve(BDIA(gamma), model, grid, noise, return_trajectory=True).trajectory
    back = solve(BDIA(gamma), model, grid.reversed(), states[0], start=[states[1]])
    gap = np.abs(back.z - noise).max()
    print(
        f"gamma = {gamma}: the sampler on the reversed grid misses its start by {number(gap)}"
    )
    assert (gap < 1e-12) == (gamma == 1)

# %% [markdown]
# **3.** The step is an exchange after a shear: $\mathbf z_{i+1}$ is scaled by $\gamma$ and shifted by a function of
# $\mathbf z_i$, then the two change places. A shear keeps volume, so the determinant is that of $\gamma$ and of the
# exchange, $(-\gamma)^d$. For EDICT it is $(p\,a_i)^{2d}$, for CBDIA $(\gamma_1-\gamma_2)^d$. The library reads them
# off the programs; here they meet the products of a grid.

# %% tags=["hide-cell"]
grid = grid_of(5)
ratios = grid.alpha[:-1] / grid.alpha[1:]  # a_i, i = 1..N
p = 0.93
expected = {
    "BDIA": (BDIA(0.9), [-0.9] * 4),
    "EDICT": (EDICT(p=p), (p * ratios[::-1]) ** 2),
    "CBDIA": (CBDIA(0.95, 0.05), [0.95 - 0.05] * 5),
}
for name, (solver, values) in expected.items():
    determinants = [float(d) for d in analysis.step_determinants(solver, grid)]
    print(name, np.round(determinants, 4))
    assert np.allclose(determinants, values, rtol=1e-12)
