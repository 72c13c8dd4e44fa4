# %% [markdown]
# # 6. Proofs that run
#
# ## Question
#
# A paper proves theorems about a formula. A program is typed from the formula, by hand, and tested. What do the
# theorems say of the program? And what does a passed test say of the formula?
#
# The usual test of an exactly invertible solver is the round trip: run it from noise to data and back, and compare.
# Here is BDIA, and BDIA with the sign of its backward increment flipped, on a mixture whose flow is known exactly.

# %% tags=["hide-input"]
import inspect
from fractions import Fraction

import numpy as np
import sympy
from IPython.display import Markdown, Math

from bdia_numerics import (
    BDIA,
    CBDIA,
    DDIM,
    analysis,
    grids,
    inverse_latex,
    invertibility,
    problems,
    round_trip,
    schedules,
    step_latex,
)
from bdia_numerics.claims import (
    CheckFailed,
    as_printed,
    checks,
    decide,
    formal,
    run_mutant,
    statements,
)
from bdia_numerics.claims import enclosures as setting
from bdia_numerics.claims.ledger import mutate
from bdia_numerics.formulas import number, table
from bdia_numerics.plots import Picture
from bdia_numerics.plots import flows as enclosures
from bdia_numerics.plots.orders import misprint
from bdia_numerics.plots.style import draw

Flipped = mutate(BDIA, ("- g * backward", "+ g * backward"))
law = problems.GaussianMixture([0.4, 0.6], [[-1.0], [1.5]], [0.1, 0.2])
vp = schedules.vp_linear()
noise = np.random.default_rng(0).standard_normal((50, 1))


def both_sides(solver, n):
    """Return a round trip from noise, its far end held against the exact flow."""
    grid = grids.asinh(vp, n, t_min=0.001)
    return round_trip(solver, law.model(vp), grid, noise, reference=law)


steps = (10, 20, 40, 80)
trips = {
    (name, n): both_sides(s(1), n)
    for name, s in (("BDIA", BDIA), ("sign flipped", Flipped))
    for n in steps
}
assert all(trip.error < 1e-14 for trip in trips.values())
assert trips["BDIA", 80].latent < 0.01 < 0.5 < trips["sign flipped", 80].latent
rows = [
    (name, n, number(trip.error), number(trip.latent))
    for (name, n), trip in trips.items()
]
Markdown(
    table(
        ["solver", "steps", "noise comes back to", "samples from the exact flow"],
        rows,
    )
)

# %% [markdown]
# Both come back to rounding. One converges; the other solves no equation that anybody asked for. A round trip holds a
# map against its own inverse, so *every* invertible map passes, right or wrong. It has to be shown in another way that
# the map is the right one, and that is what proofs are for. This chapter runs them on the very class that was just
# sampled from.
#
# ## Derivation
#
# ### The text that everything is read from
#
# A solver is a class whose `step` is recorded once, as a straight line of assignments. This is all of BDIA:

# %%
print(inspect.getsource(BDIA.step))

# %% [markdown]
# What runs in floats, what is inverted, and what is proved below are interpretations of these five lines. Recorded with
# symbols for $\alpha_i,\sigma_i,\gamma$ they print as eq. (26), with the coefficients of $\mathbf z_i$ and
# $\hat\epsilon$ collected:

# %%
Math(step_latex(BDIA()))

# %% [markdown]
# and reversed, every assignment solved for the register that it overwrote, as eq. (33):

# %%
Math(inverse_latex(BDIA()))

# %% [markdown]
# The inverse divides by $\gamma$. The same reversal says when it may, and refuses DDIM with its reason:

# %%
for solver in (BDIA(), DDIM()):
    print(f"{type(solver).__name__}: {invertibility(solver)}")

# %% [markdown]
# ### A network of which nothing is known
#
# A theorem about BDIA is a theorem for every $\hat\epsilon$. So the program must run on states that admit no knowledge
# of it. The *formal space* is the free module over the field of rational functions in $\alpha_i,\sigma_i,\gamma$: a
# state is a formal linear combination of basis elements, and $\hat\epsilon(\mathbf v,t)$ is a new basis element for
# every new pair of an argument and a time. Two of them are the same element only if their arguments are the same
# combination. An identity in this space holds for every network, every state and every grid: to insert them is a linear
# map out of it.
#
# Proposition 1 does not even need the DDIM increment. With $\Delta(t_j\to t_k|\mathbf z_j)$ itself taken as a basis
# element, a run over four slots is one line. Here is $\mathbf z_0$, written by the program:

# %%
g = sympy.Symbol("gamma", positive=True)
states, increment = formal.abstract_run(BDIA(g), DDIM(), 4)


def combination(left, terms):
    """Return LaTeX of a linear combination, a line a term."""
    factors = {
        name: "" if c == 1 else rf"\left({sympy.latex(sympy.expand(c))}\right)\,"
        for name, c in terms.items()
    }
    lines = r"\\&+".join(factor + name for name, factor in factors.items())
    return Math(rf"\begin{{aligned}}{left}={{}}&{lines}\end{{aligned}}")


def arrow(name):
    """Return LaTeX of a basis element: the increments have arrows."""
    return (
        name.replace("Delta(", r"\Delta(t_")
        .replace(" -> ", r"\to t_")
        .replace("z_N", r"\mathbf z_4")
    )


combination(r"\mathbf z_0", {arrow(name): c for name, c in states[0].terms.items()})

# %% [markdown]
# This is a proof for $N=4$, $i=0$, and for nothing else. In it a pattern shows: forward increments carry
# $1,\;1-\gamma,\;1-\gamma+\gamma^2,\dots$, backward ones the negatives of $0,\;\gamma,\;\gamma-\gamma^2,\dots$ These
# are geometric sums in $-\gamma$, which is what Proposition 1 claims for every $N$ and every $i$.
#
# ### From four slots to every $N$
#
# For every $N$ one needs an induction, and an induction needs the step for *every* $i$ at once. The step is therefore
# recorded with an index about which nothing can be asked: it can be shifted by a number, and an attempt to compare it,
# or to compute with it, raises. What comes out is the relation between three states and two increments that holds in
# each slot:

# %%
older, newer, back, forth = formal.bdia_relation(BDIA, g)
names = (
    r"\mathbf z_{k+1}",
    r"\mathbf z_k",
    r"\Delta(t_k\to t_{k+1}|\mathbf z_k)",
    r"\Delta(t_k\to t_{k-1}|\mathbf z_k)",
)
combination(
    r"\mathbf z_{k-1}", dict(zip(names, (older, newer, back, forth), strict=True))
)

# %% [markdown]
# Proposition 1 is the claim $P(i)$ that
#
# $$
# \mathbf z_i=\mathbf z_N+\sum_{j=i+1}^{N}\big[A(j-i)\,\Delta(t_j\to t_{j-1}|\mathbf z_j)
# -B(j-i)\,\Delta(t_{j-1}\to t_j|\mathbf z_{j-1})\big]
# $$
#
# for every $i\le N$, with the weights of eq. (30), which are $1$ and $0$ in the newest slot, eq. (31):

# %%
m = sympy.Symbol("m", integer=True, positive=True)
A, B = formal.forward_weight, formal.backward_weight
one, two = sympy.Integer(1), sympy.Integer(2)
assert (A(one, g), sympy.simplify(B(one, g))) == (1, 0)
Math(rf"A(m)={sympy.latex(A(m, g))},\qquad B(m)={sympy.latex(B(m, g))}")

# %% [markdown]
# $P(N)$ is empty and $P(N-1)$ is the start (25). Put $P(k)$ and $P(k+1)$ into the relation: it gives $P(k-1)$ if the
# weights of every basis element agree, that is, with $m=j-k-1$,
#
# $$\gamma A(m)+(1-\gamma)A(m+1)=A(m+2),\qquad \gamma B(m)+(1-\gamma)B(m+1)=B(m+2)$$
#
# and, in the two newest slots, $(1-\gamma)A(1)=A(2)$, $\gamma+(1-\gamma)B(1)=B(2)$ and $1=A(1)$. The exponent $m$ stays
# a symbol, so each line is decided for every $m$ at once:

# %%
conditions = {
    r"\mathbf z_N": sympy.Add(older, newer, -1, evaluate=False),
    r"\text{forward, old slots}": older * A(m, g) + newer * A(m + 1, g) - A(m + 2, g),
    r"\text{backward, old slots}": older * B(m, g)
    + newer * B(m + 1, g)
    - B(m + 2, g),
    r"\text{forward, slot }k+1": newer * A(one, g) - A(two, g),
    r"\text{backward, slot }k+1": -newer * B(one, g) + back + B(two, g),
    r"\text{forward, slot }k": forth - A(one, g),
}
decided = {
    name: sympy.simplify(sympy.expand(c, power_exp=True))
    for name, c in conditions.items()
}
assert set(decided.values()) == {0}
rows = (rf"{name}:\\\quad {sympy.latex(c)}=0" for name, c in conditions.items())
Math(r"\begin{array}{l}" + r"\\[1ex]".join(rows) + r"\end{array}")

# %% [markdown]
# That is Proposition 1, for every $N$ and every approximation of the integrals, about the class `BDIA`. The same proof
# stands in one file, statement, base and step, in `proofs/test_proposition_1.py`.
#
# The weights obey a recurrence, which is the homogeneous step itself:
#
# $$A(m+2)-(1-\gamma)A(m+1)-\gamma A(m)=0.$$
#
# Its characteristic polynomial, by the library from the same five lines:

# %%
polynomial = analysis.characteristic_polynomial(BDIA(g))
zeta = sympy.Symbol("zeta")
assert sympy.expand(polynomial - (zeta**2 - newer * zeta - older)) == 0
Math(sympy.latex(polynomial))

# %% [markdown]
# The root $1$ carries the solution. The root $-\gamma$ is the parasitic one: it is why the weights are powers of
# $-\gamma$, why they alternate for ever at $\gamma=1$, and why the inverse, whose root is $-1/\gamma$, amplifies
# rounding. The stability of chapter 5 and the bits that are lost in chapter 9 go back to this one factor.
#
# ### Proposition 2, by exchanging two symbols
#
# > **Proposition 2.** Exchanging $(t_{i-1},\mathbf z_{i-1})$ and $(t_{i+1},\mathbf z_{i+1})$ in the step at $\gamma=1$
# > gives its inverse, and vice versa.
#
# Run one step and one undone step in the formal space, on the grid points $2,1,0$ for $i+1,i,i-1$, and exchange the
# outer symbols. The element $\hat\epsilon(\mathbf z_1,t_1)$ stands at the middle and stays.

# %%
p = formal.Formal(2)
z2, z1, z0 = formal.vectors("z_2", "z_1", "z_0")


def exchanged(vector):
    """Exchange the outer states, with their alpha and sigma."""
    names = {"z_0": "z_2", "z_2": "z_0"}
    pairs = [(p.alpha(0), p.alpha(2)), (p.sigma(0), p.sigma(2))]
    swap = {a: b for pair in pairs for a, b in (pair, pair[::-1])}
    return {
        names.get(name, name): c.subs(swap, simultaneous=True)
        for name, c in vector.terms.items()
    }


def asymmetry(solver):
    """Return what the exchanged step and the derived inverse differ by, coefficient by coefficient."""
    step = exchanged(p.step(solver, {"z_prev": z2, "z": z1})["z"])
    undo = p.undo(solver, {"z_prev": z1, "z": z0})["z_prev"].terms
    return {
        str(name): sympy.factor(step.get(name, 0) - undo.get(name, 0))
        for name in {**step, **undo}
    }


at_one, at_any = asymmetry(BDIA(one)), asymmetry(BDIA(g))
assert set(at_one.values()) == {0}
assert sympy.simplify(at_any["z_0"] - (g - 1 / g)) == 0
differences = [
    r"\gamma=1:&\quad 0,\ 0,\ 0",
    rf"\text{{any }}\gamma:&\quad {', '.join(map(sympy.latex, at_any.values()))}",
]
Math(r"\begin{aligned}" + r"\\".join(differences) + r"\end{aligned}")

