# %% [markdown]
# # 3. Exact inversion: EDICT, BDIA, CBDIA
#
# ## Question
#
# A network cannot be inverted, yet [EDICT](https://arxiv.org/abs/2211.12446) (Wallace, Gokul and Naik, 2023), and BDIA
# and CBDIA of [the paper](https://arxiv.org/abs/2307.10829), undo their steps exactly. Which idea makes this possible,
# and under which condition? The paper says that BDIA does it at half of EDICT's cost. Is that so? And if a round trip
# returns every digit, is the noise in its middle the right one?

# %% tags=["hide-input"]
from fractions import Fraction

import numpy as np
import sympy as sp
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
from bdia_numerics.solvers import Leapfrog

# %% [markdown]
# ## Derivation
#
# ### Change one register at a time
#
# Let a solver hold several registers, and let an assignment change one of them by
#
# $$x\;\leftarrow\;c\,x+r,\qquad r\ \text{computed from the other registers},\qquad c\neq0.$$
#
# After the assignment the other registers still have their values. So $r$ can be computed again, and
# $x_{\rm old}=(x_{\rm new}-r)/c$. Nothing was asked of the function that computes $r$: it may be a network. A step that
# is a sequence of such assignments is undone by undoing them in the reverse order. Invertible networks rest on the same
# idea, for example the coupling layers of [Dinh, Krueger and Bengio (2015)](https://arxiv.org/abs/1410.8516).
#
# DDIM has one register, and evaluates the network *at the register that it overwrites*. That is why
# [chapter 2](02_ddim_as_euler.py) ended with a refusal. With two registers there is room.
#
# ### EDICT
#
# EDICT holds two states. Each is moved by a noise prediction at the other one, and then both are mixed, eq. (11)-(14):

# %%
Math(step_latex(EDICT()))

# %% [markdown]
# A prime marks a value within the step, and $-(p-1)$ is how the printer writes $1-p$. There are four assignments, each
# of one register. To go back, each is solved for the value that it overwrote. The library does this, and (15)-(18) are
# written nowhere in it:

# %%
Math(inverse_latex(EDICT()))

# %% [markdown]
# ### BDIA
#
# BDIA holds the last two states of *one* trajectory. Its idea begins with an identity. The exact solution satisfies
#
# $$\mathbf z_{i-1}=\mathbf z_{i+1}+\underbrace{(\mathbf z_i-\mathbf z_{i+1})}_{\text{slot just passed}}
# +\underbrace{(\mathbf z_{i-1}-\mathbf z_i)}_{\text{slot ahead}}.$$
#
# For the slot ahead there is only DDIM, $\Delta(t_i\to t_{i-1}\mid\mathbf z_i)$. For the slot just passed there are two
# estimates. One is the increment that was made, $\mathbf z_i-\mathbf z_{i+1}$, which rests on an evaluation at the
# slot's noisy end. The other one is minus the DDIM increment backwards, $-\Delta(t_i\to t_{i+1}\mid\mathbf z_i)$, which
# rests on the slot's other end. It is free, because it uses the evaluation at $\mathbf z_i$ that the slot ahead needs
# anyway. BDIA takes a share $\gamma$ of the second and $1-\gamma$ of the first, eq. (27):
#
# $$\mathbf z_{i-1}=\mathbf z_{i+1}-(1-\gamma)(\mathbf z_{i+1}-\mathbf z_i)
# -\gamma\,\Delta(t_i\to t_{i+1}\mid\mathbf z_i)+\Delta(t_i\to t_{i-1}\mid\mathbf z_i).$$
#
# The step overwrites $\mathbf z_{i+1}$, and the network is not evaluated there. Collect terms to see the coefficient of
# $\mathbf z_{i+1}$, which is $\gamma$. Solve for $\mathbf z_{i+1}$ to get the inverse (33):
#
# $$\mathbf z_{i+1}=\frac1\gamma\Big[\mathbf z_{i-1}-(1-\gamma)\,\mathbf z_i-\Delta(t_i\to t_{i-1}\mid\mathbf z_i)\Big]
# +\Delta(t_i\to t_{i+1}\mid\mathbf z_i).$$
#
# The program of the step, and the inverse that the library derives from it, with everything collected:

# %%
Math(step_latex(BDIA()))

# %%
Math(inverse_latex(BDIA()))

# %% tags=["hide-cell"]
old, mid, new, ahead, behind, g_ = sp.symbols("old mid new ahead behind g")
step = old - (1 - g_) * (old - mid) - g_ * behind + ahead
by_hand = (new - (1 - g_) * mid - ahead) / g_ + behind
assert sp.simplify(sp.solve(step - new, old)[0] - by_hand) == 0
assert sp.expand(step).coeff(old) == g_

