# %% [markdown]
# # 9. Bit-exact inversion
#
# ## Question
#
# The paper calls its inverse exact "up to floating point error". How large is that error, and what does it depend on?
# Can it be zero: every bit of the state back, after hundreds of steps, with a network in between of which nothing is
# known? And what does that cost, in bits, in accuracy and in time?

# %% tags=["hide-input"]
import tempfile
import time
from fractions import Fraction
from itertools import product
from pathlib import Path

import numpy as np
import sympy
from IPython.display import Markdown, Math

from bdia_numerics import (
    BDIA,
    CBDIA,
    EDICT,
    OBELM,
    State,
    encode,
    grids,
    inverse_latex,
    invert,
    problems,
    schedules,
    solve,
    step_latex,
)
from bdia_numerics.analysis import step_determinants
from bdia_numerics.formulas import number, table
from bdia_numerics.plots import Picture
from bdia_numerics.plots.style import Panel, draw
from bdia_numerics.runs.encoding import bit_exact_round_trip
from bdia_numerics.spaces import Lattice, kernel
from bdia_numerics.spaces.lattice import bits_per_element

law = problems.GaussianMixture([0.3, 0.7], [[-2.0, 0.0], [1.0, 1.0]], [0.1, 0.2])
vp = schedules.vp_linear()
model = law.model(vp)
noise = np.random.default_rng(0).standard_normal((200, 2))


def grid(n):
    """Return n slots, equal in t."""
    return grids.uniform(vp, n, t_max=1.0, t_min=0.01)


# %% [markdown]
# In floats first. The same noise goes to the data end and back, by the derived inverse:

# %%
steps = (10, 25, 50, 100, 200)
floats = {
    "gamma 1": BDIA(1),
    "gamma 9/10": BDIA(Fraction(9, 10)),
    "gamma 1/2": BDIA(Fraction(1, 2)),
}
errors, untouched = {}, {}
for (name, solver), dtype in product(floats.items(), (np.float64, np.float32)):
    z = noise.astype(dtype)
    with np.errstate(over="ignore", invalid="ignore"):
        back = [
            invert(solver, model, grid(n), solve(solver, model, grid(n), z).state).z
            for n in steps
        ]
    label = f"{name}, {np.dtype(dtype).name}"
    errors[label] = [float(np.abs(b - z).max()) for b in back]
    untouched[label] = float(np.mean(back[-1] == z))
print("elements that come back with every bit after 200 steps:")
for label in list(errors)[::2]:
    print(f"    {label}: {untouched[label]:.1%}")
in_float64 = {label: e for label, e in errors.items() if "float64" in label}
assert (
    max(in_float64["gamma 1, float64"]) < 1e-13
    and in_float64["gamma 1/2, float64"][-1] > 1e6
)
assert untouched["gamma 1, float64"] < 0.2
shown = {
    label: (steps, np.where(np.isfinite(e), e, np.nan)) for label, e in errors.items()
}
panel = Panel(
    "steps N",
    "largest error of the noise",
    shown,
    log="y",
    limits=(1e-16, 1e14),
    ticks=steps,
)
Picture(
    draw(panel),
    "Round-trip error against steps, logarithmic: flat near rounding for gamma 1, growing geometrically for smaller gamma, faster for 1/2.",
)

# %% [markdown]
# At $\gamma=1$ the error stays near rounding, and yet few elements come back unchanged. At $\gamma=\frac12$ nothing
# comes back at all beyond some 50 steps: the inverse multiplies its rounding by $1/\gamma$ in every step. "Exact up to
# floating point error" is an empty promise without $N$ and $\gamma$.
#
# ## Derivation
#
# ### Why a float sum cannot be undone
#
# The step and its inverse, printed from the program, with one increment each:

# %%
Math(step_latex(BDIA(1), symbols=False, exploding=True))

# %%
Math(inverse_latex(BDIA(1), symbols=False, exploding=True))

