# %% [markdown]
# # 6. Proofs that run
#
# ## Question
#
# A paper proves theorems about a formula. A program is typed from the formula by hand, and tested. What do the theorems
# say about the program? And what does a passed test say about the formula?
#
# The usual test of an exactly invertible solver is the round trip: run it from noise to data and back, and compare. We
# apply it to BDIA of [the paper](https://arxiv.org/abs/2307.10829), and to BDIA with the sign of its backward increment
# flipped.

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
    enclosures as setting,
    formal,
    run_mutant,
    statements,
)
from bdia_numerics.claims.ledger import mutate
from bdia_numerics.formulas import number, table
from bdia_numerics.plots import Picture
from bdia_numerics.plots.orders import misprint
from bdia_numerics.plots.results import enclosures, figure
from bdia_numerics.plots.style import draw

law = problems.GaussianMixture([0.4, 0.6], [[-1.0], [1.5]], [0.1, 0.2])
vp = schedules.vp_linear()
noise = np.random.default_rng(0).standard_normal((50, 1))


def both_sides(solver, n):
    """Return a round trip from noise, with the error of its far end."""
    grid = grids.asinh(vp, n, t_min=0.001)
    return round_trip(solver, law.model(vp), grid, noise, reference=law)


# %%
Flipped = mutate(BDIA, ("- g * backward", "+ g * backward"))
trip = both_sides(Flipped(1), 80)
print(f"flipped: round-trip error {trip.error:.1e}, sample error {trip.latent:.2f}")

# %% tags=["hide-input"]
trips = {
    (name, n): both_sides(s(1), n)
    for name, s in (("BDIA", BDIA), ("sign flipped", Flipped))
    for n in (10, 20, 40, 80)
}
assert all(trip.error < 1e-14 for trip in trips.values())
assert trips["BDIA", 80].latent < 0.01 < 0.5 < trips["sign flipped", 80].latent
Markdown(
    table(
        ["solver", "steps", "round-trip error", "sample error"],
        [
            (name, n, number(trip.error), number(trip.latent))
            for (name, n), trip in trips.items()
        ],
    )
)

# %% [markdown]
# Both return up to rounding. One converges to the exact flow, and the other one solves no equation that anybody asked
# for. A round trip compares a map with its own inverse, so *every* invertible map passes, right or wrong. That the map
# is the right one must be shown in another way, and that is what proofs are for. This chapter runs them on the very
# class that was just sampled from.
#
# ## Derivation
#
# ### The text from which everything is read
#
# A solver is a class whose `step` is recorded once, as a straight line of assignments. This is all of BDIA:

# %%
print(inspect.getsource(BDIA.step))

# %% [markdown]
# What runs in floats, what is inverted, and what is proved below are interpretations of these lines. Recorded with
# symbols for $\alpha_i,\sigma_i,\gamma$ they print as eq. (26), with the coefficients of $\mathbf z_i$ and
# $\hat\epsilon$ collected:

# %%
Math(step_latex(BDIA()))

# %% [markdown]
# Reversed, with every assignment solved for the register that it overwrote, they print as eq. (33). The inverse divides
# by $\gamma$:

# %%
Math(inverse_latex(BDIA()))

# %% [markdown]
# The same reversal says when this is allowed, and refuses DDIM with its reason:

# %%
for solver in (BDIA(), DDIM()):
    print(f"{type(solver).__name__}: {invertibility(solver)}")

# %% [markdown]
# ### A network about which nothing is known
#
# A theorem about BDIA is a theorem for every $\hat\epsilon$. So the program must run on states that know nothing about
# $\hat\epsilon$. The *formal space* is the free module over the field of rational functions in
# $\alpha_i,\sigma_i,\gamma$. A state in it is a formal linear combination of basis elements. The value
# $\hat\epsilon(\mathbf v,t)$ is a new basis element for every new pair of an argument and a time. Two of them are the
# same element only if their arguments are the same combination. An identity in this space holds for every network,
# every state and every grid, because inserting them is a linear map out of the space.
#
# Proposition 1 does not even need the DDIM increment. With $\Delta(t_j\to t_k\mid\mathbf z_j)$ itself as a basis
# element, a run over four slots is one line:

# %%
g = sympy.Symbol("gamma", positive=True)
states, increment = formal.abstract_run(BDIA(g), DDIM(), 4)