# %% [markdown]
# ### Leapfrog
#
# One member of the family is older than computers. Let $\alpha=1$, so that $\mathbf z=\mathbf y$, and $\gamma=1$. Both
# increments are Euler steps: $\Delta(t_i\to t_{i-1})=h_i\hat\epsilon_i$ and
# $\Delta(t_i\to t_{i+1})=-h_{i+1}\hat\epsilon_i$. Then (27) becomes
#
# $$\mathbf y_{i-1}=\mathbf y_{i+1}+(h_i+h_{i+1})\,\hat\epsilon_i .$$
#
# This is **leapfrog**, also called the explicit midpoint rule: jump from the state before the last one over the last
# one, with the slope in the middle. On equal steps a symmetric difference gives
# $\mathbf y(s+h)-\mathbf y(s-h)=2h\,\mathbf y'(s)+\tfrac13h^3\mathbf y'''+\dots$, since even powers cancel. So leapfrog
# is of order 2, although it makes one evaluation a step. It has a price: odd and even states are two sequences that see
# each other only through the slopes, and they may drift apart. Chapters 4 and 5 compute when they do.
# [Verlet (1967)](https://doi.org/10.1103/PhysRev.159.98) made its relative the standard method of molecular dynamics.

# %%
Math(step_latex(Leapfrog(), exploding=True))

# %% tags=["hide-cell"]
both = [step_latex(s, symbols=False, exploding=True) for s in (Leapfrog(), BDIA(1))]
assert both[0] == both[1]
h, y_ = sp.symbols("h"), sp.Function("y")
odd = y_(h) - y_(-h) - 2 * h * y_(h).diff(h).subs(h, 0)
polynomial = odd.subs(y_, sp.Lambda(h, sum(h**k / sp.factorial(k) for k in range(5))))
assert sp.expand(polynomial.doit() - h**3 / 3) == 0

# %% [markdown]
# ### CBDIA
#
# CBDIA (appendix B of the paper) couples two states as EDICT does. Its second state takes a *backward* DDIM step, from
# the state that the first has just reached:

# %%
Math(step_latex(CBDIA()))

# %% [markdown]
# Figure 3.1 shows the three programs, drawn from the recorded assignments.

# %% tags=["hide-input"]
three = [("EDICT", EDICT()), ("BDIA", BDIA()), ("CBDIA", CBDIA())]
Picture(
    programs([(name, scheme(solver)) for name, solver in three]),
    "Which state feeds which in a step of EDICT, BDIA and CBDIA",
)

# %% [markdown]
# *Figure 3.1. One slot of each solver is drawn in full, and the others are faint. Full arrows carry states, and dashed
# arrows carry evaluations of the network. EDICT and CBDIA evaluate twice a slot, BDIA once. No dashed arrow ends at the
# state from which it started, which is why all three can be undone.*
#
# ### The condition
#
# Whether a step is invertible for every network can be read from its program. The coefficients $c$, and the
# determinants of mixings, must not vanish, and every evaluation must be repeatable on the way back. The following step
# breaks the last rule. It evaluates the network at the state that it overwrites:


# %%
class Careless:
    """BDIA's step at gamma = 1, with the network evaluated at the old state."""

    registers = ("z_prev", "z")

    def step(self, s):
        z_prev, z = s.registers
        back, ahead = (s.delta(s.i, j, z, s.eps(z_prev)) for j in (s.i + 1, s.i - 1))
        s.assign(z_prev, z_prev - back + ahead, at=s.i - 1)
        s.swap(z_prev, z)


# %% tags=["hide-input"]
solvers = (DDIM(), EDICT(), BDIA(), CBDIA(), BDIADPMSolverPP(), Careless())
found = {type(s).__name__: invertibility(s) for s in solvers}
assert [n for n, f in found.items() if f.invertible] == ["EDICT", "BDIA", "CBDIA"]
Markdown(table(["solver", "exactly invertible?"], found.items()))

# %% [markdown]
# The paper allows $\gamma$ and $p$ in $[0,1]$, but at 0 the inverse divides by 0. It says itself that BDIA-DPM-Solver++
# is not for inversion, and the program shows why. [Chapter 7](07_edm_and_dpm_solver_pp.py) returns to it.
#
# ### What BDIA integrates
#
# Proposition 1 writes each $\mathbf z_i$ as $\mathbf z_N$ plus weighted forward and backward DDIM increments of every
# slot. The weights can be read from the program, too:

# %% tags=["hide-input"]
half = Fraction(1, 2)
Picture(
    interlaced(
        [
            ("BDIA, γ = 1", interlacing(BDIA(1))),
            ("BDIA, γ = 1/2", interlacing(BDIA(half))),
        ]
    ),
    "Forward and backward increments that make up each state of BDIA",
)

# %% [markdown]
# *Figure 3.2. Rows are states and columns are slots. Arrows to the right are forward increments, and arrows to the left
# are backward ones. At $\gamma=1$ they are interlaced, as in Fig. 3 of the paper. For smaller $\gamma$ each slot has an
# average of both, with weights that sum to 1.*

# %% tags=["hide-cell"]
shares = {(x.state, x.slot, x.taken_at): x.weight for x in interlacing(BDIA(half))}
for (i, j, taken_at), weight in shares.items():
    if j >= i + 2:  # the sum of (30)
        forward, backward = 1 - (-half) ** (j - i), half + (-half) ** (j - i)
        assert weight == (forward if taken_at == j else backward) / (1 + half)
print(f"{len(shares)} weights of the program at gamma = 1/2 agree with the sum (30)")

# %% [markdown]
# ## Experiment
#
# We go from data to noise and back, on the distribution of [chapter 1](01_probability_flow.py), with 200 samples. The
# second state of BDIA comes from a DDIM step, and those of EDICT and CBDIA are equal copies. As in chapter 2, the
# round-trip error says how well the data return, and the latent error says how far the noise is from the exact flow.

# %%
law = problems.GaussianMixture([0.3, 0.7], [[-1.0], [1.0]], [0.04, 0.09])
schedule = schedules.vp_linear()
model, data = law.model(schedule), law.sample(200, np.random.default_rng(0))


def grid_of(n):
    return grids.asinh(schedule, n, t_max=1, t_min=0.01)


# %% tags=["hide-input"]
contenders = {
    "DDIM": DDIM(),
    "EDICT, p = 0.93": EDICT(),
    "EDICT, p = 1": EDICT(p=1),
    "BDIA, γ = 1": BDIA(1),
    "BDIA, γ = 0.9": BDIA(Fraction(9, 10)),
    "CBDIA": CBDIA(),
}
counts = (10, 20, 40, 80, 160)
trips = {
    (name, n): round_trip(solver, model, grid_of(n), data, end="data", reference=law)
    for name, solver in contenders.items()
    for n in counts
}
Markdown(
    table(
        ["solver", "N", "evaluations", "round-trip error", "latent error"],
        [
            (name, n, t.nfe, number(t.error), number(t.latent))
            for (name, n), t in trips.items()
            if n in (20, 160)
        ],
    )
)

# %% tags=["hide-input"]
panels = []
for what, title in (
    ("error", "round-trip error"),
    ("latent", "latent error"),
):
    curves = {
        name: (
            [trips[name, n].nfe for n in counts],
            [getattr(trips[name, n], what) for n in counts],
        )
        for name in contenders
    }
    panels.append(
        Panel("evaluations, both ways", "root mean square", curves, {}, title, "xy")
    )
Picture(draw(*panels, height=3.6), "Round-trip and latent errors against evaluations")

# %% [markdown]
# *Figure 3.3. Runs go from data to noise and back. DDIM is inverted by eq. (10), and CBDIA has
# $(\gamma_1,\gamma_2)=(0.95,0.05)$. On the left, all but DDIM return up to rounding, which is that of large numbers
# where the latent is large. On the right, with many steps, the latents of BDIA at $\gamma=0.9$, of EDICT at $p=0.93$
# and of CBDIA are useless by orders of magnitude, and the left panel does not show it.*

# %% tags=["hide-cell"]
exact_ones = [name for name in contenders if name != "DDIM"]
assert all(trips[name, n].error < 1e-8 for name in exact_ones for n in counts)
for name in exact_ones:
    useless = name in ("BDIA, γ = 0.9", "EDICT, p = 0.93", "CBDIA")
    assert (trips[name, 160].latent > 1e3) == useless
    assert useless or trips[name, 160].latent < 0.1
for n in (20, 160):
    ratio = trips["EDICT, p = 1", n].nfe / trips["BDIA, γ = 1", n].nfe
    print(f"{n} slots: EDICT takes {ratio:.2f} times BDIA's evaluations")