# %% [markdown]
# Both use the *same* $\hat\epsilon(\mathbf z_i)$, from the same bits. The increment $d$ is therefore the same number
# both ways, and only $(x+d)-d=x$ is asked. In floats this is false: the sum is rounded to the grid of its own exponent,
# and low bits of $x$ fall off.

# %%
x, d = 0.1, 3.0
print(f"(0.1 + 3.0) - 3.0 = {(x + d) - d!r}")
rng = np.random.default_rng(1)
x, d = rng.standard_normal(100_000), rng.standard_normal(100_000)
kept = float(np.mean((x + d) - d == x))
print(f"of {x.size:,} pairs of normal numbers {kept:.0%} satisfy (x + d) - d = x")
assert (0.1 + 3.0) - 3.0 != 0.1 and 0.3 < kept < 0.9

# %% [markdown]
# On integers it is true, always. Let a state be an integer $X$ in units of $2^{-b}$, and
#
# $$X\leftarrow X+\operatorname{round}(2^b d),\qquad d\ \text{computed in floats from the other registers.}$$
#
# How accurate $d$ is does not matter: it is the same function of the same numbers on the way back, and it is subtracted
# exactly. This is fixed-point arithmetic for the register and floating point for everything else.
#
# ### The own coefficient, and the bits that it drops
#
# For $\gamma=1$ that is all. For $\gamma<1$ the register is also multiplied by $\gamma$:

# %%
Math(step_latex(BDIA(), exploding=True))

# %% [markdown]
# Multiplication by $\gamma<1$ maps the integers into fewer integers. It *cannot* be undone: pigeons and holes. How much
# is lost is said by the determinant of the step on states of one coordinate, which the library reads from the program,
# without any model:

# %%
symbolic = grids.symbolic(3)
gamma, p = sympy.symbols("gamma p", positive=True)
found = {
    "BDIA": BDIA(gamma),
    "EDICT": EDICT(p),
    "CBDIA": CBDIA(*sympy.symbols("gamma_1 gamma_2")),
}
rows = [
    (name, f"${sympy.latex(sympy.factor(step_determinants(s, symbolic)[-1]))}$")
    for name, s in found.items()
]
assert step_determinants(BDIA(gamma), symbolic)[-1] == -gamma
Markdown(table(["solver", "determinant of the last step"], rows))

# %% [markdown]
# Volume shrinks by $|\det|$ a step, so a reversible run on a lattice has to keep at least $\log_2(1/|\det|)$ bits of
# each element and step elsewhere. For BDIA this is $\log_2(1/\gamma)$: nothing for $\gamma=1$, a bit for
# $\gamma=\frac12$. EDICT's $\alpha$ belong to the change of units from $\mathbf z$ to $\mathbf y=\mathbf z/\alpha$; in
# $\mathbf y$ its determinant is $p^2$.
#
# ### A contraction that loses nothing
#
# Let $\gamma=p/q$. Divide with remainder, $X=qX'+r$; keep the digit $r$ by pushing it on a stack of digits, and fill
# the room that the product $pX'$ leaves, a digit $0\le s<p$, by *popping* from the stack:
#
# $$B\leftarrow qB+r,\qquad s=B\bmod p,\quad B\leftarrow\lfloor B/p\rfloor,\qquad X\leftarrow pX'+s.$$
#
# The stack $B$ is one integer for each element, the *remainder buffer* (Maclaurin, Duvenaud and Adams, 2015). In Python
# integers, without limit of length:


# %%
def contract(x, b, p, q):
    """Take (x, b) to about (x p/q, b q/p), one to one."""
    quotient, digit = divmod(x, q)
    b, popped = divmod(q * b + digit, p)
    return p * quotient + popped, b