# %% [markdown]
# The three numbers of a line belong to $\mathbf z_{i-1}$, $\mathbf z_i$ and $\hat\epsilon$. For any $\gamma$ they are
# $\gamma-1/\gamma$ times $1$, $-a_i$ and $-b_i$: the exchanged step and the inverse differ by that factor times the
# distance of $\mathbf z_{i-1}$ from the DDIM successor of $\mathbf z_i$.
#
# So the symmetry holds where $\gamma^2=1$, which within $[0,1]$ is $\gamma=1$ alone. Section 7 of the paper calls the
# step "symmetric in time" without that condition; the ledger says so.
#
# ## Experiment
#
# ### The ledger decides
#
# What was done by hand above is a *check* of the ledger: a function that takes the imported solver, raises when the
# claim fails, and returns what it has found, which the claim's evidence shows. `bdia verify` runs all of them; from Python, a few:

# %%
some = list(decide(["prop-1", "prop-2", "eq-33", "eq-32", "eq-61"]))
assert [d.kind for d in some] == [
    "proved",
    "formula right, text wrong",
    "formula right, text wrong",
    "unclear in our copy",
    "misprint",
]
Markdown(
    table(
        ["claim", "title", "what happened"],
        [(d.statement.id, d.statement.title, d.kind) for d in some],
    )
)

# %%
Markdown("> **Evidence of Proposition 2:** " + some[1].evidence)

# %% [markdown]
# ### A mutant, killed
#
# Who checks the checks? A check that returns "proved" whatever it is given looks the same as a proof. So every check
# declares *mutants*: the solver's own source with one piece replaced. A check must refuse each. Here are those of
# Proposition 1, with the step of the induction at which each one dies. The first is the solver that passed the round
# trip.

# %%
check = checks()["prop-1"]
results = [run_mutant(check, name) for name in check.mutants]
assert all(result.killed for result in results)
Markdown(table(["mutant", "killed by"], [(r.mutant, f"`{r.how}`") for r in results]))

# %% [markdown]
# The fifth is instructive. It changes $\gamma$ only from $i=9$ on, so that no run of eight slots would see it. The
# opaque index sees it at once: the step *compares* its index, hence it is not one step for every $i$, and an induction
# over it would be void.
#
# ### Misprints, exposed
#
# The same machinery holds the printed formulas against the program. Two of them:

# %%
misprinted = [statements()[key] for key in ("eq-32", "eq-61")]
Markdown(
    table(
        ["", "printed", "right"],
        [(s.source.split(",")[1], s.printed, s.right) for s in misprinted],
    )
)

# %% [markdown]
# Equation (61) is the backward line of CBDIA. As printed, $\alpha_{i-1}$ cancels and the state $\mathbf w_{i-1}$, here
# $z'_{i-1}$, drops out of the second line. This is the print as a step program, then the right one:

# %%
Math(step_latex(as_printed.MisprintedCBDIA()))

# %%
Math(step_latex(CBDIA()))

# %% [markdown]
# Both are invertible, on the same condition. Equation (32) is an identity, so "as printed" means to evaluate it;
# equation (61) is a step, so it means to sample with it.

# %%
wrong, right = as_printed.MisprintedCBDIA(), CBDIA()
assert str(invertibility(wrong)) == str(invertibility(right))
print("both are invertible where", invertibility(right))
shown = {key: as_printed.AS_PRINTED[key] for key in ("eq-32", "eq-61")}
errors = {key: reading.errors() for key, reading in shown.items()}
trip = both_sides(as_printed.MisprintedCBDIA(0, 1), 80)
print(
    f"(61) as printed, 80 steps: comes back to {trip.error:.1e}, and ends {trip.latent:.2f} from the exact flow"
)
assert trip.error < 1e-14 and trip.latent > 0.3

# %%
panels = [
    misprint(
        r.label,
        r.what,
        r.steps,
        {"as printed": errors[key][True], "right": errors[key][False]},
    )
    for key, r in shown.items()
]
Picture(
    draw(*panels, height=2.2),
    "Errors of equations (32) and (61), as printed and right, against the number of steps: only the right forms fall or are exact.",
)

# %% [markdown]
# The right (32) holds to rounding; as printed it is off by about the size of the state. The right (61) converges with
# order 2; as printed it stalls. And the round trip of the print is as perfect as that of the flipped sign.