# %% [markdown]
# Nothing is wrong with the arithmetic. The *inverse* is an unstable recurrence. The error that the start puts in, and
# later rounding, grows by a constant factor in each step to the noise, and shrinks by the same factor on the way back.
# [Chapter 5](05_stability_and_rounding.py) computes the factor. To see that it is the inverse and not the sampler, go
# the other way, from noise to data. Then the far end is the sample, and the *sample error* is its distance from the
# exact flow:

# %% tags=["hide-input"]
noise = np.random.default_rng(1).standard_normal((200, 1))
forth = {
    name: round_trip(solver, model, grid_of(80), noise, reference=law)
    for name, solver in contenders.items()
}
Markdown(
    table(
        ["solver, 80 steps", "sample error", "round-trip error"],
        [(name, number(t.latent), number(t.error)) for name, t in forth.items()],
    )
)

# %% tags=["hide-cell"]
assert forth["EDICT, p = 1"].latent > 1
for name in set(exact_ones) - {"EDICT, p = 1"}:
    assert forth[name].latent <= forth["DDIM"].latent

# %% [markdown]
# The solvers with useless latents have good samples, and now EDICT with $p=1$ fails. The reason is the difference of
# its two states. Let $\hat\epsilon=0$ and follow the four assignments. Both states are multiplied by
# $a_i=\alpha_{i-1}/\alpha_i$, so their difference is, too. The first mixing gives $z=pz'+(1-p)y'$, so
# $z-y'=p\,(z'-y')$. The second gives $y=py'+(1-p)z$, so $z-y=p\,(z-y')$. Hence
#
# $$(z-y)_{\rm new}=p^2a_i\,(z-y)_{\rm old}$$
#
# in a step towards the data, and $1/(p^2a_i)$ in a step towards the noise. What is damped one way is amplified the
# other way. On this schedule $\prod a_i=\alpha_0/\alpha_N$ is large, so $p=1$ amplifies in sampling, and $p=0.93$ with
# many steps amplifies in inversion. In between there is one $p$ at which the whole run does neither:
#
# $$p^{2N}\,\frac{\alpha_0}{\alpha_N}=1.$$

# %% tags=["hide-cell"]
p_, a_, z_, y_ = sp.symbols("p a z y")
first, second = a_ * z_, a_ * y_
mixed = p_ * first + (1 - p_) * second
other = p_ * second + (1 - p_) * mixed
assert sp.expand(mixed - other - p_**2 * a_ * (z_ - y_)) == 0

# %% tags=["hide-input"]
rows = []
for n in (20, 80, 160):
    growth = grid_of(n).alpha[0] / grid_of(n).alpha[-1]
    balanced = growth ** (-1 / (2 * n))
    for name, p in (("1", 1.0), ("0.93", 0.93), ("balanced", balanced)):
        there = round_trip(EDICT(p=p), model, grid_of(n), noise, reference=law)
        back = round_trip(
            EDICT(p=p), model, grid_of(n), data, end="data", reference=law
        )
        shown = f"{name} ({p:.3f})" if name == "balanced" else name
        errors = there.latent, back.latent
        rows.append((n, shown, *map(number, (p ** (2 * n) * growth, *errors))))
        if name == "balanced":
            assert max(errors) < 0.5
heads = ["N", "p", "growth of the difference", "sample error", "latent error"]
Markdown(table(heads, rows))

# %% [markdown]
# A "recommended" $p=0.93$ therefore belongs to one number of steps and one schedule. The balanced $p$ gives usable
# samples and usable latents, though the samples are several times less accurate than those of a smaller $p$. BDIA at
# $\gamma=1$ needs no such tuning here.
#
# ## What we found
#
# - Exact inversion is a property of the program: one register at a time, with a coefficient that is not 0, and no
#   evaluation at what is overwritten. The condition is $\gamma\neq0$ for BDIA, $p\neq0$ for EDICT, and
#   $\gamma_1\neq\gamma_2$ for CBDIA.
# - BDIA needs one evaluation a slot and EDICT needs two. The paper's "half" holds, up to the one evaluation of the
#   start.
# - BDIA at $\gamma=1$ and $\alpha=1$ is leapfrog.
# - "Exact" concerns the return. With $\gamma<1$ or $p<1$ and many steps, the latent is far from any noise that the flow
#   connects with the data, and a round trip cannot show this.

# %% [markdown]
# You can try this in the explorer: <a href="../explorer.html#second-state">EDICT's second state</a> and
# <a href="../explorer.html#inversion">a return with a wrong latent</a> (`bdia explore second-state`).

# %%
Markdown(verdicts("eq-33", "prop-1", "prop-2", "eq-61"))