pairs = [(x, b) for x in range(-60, 60) for b in range(40)]
images = {contract(x, b, 9, 10) for x, b in pairs}
assert len(images) == len(pairs)  # no two pairs meet
assert all(
    contract(*contract(x, b, 9, 10), 10, 9) == (x, b) for x, b in pairs
)  # q/p undoes p/q
x, b = contract(1234, 5, 9, 10)
print(
    f"contract(1234, 5) by 9/10 = {(x, b)}; undone: {contract(x, b, 10, 9)}; 1234 * 9/10 = {1234 * 9 / 10}"
)

# %% [markdown]
# The contraction by $q/p$ is its inverse, and $X$ is moved by less than $\max(p,q)$ units from $\gamma X$. The
# library's array kernel does the same for int64 arrays:

# %%
xs, head = np.arange(-50, 50) * 1237, np.arange(100)
out = np.empty_like(xs)
expected = [contract(int(x), int(b), 9, 10) for x, b in zip(xs, head, strict=True)]
kernel.assign(xs, out, (9, 10), [], [], head, bound=10**6, undo=False)
assert [(int(x), int(b)) for x, b in zip(out, head, strict=True)] == expected

# %% [markdown]
# ## Experiment
#
# ### Every bit, for any number of steps
#
# `Lattice.from_float` makes the integers; `solve` and `invert` are the functions of every other chapter, and the
# inverse is derived in the same way.

# %%
solvers = {
    "BDIA, 1": BDIA(1),
    "BDIA, 9/10": BDIA(Fraction(9, 10)),
    "BDIA, 1/2": BDIA(Fraction(1, 2)),
    "EDICT, 93/100": EDICT(Fraction(93, 100)),
    "O-BELM": OBELM(),
}
trips = {
    (name, n): bit_exact_round_trip(solver, model, grid(n), noise, bits=40)
    for name, solver in solvers.items()
    for n in (10, 50, 200)
}
assert all(
    t.status.ok and t.differing_bits == 0 and not t.unsteady for t in trips.values()
)
Markdown(
    table(
        ["solver", "steps", "bits that differ", "buffer, bits an element", "bound"],
        [
            (name, n, t.differing_bits, f"{t.buffer_bits:.0f}", f"{t.bound_bits:.2f}")
            for (name, n), t in trips.items()
        ],
    )
)

# %% [markdown]
# No bit differs, where floats lost everything. The buffer keeps a few bits more than the bound $\sum\log_2(1/|\det|)$;
# the difference does not grow:

# %%
longer = (25, 50, 75, 100, 125, 150, 175, 200)
sizes = {}
for name in ("BDIA, 9/10", "BDIA, 1/2", "EDICT, 93/100"):
    start = Lattice.from_float(noise, bits=40)
    ends = [solve(solvers[name], model, grid(n), start).state for n in longer]
    sizes[name] = [bits_per_element(end.remainder) for end in ends]
    assert all(bound <= size <= 1.01 * bound + 8 for size, bound in sizes[name])
half = [bound for _, bound in sizes["BDIA, 1/2"]]
assert np.allclose(half, [n - 1 for n in longer])  # the start contracts nothing
curves = {
    name: (longer, [size for size, _ in found]) for name, found in sizes.items()
}
bounds = {
    f"bound of {name}": (longer, [bound for _, bound in found])
    for name, found in sizes.items()
}
Picture(
    draw(Panel("steps N", "bits an element", curves, bounds)),
    "Size of the remainder buffer against steps for three solvers, each along its bound, a straight line.",
)

# %% [markdown]
# The buffer is part of the `State`. A run may be written to a file, read by another process, and undone there:

# %%
solver, sent = solvers["BDIA, 9/10"], Lattice.from_float(noise, bits=40)
there = solve(solver, model, grid(100), sent)
with tempfile.TemporaryDirectory() as folder:
    path = Path(folder) / "state.npz"
    there.state.save(path)
    back = invert(solver, model, grid(100), State.load(path))
print("bits that differ after a file:", back.z.differing_bits(sent))
assert back.z.differing_bits(sent) == 0