# %% tags=["hide-input"]
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
# This proves the case $N=4$, $i=0$, and no other one. It shows a pattern: forward increments have the coefficients
# $1,\;1-\gamma,\;1-\gamma+\gamma^2,\dots$, and backward ones have minus $0,\;\gamma,\;\gamma-\gamma^2,\dots$ These are
# geometric sums in $-\gamma$, which is what Proposition 1 claims for every $N$ and every $i$.
#
# ### From four slots to every $N$
#
# For every $N$ one needs an induction, and an induction needs the step for *every* $i$ at once. The step is therefore
# recorded with an opaque index. It can be shifted by a number, and an attempt to compare it, or to compute with it,
# raises an error. The result is the relation between three states and two increments that holds in each slot:

# %%
older, newer, back, forth = formal.bdia_relation(BDIA, g)

# %% tags=["hide-input"]
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
Math(rf"A(m)={sympy.latex(A(m, g))},\qquad B(m)={sympy.latex(B(m, g))}")

# %% [markdown]
# $P(N)$ is empty, and $P(N-1)$ is the start (25). Put $P(k)$ and $P(k+1)$ into the relation. This gives $P(k-1)$ if the
# weights of every basis element agree, which means, with $m=j-k-1$,
#
# $$\gamma A(m)+(1-\gamma)A(m+1)=A(m+2),\qquad \gamma B(m)+(1-\gamma)B(m+1)=B(m+2)$$
#
# and, in the two newest slots, $(1-\gamma)A(1)=A(2)$, $\gamma+(1-\gamma)B(1)=B(2)$ and $1=A(1)$. The exponent $m$ stays
# a symbol, so each line is decided for every $m$ at once:

# %% tags=["hide-input"]
one, two = sympy.Integer(1), sympy.Integer(2)
assert (A(one, g), sympy.simplify(B(one, g))) == (1, 0)
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
# stands in one file, with statement, base and step: `proofs/test_proposition_1.py`.
#
# The weights obey a recurrence, which is the step itself without increments:
#
# $$A(m+2)-(1-\gamma)A(m+1)-\gamma A(m)=0.$$
#
# The library takes its characteristic polynomial from the same lines:

# %%
Math(sympy.latex(analysis.characteristic_polynomial(BDIA(g))))

# %% tags=["hide-cell"]
polynomial, zeta = (
    analysis.characteristic_polynomial(BDIA(g)),
    sympy.Symbol("zeta"),
)
assert sympy.expand(polynomial - (zeta**2 - newer * zeta - older)) == 0

# %% [markdown]
# The root $1$ carries the solution. The parasitic root $-\gamma$ is the reason why the weights are powers of $-\gamma$,
# why they alternate for ever at $\gamma=1$, and why the inverse, whose root is $-1/\gamma$, amplifies rounding. The
# growth of [chapter 5](05_stability_and_rounding.py) and the bits that are lost in
# [chapter 9](09_bit_exact_inversion.py) go back to this one factor.
#
# ### Proposition 2, by exchanging two symbols
#
# > **Proposition 2.** Exchanging $(t_{i-1},\mathbf z_{i-1})$ and $(t_{i+1},\mathbf z_{i+1})$ in the step at $\gamma=1$
# > gives its inverse, and vice versa.
#
# To decide it, run one step and one undone step in the formal space, on the grid points $2,1,0$ for $i+1,i,i-1$, and
# exchange the outer symbols. The element $\hat\epsilon(\mathbf z_1,t_1)$ stands in the middle and stays.

# %%
p = formal.Formal(2)
z2, z1, z0 = formal.vectors("z_2", "z_1", "z_0")
step = p.step(BDIA(g), {"z_prev": z2, "z": z1})["z"]
undone = p.undo(BDIA(g), {"z_prev": z1, "z": z0})["z_prev"]


# %% tags=["hide-input"]
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
    """Return the difference of the exchanged step and the derived inverse, by coefficient."""
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
# A line has the difference of the exchanged step and the inverse, in the coefficients of $\mathbf z_{i-1}$,
# $\mathbf z_i$ and $\hat\epsilon$. For any $\gamma$ they are $\gamma-1/\gamma$ times $1$, $-a_i$ and $-b_i$. So the
# difference is that factor times the distance of $\mathbf z_{i-1}$ from the DDIM successor of $\mathbf z_i$.
#
# The symmetry therefore holds where $\gamma^2=1$, which within $[0,1]$ is $\gamma=1$ alone. Section 7 of the paper
# calls the step "symmetric in time" without that condition, and the ledger says so.
#
# ## Experiment
#
# ### The ledger decides
#
# What was done by hand above is a *check* of the [ledger](../docs/ledger.md). A check is a function that takes the
# imported solver, raises an error if the claim fails, and returns the evidence. `bdia verify` runs all of them. From
# Python one can run a few of them:

# %%
some = list(decide(["prop-1", "prop-2", "eq-33", "eq-32", "eq-61"]))

# %% tags=["hide-input"]
assert [d.kind for d in some] == [
    "proved",
    "formula right, text wrong",
    "formula right, text wrong",
    "unclear in our copy",
    "misprint",
]
Markdown(
    table(
        ["claim", "title", "verdict"],
        [(d.statement.id, d.statement.title, d.kind) for d in some],
    )
)

# %% tags=["hide-input"]
Markdown("> **Evidence of Proposition 2:** " + some[1].evidence)

# %% [markdown]
# ### A planted error, found
#
# Who checks the checks? A check that returns "proved" whatever it is given looks the same as a proof. So every check
# declares *mutants*, which are the solver's own source with one piece replaced, and it must refuse each of them. Here
# are those of Proposition 1, with the step of the induction at which each one is refused. The first is the solver that
# passed the round trip.

# %%
check = checks()["prop-1"]
results = [run_mutant(check, name) for name in check.mutants]

# %% tags=["hide-input"]
assert all(result.killed for result in results)
Markdown(table(["mutant", "refused by"], [(r.mutant, f"`{r.how}`") for r in results]))

# %% [markdown]
# The fifth is instructive. It changes $\gamma$ only from $i=9$ on, so a run of eight slots would not show it. The
# opaque index shows it at once. The step *compares* its index, so it is not one step for every $i$, and an induction
# over it would be void.
#
# ### Misprints, exposed
#
# The same machinery compares the printed formulas with the program. Two that differ are (61), a misprint, and (32), whose
# missing arrow may be a fault of our copy of the paper:

# %% tags=["hide-input"]
misprinted = [statements()[key] for key in ("eq-32", "eq-61")]
Markdown(
    table(
        ["", "printed", "right"],
        [(s.source.split(",")[1], s.printed, s.right) for s in misprinted],
    )
)

# %% [markdown]
# Equation (61) is the backward line of CBDIA. As printed, $\alpha_{i-1}$ cancels, and the state $\mathbf w_{i-1}$, here
# $z'_{i-1}$, drops out of the second line. The published text as a step program prints as follows:

# %%
Math(step_latex(as_printed.MisprintedCBDIA()))

# %% [markdown]
# The right form is this one:

# %%
Math(step_latex(CBDIA()))

# %% [markdown]
# Both are invertible, on the same condition. Equation (32) is an identity, so we evaluate it as printed. Equation (61)
# is a step, so we sample with it as printed.

# %%
trip = both_sides(as_printed.MisprintedCBDIA(0, 1), 80)
print(
    f"(61) as printed: round-trip error {trip.error:.1e}, sample error {trip.latent:.2f}"
)

# %% tags=["hide-input"]
wrong, right = as_printed.MisprintedCBDIA(), CBDIA()
assert str(invertibility(wrong)) == str(invertibility(right))
assert trip.error < 1e-14 and trip.latent > 0.3
shown = {key: as_printed.AS_PRINTED[key] for key in ("eq-32", "eq-61")}
errors = {key: reading.errors() for key, reading in shown.items()}
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
    draw(*panels, height=2.4),
    "Errors of equations (32) and (61), as printed and right, against the number of steps: only the right forms fall or are exact.",
)

# %% [markdown]
# *Figure 6.1. Two formulas of the paper are evaluated as printed and as they are right. On the left, the right (32)
# holds up to rounding, and as printed its error is about the size of the state. On the right, the right (61) converges
# with order 2, and as printed its error does not fall below a limit. The round trip of the printed (61) is as perfect
# as that of the flipped sign.*

# %% tags=["hide-cell"]
floor, fallen = errors["eq-61"][True][-1], errors["eq-61"][False]
order = np.log2(fallen[-2] / fallen[-1])
print(
    f"(61) as printed stays at {floor:.2f}; right: {fallen[-1]:.1e} at 320 steps, with order {order:.2f}"
)
assert floor > 0.3 and abs(order - 2) < 0.05
assert max(errors["eq-32"][False]) < 1e-14 and min(errors["eq-32"][True]) > 0.5