# %% [markdown]
# ## Exercises
#
# 1. **Warm-up.** Which volume does a step of BDIA leave of the pair $(\mathbf z_{i+1},\mathbf z_i)$? Show that the
#    answer does not depend on the network, and compare EDICT and CBDIA.
# 2. **Standard.** Write the explicit midpoint rule $\mathbf y_{i-1}=\mathbf y_{i+1}+(h_i+h_{i+1})\,\hat\epsilon_i$ as a
#    step program in $\mathbf z$ for any $\alpha$. Is it invertible, and when does it equal BDIA with $\gamma=1$?
# 3. **Standard.** Proposition 2 says that BDIA at $\gamma=1$ is symmetric in time. Test it without the inverse: run the
#    *sampler* on the reversed grid from the last two states.
# 4. **Research.** Each solver of this chapter has one register more than DDIM. Is there an exactly invertible solver
#    with a single register and one evaluation a step? Say first what you allow an assignment to be.
#
# ## Solutions
#
# <details><summary>Solution of exercise 1</summary>
#
# The step is an exchange after a shear: $\mathbf z_{i+1}$ is scaled by $\gamma$ and shifted by a function of
# $\mathbf z_i$, and then the two change places. A shear keeps volume. So the determinant is that of the scaling and of
# the exchange, $(-\gamma)^d$. For EDICT it is $(p\,a_i)^{2d}$, and for CBDIA $(\gamma_1-\gamma_2)^d$. The library reads
# them from the programs, and the cell compares them on a grid.
#
# </details>

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

# %% [markdown]
# <details><summary>Solution of exercise 2</summary>
#
# In $\mathbf z=\alpha\mathbf y$ it reads
# $\mathbf z_{i-1}=\frac{\alpha_{i-1}}{\alpha_{i+1}}\mathbf z_{i+1}+\alpha_{i-1}(s_{i-1}-s_{i+1})\,\hat\epsilon_i$. The
# own coefficient is never 0, so it is always invertible. BDIA has the coefficient $\gamma$ there instead of
# $\alpha_{i-1}/\alpha_{i+1}$. So at $\gamma=1$ the two agree where $\alpha$ is constant, as in EDM's parametrisation,
# and not on a variance-preserving schedule.
#
# </details>


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
# <details><summary>Solution of exercise 3</summary>
#
# Exchanging $t_{i-1}$ and $t_{i+1}$ in (28) changes the signs of both increments and gives the same relation. So the
# sampler on the reversed grid must walk back through its own states. At other values of $\gamma$ it does not.
#
# </details>

# %% tags=["hide-cell"]
grid = grid_of(20)
for gamma in (1, Fraction(9, 10)):
    states = solve(BDIA(gamma), model, grid, noise, return_trajectory=True).trajectory
    back = solve(BDIA(gamma), model, grid.reversed(), states[0], start=[states[1]])
    gap = np.abs(back.z - noise).max()
    print(
        f"gamma = {gamma}: the sampler on the reversed grid returns up to {number(gap)}"
    )
    assert (gap < 1e-12) == (gamma == 1)

# %% [markdown]
# <details><summary>First steps on exercise 4</summary>
#
# With the assignments of this chapter there is none: the only register is the one that is overwritten, so no evaluation
# can be repeated. You may split one state into two halves of its coordinates, and evaluate the network with a part of
# its input masked. That is a solver with one register, but the network was not trained for it. A step that is defined
# by an implicit equation, such as the implicit midpoint rule, has an inverse of the same kind, which is exact as a map
# and is computed by iteration. Which of these you accept depends on what "exact" should mean.
# [Reversible Heun](https://arxiv.org/abs/2105.13493) and [Rex](https://arxiv.org/abs/2502.08834) add a register as BDIA
# does.
#
# </details>
#
# ## Further reading
#
# - [Wang et al. (2024)](https://arxiv.org/abs/2410.07273) write EDICT and BDIA as members of one family, BELM.
#   [McCallum and Foster (2024)](https://arxiv.org/abs/2410.11648) couple any one-step solver with its inverse.
# - [Hairer, Lubich and Wanner (2006)](https://doi.org/10.1007/3-540-30666-8), chapters I and V, treat leapfrog and
#   methods that are symmetric in time.
# - [Equivalent solvers](../docs/findings/equivalences.md) has the identities between solvers that the package proves,
#   and [`solvers`](../docs/api/solvers.md) has their programs. [Add a solver](../docs/add-a-solver.md) shows how to
#   write your own.
# - [Chapter 4](04_order_and_error_constants.py) asks how accurate these solvers are.