# %% [markdown]
# ### From data
#
# `encode` begins with data, no run before it, so the buffer is empty; then it gives zeros without end, and the way back
# is exact all the same. But the inverse of a small $\gamma$ *expands*, and 60 bits have an end. A run that leaves the
# range says so, and where:

# %%
images = Lattice.from_float(law.sample(200, rng), bits=40)
rows = []
for name in ("BDIA, 1", "BDIA, 9/10", "BDIA, 1/2"):
    for n in (10, 50):
        latent = encode(solvers[name], model, grid(n), images)
        largest = differing = "-"
        if latent.status.ok:
            largest = number(float(np.abs(latent.z.to_float()).max()))
            differing = solve(
                solvers[name], model, grid(n), latent.state
            ).z.differing_bits(images)
            assert differing == 0
        rows.append((name, n, str(latent.status), largest, differing))
assert [row[2] for row in rows].count("ok") == 5
Markdown(
    table(["solver", "steps", "status", "largest latent", "bits that differ"], rows)
)

# %% [markdown]
# A latent of size 260 is not noise, and exact as it may be, it is of no use for editing. Bit-exactness says that a run
# *returns*; chapter 5 says where it goes.
#
# ### The price in accuracy
#
# Rounding the increment moves a state by at most half a unit; a contraction by less than $q$ units. The run then treats
# these as it treats any perturbation. Against the float run the data end moves with the unit:

# %%
fineness = (16, 24, 32, 40)
moved = {
    b: bit_exact_round_trip(solvers["BDIA, 9/10"], model, grid(50), noise, bits=b)
    for b in fineness
}
in_units = [t.distance / t.unit for t in moved.values()]
rows = [
    (b, number(t.unit), number(t.distance), f"{u:.0f}")
    for (b, t), u in zip(moved.items(), in_units, strict=True)
]
assert max(in_units) < 2000 and moved[40].distance < 1e-8
Markdown(
    table(["bits b", "unit", "largest distance from the float run", "in units"], rows)
)

# %% [markdown]
# ### The price in time and memory
#
# The arithmetic alone, with a model that costs nothing, on a million elements; then the file of a state beside that of
# its float run:

# %%
large = rng.standard_normal((500_000, 2))
short = grid(10)


def seconds(state, solver):
    """Return the least processor time of three runs."""
    taken = []
    for _ in range(3):
        begin = time.process_time()
        solve(solver, lambda z, t: z, short, state)
        taken.append(time.process_time() - begin)
    return min(taken)


on_lattice = Lattice.from_float(large, bits=40)
rows = []
for name in ("BDIA, 1", "BDIA, 9/10", "EDICT, 93/100"):
    ratio = seconds(on_lattice, solvers[name]) / seconds(large, solvers[name])
    rows.append((name, f"{ratio:.1f}"))
    assert ratio < 10
Markdown(table(["solver", "time over that of floats"], rows))

# %%
with tempfile.TemporaryDirectory() as folder:
    kept = {}
    for name, start in (("floats", noise), ("lattice", sent)):
        path = Path(folder) / f"{name}.npz"
        solve(solver, model, grid(200), start).state.save(path)
        kept[name] = path.stat().st_size
print(
    f"gamma 9/10, 200 steps: {kept['floats']:,} bytes in floats, {kept['lattice']:,} on the lattice"
)
assert kept["floats"] < kept["lattice"] < 2 * kept["floats"]

# %% [markdown]
# ### What it rests on
#
# On one thing: the model must give the same bits for the same input. Here is one whose output depends on how often it
# was called, by one unit in the last place:


# %%
class Restless:
    """The exact model, with the last bit of every output moved after the hundredth call."""

    def __init__(self):
        self.calls = 0

    def __call__(self, z, t):
        self.calls += 1
        output = model(z, t)
        return output if self.calls <= 100 else np.nextafter(output, np.inf)