# %%
floor, fallen = errors["eq-61"][True][-1], errors["eq-61"][False]
order = np.log2(fallen[-2] / fallen[-1])
print(
    f"(61) as printed stalls at {floor:.2f}; right: {fallen[-1]:.1e} at 320 steps, with order {order:.2f}"
)
assert floor > 0.3 and abs(order - 2) < 0.05
assert max(errors["eq-32"][False]) < 1e-14 and min(errors["eq-32"][True]) > 0.5

# %% [markdown]
# ### A second opinion: Coq
#
# What has to be trusted so far is sympy's simplifier, and the reader's eye on the induction. A proof kernel needs less:
# it accepts a proof term or it does not. The library prints the recorded step as a Coq definition,

# %%
from bdia_numerics.claims.coq.printer import steps as coq_steps

text = coq_steps()
begin = text.index("Definition bdia_step {F")
print(text[begin : text.index("Definition", begin + 10)])

# %% [markdown]
# and the theorems in `proofs/coq/` are about that definition, over any module over any field. The kernel is asked here
# for Proposition 2 alone, which takes seconds; `bdia verify --full` asks for all. Where `coqc` is not installed the
# verdict is `skipped`.

# %%
second = next(decide(["coq-prop-2"]))
assert second.verdict in ("proved", "skipped")
Markdown(f"> **{second.verdict}:** {second.evidence}")

# %% [markdown]
# ### Numbers that are theorems
#
# "BDIA with $\gamma=1$ is nearer to the exact solution than DDIM" is a statement about numbers. A run in floats decides
# it at one state. On balls (midpoints with radii that certainly contain the result in real arithmetic) the same program
# decides it on an interval: of this mixture, schedule and grid of ten slots,

# %%
mixture, ten = setting.law(), setting.grid(10)
better, ddim = BDIA(Fraction(1)), DDIM()
proved = analysis.certify_better(
    better, ddim, mixture, ten, (Fraction(1, 2), 3), factor=Fraction(1, 2)
)
refuted = analysis.certify_better(better, ddim, mixture, ten, (Fraction(-2), 2))
assert (proved.verdict, refuted.verdict) == ("proved", "refuted")
print(
    f"on [1/2, 3]: {proved.verdict} in {len(proved.pieces)} pieces: at most {proved.ratio:.3f} of DDIM's error"
)
where = refuted.witness
print(
    f"on [-2, 2]: {refuted.verdict} at z_N = {where.state[0]}, where the errors are"
)
print(f"    BDIA {where.error_a.str(8)}, DDIM {where.error_b.str(8)}")

# %% [markdown]
# The first line is a theorem with quantifier: *from every* $\mathbf z_N\in[\frac12,3]$, BDIA's error is below half of
# DDIM's. The second is its limit: from every state of $[-2,2]$ would be false. The enclosures show why. DDIM's error
# changes sign, so near its zero nothing beats it.

# %%
interval = (Fraction(-2), Fraction(3))
enclosed = {
    name: analysis.enclose_error(solver, mixture, ten, interval, radius=0.01)
    for name, solver in (("DDIM", ddim), ("BDIA, gamma = 1", better))
}
assert all(found.complete and found.radius <= 0.01 for found in enclosed.values())
Picture(
    enclosures.bands(enclosed),
    "Boxes that certainly contain the errors of DDIM and of BDIA over initial states from -2 to 3; DDIM's crosses zero near 0.",
)