# %% [markdown]
# ### A second opinion: Coq
#
# So far one has to trust sympy's simplifier, and the reader's eye on the induction. A proof kernel such as that of
# [Coq](https://rocq-prover.org) needs less trust, because it accepts a proof term or does not. The library prints the
# recorded step as a Coq definition:

# %% tags=["hide-input"]
from bdia_numerics.claims.coq.printer import steps as coq_steps

text = coq_steps()
begin = text.index("Definition bdia_step {F")
print(text[begin : text.index("Definition", begin + 10)])

# %% [markdown]
# The theorems in `proofs/coq/` are about that definition, over any module over any field. Here the kernel checks
# Proposition 2 alone, which takes seconds. `bdia verify --full` has all of them checked. Where `coqc` is not installed,
# the verdict is `skipped`.

# %%
second = next(decide(["coq-prop-2"]))
Markdown(f"> **{second.verdict}:** {second.evidence}")

# %% tags=["hide-cell"]
assert second.verdict in ("proved", "skipped")

# %% [markdown]
# ### Numbers that are theorems
#
# "BDIA with $\gamma=1$ is nearer to the exact solution than DDIM" is a statement about numbers. A run in floats decides
# it at one state. Balls are midpoints with radii that certainly contain the result in real arithmetic
# ([Johansson, 2017](https://arxiv.org/abs/1611.02831)). On balls the same program decides the statement on a whole
# interval of states, for one mixture, schedule and grid of ten slots:

# %%
mixture, ten = setting.law(), setting.grid(10)
better, ddim, wide = BDIA(Fraction(1)), DDIM(), (Fraction(1, 2), 3)
proved = analysis.certify_better(
    better, ddim, mixture, ten, wide, factor=Fraction(1, 2)
)
refuted = analysis.certify_better(better, ddim, mixture, ten, (Fraction(-2), 2))

# %% tags=["hide-input"]
assert (proved.verdict, refuted.verdict) == ("proved", "refuted")
print(
    f"half of DDIM's error on [1/2, 3]: {proved.verdict} in {len(proved.pieces)} pieces, ratio at most {proved.ratio:.3f}"
)
where = refuted.witness
print(
    f"less than DDIM's error on [-2, 2]: {refuted.verdict} at z_N = {where.state[0]}, where the errors are"
)
print(f"    BDIA {where.error_a.str(8)}, DDIM {where.error_b.str(8)}")

# %% [markdown]
# The first line is a theorem with a quantifier: *from every* $\mathbf z_N\in[\frac12,3]$, BDIA's error is below half of
# DDIM's. The second line is its limit: "from every $\mathbf z_N\in[-2,2]$" is false. The enclosures show why:

# %% tags=["hide-input"]
interval = (Fraction(-2), Fraction(3))
enclosed = {
    name: analysis.enclose_error(solver, mixture, ten, interval, radius=0.01)
    for name, solver in (("DDIM", ddim), ("BDIA, γ = 1", better))
}
assert all(found.complete and found.radius <= 0.01 for found in enclosed.values())
Picture(
    figure(enclosed, enclosures),
    "Boxes that certainly contain the errors of DDIM and of BDIA over initial states from -2 to 3; DDIM's crosses zero near 0.",
)