trip = bit_exact_round_trip(solvers["BDIA, 1"], Restless(), grid(60), noise, bits=50)
print(f"{trip.differing_bits} bits differ; {trip.unsteady}")
assert trip.differing_bits > 0 and trip.unsteady

# %% [markdown]
# One bit of an output is as bad as any other: from that slot on the states are others. The trip names the time at which
# one input gave two outputs. Dropout, atomic additions on a GPU and another batch size are models of this kind.
#
# ## What we found
#
# - "Exact up to floating point error" holds for few steps or $\gamma=1$. At $\gamma=\frac12$ the float inverse has lost
#   everything by 200 steps, and most of it by 50.
# - Exactness to the bit needs neither a better network nor more precision, but integers for the registers and the same
#   floats twice for the increments.
# - It costs $\log_2(1/\gamma)$ bits an element and step, which no method can avoid; $\gamma=1$ and O-BELM lose next to
#   nothing.
# - What returns every bit may still be a useless latent.
#
# ## Exercises
#
# 1. **Pigeons and holes.** Without a buffer, $X\mapsto\operatorname{round}(\gamma X)$ on $0,\dots,M-1$: which share of
#    the integers shares its image with another one at $\gamma=\frac9{10}$? How many bits does it take, at least, to
#    tell them apart?
# 2. **Free of charge.** Which settings of CBDIA and EDICT need no buffer? Decide it with determinants, then look.
# 3. **Why the increment may be sloppy.** Give the lattice run a model in float32. Is it still exact to the bit?
#
# ## Solutions
#
# **1.** $M$ integers fall into about $\gamma M$ images, so about $(1-\gamma)M$ images hold two, and
# $2(1-\gamma)=\frac15$ of the integers have a twin. To tell $M$ from $\gamma M$ takes $\log_2(1/\gamma)$ bits on
# average: the bound.

# %% tags=["hide-cell"]
count = 100_000
image = np.rint(0.9 * np.arange(count)).astype(int)
_, multiplicity = np.unique(image, return_counts=True)
twins = 2 * np.sum(multiplicity == 2) / count
print(
    f"{twins:.3f} of the integers have a twin; {np.log2(count / multiplicity.size):.4f} bits, log2(10/9) = {np.log2(10 / 9):.4f}"
)
assert (
    abs(twins - 0.2) < 1e-3
    and abs(np.log2(count / multiplicity.size) - np.log2(10 / 9)) < 1e-4
)

# %% [markdown]
# **2.** The determinants are $\pm(\gamma_1-\gamma_2)$ and, in $\mathbf y$, $p^2$: modulus 1 for $(0,1)$, $(1,0)$ and
# $p=1$.

# %% tags=["hide-cell"]
free = {
    "CBDIA (0, 1)": CBDIA(0, 1),
    "CBDIA (1, 0)": CBDIA(1, 0),
    "EDICT, p = 1": EDICT(1),
}
costly = {"CBDIA (3/4, 1/4)": CBDIA(Fraction(3, 4), Fraction(1, 4))}
for name, candidate in {**free, **costly}.items():
    trip = bit_exact_round_trip(candidate, model, grid(30), noise)
    print(
        f"{name}: {trip.differing_bits} bits differ, buffer {trip.buffer_bits:.0f}, bound {trip.bound_bits:.1f}"
    )
    assert trip.differing_bits == 0 and (trip.buffer_bits == 0) == (name in free)

# %% [markdown]
# **3.** Yes. A float32 model repeats itself as well as a float64 one. The samples are those of the float32 model, and
# every bit of the noise returns.

# %% tags=["hide-cell"]
coarse = bit_exact_round_trip(
    solvers["BDIA, 9/10"], model, grid(100), noise.astype(np.float32), bits=40
)
print(
    f"bits that differ: {coarse.differing_bits}; distance from the run in float32: {coarse.distance:.1e}"
)
assert coarse.differing_bits == 0