# %% [markdown]
# ## What we found
#
# - A round trip proves invertibility and nothing else. A flipped sign and a misprinted (61) come back to rounding and
#   do not converge.
# - Propositions 1 and 2 hold, and are proved for every $N$ and every $\hat\epsilon$ on the class that samples. The
#   paper's conclusion (section 7) claims the symmetry of Proposition 2 without its condition; it needs $\gamma^2=1$.
# - (61) is misprinted: as printed it gives a scheme that is exactly invertible, costs the same and does not solve the ODE.
#   (32) has a minus sign for an arrow in our copy of the paper, which is harmless to a reader and exact when read right.
# - "BDIA beats DDIM" is a theorem on an interval of states, and false on a wider one. Without the interval it is no
#   statement.
#
# ## Exercises
#
# 1. **A premise that Proposition 2 does not use.** Replace the start (25) by half a DDIM step. Which of the two
#    propositions notices, and why?
# 2. **The other symmetric BDIA.** $\gamma-1/\gamma$ has two zeros. Verify that BDIA with $\gamma=-1$ is time-symmetric,
#    and say why nobody samples with it.
# 3. **The weights as averages.** For $\gamma\in(0,1)$ the two weights of a slot lie in $[0,1]$ and add to 1. Find their
#    limits for old slots, and deduce from them which fixed mixture of forward and backward increments BDIA is in the
#    long run.
# 4. **A sharper theorem.** On $[\frac12,3]$ the factor was $\frac12$. Is "a third of DDIM's error" true there? A
#    quarter? Let the library decide, and compare the price of the two proofs.
#
# ## Solutions
#
# **1.** Proposition 1 notices: its base $P(N-1)$ *is* the start. Proposition 2 speaks of one step and never asks how
# the run began; it has no such argument to pass a start to.

# %% tags=["hide-cell"]
half = mutate(DDIM, ("z + s.delta", "z + s.value(s.one / 2) * s.delta"))
try:
    checks()["prop-1"].run(starter=half)
    noticed = ""
except CheckFailed as error:
    noticed = str(error)
assert noticed == "the start does not add the first increment"
assert "starter" not in inspect.signature(checks()["prop-2"].run).parameters
print("Proposition 1:", noticed)

# %% [markdown]
# **2.** Every coefficient of the difference vanishes at $\gamma=-1$. But the parasitic root $-\gamma$ is then a second
# root 1: a double root on the unit circle. A perturbation grows linearly in the number of steps, and the method is not
# zero-stable.

# %% tags=["hide-cell"]
minus = BDIA(-1, allow_any=True)
assert set(asymmetry(minus).values()) == {0}
assert analysis.characteristic_polynomial(minus) == (zeta - 1) ** 2
verdict = analysis.zero_stability(minus)
assert verdict.stable is False
print("gamma = -1 is symmetric in time, and", verdict)

# %% [markdown]
# **3.** For $m\to\infty$ and $0<\gamma<1$ the power $(-\gamma)^m$ dies out, which leaves $A\to1/(1+\gamma)$ and
# $B\to\gamma/(1+\gamma)$. So BDIA is, in the long run, the $\theta$-method of its own states, with
# $\theta=\gamma/(1+\gamma)$: at most $\frac12$, the trapezoidal rule, which it reaches as $\gamma\to1$. Its error
# constant follows: that of the $\theta$-method is $\frac12-\theta=\frac12\cdot\frac{1-\gamma}{1+\gamma}$, DDIM's times
# the factor of chapter 4.

# %% tags=["hide-cell"]
decay = sympy.Symbol("p")
limits = [
    sympy.simplify(w(m, g).subs((-g) ** m, decay).subs(decay, 0)) for w in (A, B)
]
constant = analysis.symbolic_order(BDIA(g)).error_constant
assert sympy.simplify(limits[0] + limits[1] - 1) == 0
assert sympy.simplify(constant - (sympy.Rational(1, 2) - limits[1])) == 0
Math(
    rf"A\to{sympy.latex(limits[0])},\quad B\to{sympy.latex(limits[1])},\quad \tfrac12-\lim B={sympy.latex(constant)}"
)

# %% [markdown]
# **4.** A third is true, at the price of more pieces: the nearer a statement is to the truth's edge, the finer the
# interval must be cut. A quarter is false, and one state is enough to refute it.

# %% tags=["hide-cell"]
sharper = {
    f: analysis.certify_better(
        better, ddim, mixture, ten, (Fraction(1, 2), 3), factor=f
    )
    for f in (Fraction(1, 3), Fraction(1, 4))
}
for factor, found in sharper.items():
    print(
        f"{factor} of DDIM's error: {found.verdict}, {found.evaluated} pieces looked at"
    )
third, quarter = sharper.values()
assert (
    third.verdict == "proved"
    and third.ratio < 1 / 3
    and third.evaluated > proved.evaluated
)
assert (
    quarter.verdict == "refuted"
    and quarter.witness.error_a > quarter.witness.error_b / 4
)