# %% [markdown]
# *Figure 6.2. The boxes certainly contain the errors at ten steps, over the initial state $z_N$. DDIM's error changes
# its sign near 0, and next to its zero no solver has a smaller error.*
#
# ## What we found
#
# - A round trip proves invertibility and nothing else. A flipped sign and a misprinted (61) return up to rounding, and
#   do not converge.
# - Propositions 1 and 2 hold, and are proved for every $N$ and every $\hat\epsilon$ on the class that samples. Section
#   7 of the paper claims the symmetry of Proposition 2 without its condition, $\gamma^2=1$.
# - (61) is misprinted. As printed it gives a scheme that is exactly invertible, costs the same, and does not solve the
#   ODE. (32) has a minus sign for an arrow in our copy of the paper, which is harmless to a reader.
# - "BDIA beats DDIM" is a theorem on one interval of states, and false on a wider one. Without the interval it has no
#   meaning.
#
# ## Exercises
#
# 1. **Warm-up.** Replace the start (25) by half a DDIM step. Which of the two propositions fails, and why?
# 2. **Warm-up.** $\gamma-1/\gamma$ has two zeros. Verify that BDIA with $\gamma=-1$ is symmetric in time, and say why
#    nobody samples with it.
# 3. **Standard.** For $\gamma\in(0,1)$ the two weights of a slot lie in $[0,1]$ and add to 1. Find their limits for old
#    slots. Deduce which fixed mixture of forward and backward increments BDIA is in the long run.
# 4. **Standard.** On $[\frac12,3]$ the factor was $\frac12$. Is "a third of DDIM's error" true there? A quarter? Let
#    the library decide, and compare the price of the two proofs.
# 5. **Research.** Certify that BDIA is better than DDIM on *most* of the mass of the initial distribution, for a
#    statement such as "with probability at least 0.9". Which parts of the proof are new?
#
# ## Solutions
#
# <details><summary>Solution of exercise 1</summary>
#
# Proposition 1 fails, because its base $P(N-1)$ *is* the start. Proposition 2 speaks of one step and never mentions how
# the run began, so its check has no argument to which a start could be passed.
#
# </details>

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
# <details><summary>Solution of exercise 2</summary>
#
# Every coefficient of the difference vanishes at $\gamma=-1$. But the parasitic root $-\gamma$ is then a second root 1,
# a double root on the unit circle. A perturbation grows linearly in the number of steps, and the method is not
# zero-stable (chapter 5).
#
# </details>

# %% tags=["hide-cell"]
minus = BDIA(-1, allow_any=True)
assert set(asymmetry(minus).values()) == {0}
assert analysis.characteristic_polynomial(minus) == (zeta - 1) ** 2
verdict = analysis.zero_stability(minus)
assert verdict.stable is False
print("gamma = -1 is symmetric in time, and", verdict)

# %% [markdown]
# <details><summary>Solution of exercise 3</summary>
#
# For $m\to\infty$ and $0<\gamma<1$ the power $(-\gamma)^m$ tends to 0, which leaves $A\to1/(1+\gamma)$ and
# $B\to\gamma/(1+\gamma)$. So BDIA is, in the long run, the $\theta$-method of its own states with
# $\theta=\gamma/(1+\gamma)$. This is at most $\frac12$, the trapezoidal rule, which it reaches as $\gamma\to1$. The
# error constant follows: that of the $\theta$-method is $\frac12-\theta=\frac12\cdot\frac{1-\gamma}{1+\gamma}$, which
# is DDIM's times the factor of [chapter 4](04_order_and_error_constants.py).
#
# </details>

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
# <details><summary>Solution of exercise 4</summary>
#
# A third is true, at the price of more pieces: the nearer a statement is to the edge of the truth, the finer the
# interval must be cut. A quarter is false, and one state is enough to refute it.
#
# </details>

# %% tags=["hide-cell"]
sharper = {
    f: analysis.certify_better(better, ddim, mixture, ten, wide, factor=f)
    for f in (Fraction(1, 3), Fraction(1, 4))
}
for factor, found in sharper.items():
    print(f"{factor} of DDIM's error: {found.verdict}; pieces: {found.evaluated}")
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

# %% [markdown]
# <details><summary>First steps on exercise 5</summary>
#
# `certify_better` returns its pieces. On pieces that it can neither prove nor refute it gives up, and the mass of these
# is a rigorous upper bound of what is unknown. Enclosing the mass of an interval needs the error function on balls,
# which python-flint has. What is new is a cover of the real line up to a tail whose mass is bounded, and a rule that
# spends pieces where mass is.
#
# </details>
#
# ## Further reading
#
# - The method is ordinary: [Moore, Kearfott and Cloud (2009)](https://doi.org/10.1137/1.9780898717716) introduce
#   interval analysis, and [Tucker (2011)](https://press.princeton.edu/books/hardcover/9780691147819/validated-numerics)
#   proves theorems with it.
# - [Misprints](../docs/findings/misprints.md), [Coq](../docs/findings/coq.md) and
#   [enclosures](../docs/findings/enclosures.md) are the findings behind this chapter.
# - [Add a claim](../docs/add-a-claim.md) shows how a statement, its check and its mutants are written. The functions
#   are in [`claims`](../docs/api/claims.md).
