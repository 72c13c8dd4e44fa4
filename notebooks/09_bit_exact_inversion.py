# %% [markdown]
# # 9. Bit-exact inversion
#
# ## Question
#
# [The paper](https://arxiv.org/abs/2307.10829) calls its inverse exact "up to floating point error". How large is that
# error, and on what does it depend? Can it be zero: every bit of the state back, after hundreds of steps, with a
# network in between about which nothing is known? And what does that cost, in bits, in accuracy and in time?

# %% tags=["hide-input"]
import tempfile
import time
from fractions import Fraction
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
# We begin with floats. The same noise goes to the data end and back, by the derived inverse:

# %%
there = solve(BDIA(1), model, grid(200), noise)
back = invert(BDIA(1), model, grid(200), there.state).z
print(f"largest error {np.abs(back - noise).max():.1e}")
print(f"elements with every bit: {np.mean(back == noise):.1%}")

# %% tags=["hide-input"]
steps = (10, 25, 50, 100, 200)
floats = {
    "BDIA, γ = 1": BDIA(1),
    "BDIA, γ = 0.9": BDIA(Fraction(9, 10)),
    "BDIA, γ = 1/2": BDIA(Fraction(1, 2)),
}
assert np.mean(back == noise) < 0.2
panels, largest = [], {}
for dtype in (np.float64, np.float32):
    z, curves = noise.astype(dtype), {}
    for name, solver in floats.items():
        with np.errstate(over="ignore", invalid="ignore"):
            back = [
                invert(
                    solver, model, grid(n), solve(solver, model, grid(n), z).state
                ).z
                for n in steps
            ]
        errors = np.array([float(np.abs(b - z).max()) for b in back])
        curves[name] = steps, np.where(errors < 1e12, errors, np.nan)
        largest[name, np.dtype(dtype).name] = errors
    panels.append(
        Panel(
            "steps N",
            "largest error of the noise",
            curves,
            {"size of the noise": (steps, [1] * len(steps))},
            np.dtype(dtype).name,
            "y",
            (1e-16, 1e12),
            steps,
        )
    )
assert max(largest["BDIA, γ = 1", "float64"]) < 1e-13
assert not largest["BDIA, γ = 1/2", "float64"][-1] < 1e6
Picture(
    draw(*panels, height=3.2, ncols=4, sharey=True),
    "Round-trip error against steps, logarithmic: flat near rounding for gamma 1, growing geometrically for smaller gamma, faster for 1/2.",
)

# %% [markdown]
# *Figure 9.1. The largest round-trip error depends on the steps, on $\gamma$ and on the format. Above the grey line the
# error exceeds the noise. A cross at the upper edge stands for an error above $10^{12}$ or an overflow.*
#
# At $\gamma=1$ the error stays near rounding, and yet few elements come back unchanged. At $\gamma=\frac12$ nothing
# comes back beyond some 50 steps, because the inverse multiplies its rounding by $1/\gamma$ in every step
# ([chapter 5](05_stability_and_rounding.py)). "Exact up to floating point error" says nothing without $N$ and $\gamma$.
#
# ## Derivation
#
# ### Why a float sum cannot be undone
#
# Here are the step and its inverse for $\alpha=1$, printed from the program, with one increment each:

# %%
Math(step_latex(BDIA(1), symbols=False, exploding=True))

# %%
Math(inverse_latex(BDIA(1), symbols=False, exploding=True))

# %% [markdown]
# Both use the *same* $\hat\epsilon(\mathbf z_i)$, from the same bits. The increment $d$ is therefore the same number
# both ways, and all that must hold is $(x+d)-d=x$. In floats it does not hold, because the sum is rounded to the grid
# of its own exponent ([Higham, 2002](https://doi.org/10.1137/1.9780898718027)), and low bits of $x$ are lost:

# %%
x, d = 0.1, 3.0
print(f"(0.1 + 3.0) - 3.0 = {(x + d) - d!r}")
rng = np.random.default_rng(1)
x, d = rng.standard_normal(100_000), rng.standard_normal(100_000)
kept = float(np.mean((x + d) - d == x))
print(f"of {x.size:,} pairs of normal numbers {kept:.0%} satisfy (x + d) - d = x")

# %% tags=["hide-cell"]
assert (0.1 + 3.0) - 3.0 != 0.1 and 0.3 < kept < 0.9

# %% [markdown]
# On integers it always holds. Let a state be an integer $X$ in units of $2^{-b}$, and
#
# $$X\leftarrow X+\operatorname{round}(2^b d),\qquad d\ \text{computed in floats from the other registers.}$$
#
# How accurate $d$ is does not matter. It is the same function of the same numbers on the way back, and it is subtracted
# exactly. This is fixed-point arithmetic for the register, and floating point for everything else.
#
# ### The own coefficient, and the bits that it drops
#
# For $\gamma=1$ that is all. For $\gamma<1$ the register is also multiplied by $\gamma$:

# %%
Math(step_latex(BDIA(), exploding=True))

# %% [markdown]
# Multiplication by $\gamma<1$ maps the integers into fewer integers. By the pigeonhole principle it *cannot* be undone.
# How many bits are lost? A map on a lattice is one to one only if it has room: a region of volume $V$ holds about $V$
# lattice points, and its image has the volume $|\det|\,V$. To tell the points of the region apart, one must keep at
# least $\log_2(1/|\det|)$ bits a point elsewhere. The determinant of the step on states of one coordinate is known
# without any model, and the library reads it from the program:

# %%
symbolic = grids.symbolic(3)
gamma, p = sympy.symbols("gamma p", positive=True)
determinant = step_determinants(BDIA(gamma), symbolic)[-1]

# %% tags=["hide-input"]
found = {
    "BDIA": BDIA(gamma),
    "EDICT": EDICT(p),
    "CBDIA": CBDIA(*sympy.symbols("gamma_1 gamma_2")),
}
rows = [
    (name, f"${sympy.latex(sympy.factor(step_determinants(s, symbolic)[-1]))}$")
    for name, s in found.items()
]
assert determinant == -gamma
Markdown(table(["solver", "determinant of the last step"], rows))

# %% [markdown]
# For BDIA the bound is $\log_2(1/\gamma)$ bits for each element and step: nothing for $\gamma=1$, and one bit for
# $\gamma=\frac12$. EDICT's $\alpha$ belong to the change of units from $\mathbf z$ to $\mathbf y=\mathbf z/\alpha$, and
# in $\mathbf y$ its determinant is $p^2$.
#
# ### A contraction that loses nothing
#
# Let $\gamma=p/q$. Divide with remainder, $X=qX'+r$. Keep the digit $r$ by pushing it on a stack of digits. The product
# $pX'$ leaves room for a digit $0\le s<p$, and this digit is *popped* from the stack:
#
# $$B\leftarrow qB+r,\qquad s=B\bmod p,\quad B\leftarrow\lfloor B/p\rfloor,\qquad X\leftarrow pX'+s.$$
#
# The stack $B$ is one integer for each element, the *remainder buffer*. The idea is that of
# [Maclaurin, Duvenaud and Adams (2015)](https://arxiv.org/abs/1502.03492), who used it to reverse the training of
# networks. In Python integers, which have no limit of length, it reads:


# %%
def contract(x, b, p, q):
    """Take (x, b) to about (x p/q, b q/p), one to one."""
    quotient, digit = divmod(x, q)
    b, popped = divmod(q * b + digit, p)
    return p * quotient + popped, b


# %%
x, b = contract(1234, 5, 9, 10)
print(f"contract(1234, 5) by 9/10 = {(x, b)}; undone: {contract(x, b, 10, 9)}")

# %% [markdown]
# The contraction by $q/p$ is its inverse. To see it, run the four lines with $p$ and $q$ exchanged: the popped digit is
# now pushed, and the pushed one is popped. $X$ differs from $\gamma X$ by less than $\max(p,q)$ units. The folded cell
# checks both on many pairs, and the library's kernel for int64 arrays against these Python integers.

# %% tags=["hide-cell"]
pairs = [(x, b) for x in range(-60, 60) for b in range(40)]
images = {contract(x, b, 9, 10) for x, b in pairs}
assert len(images) == len(pairs)  # no two pairs meet
for x, b in pairs:
    assert contract(*contract(x, b, 9, 10), 10, 9) == (x, b)  # q/p undoes p/q
    assert abs(contract(x, b, 9, 10)[0] - 0.9 * x) < 10
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
# `Lattice.from_float` makes the integers. `solve` and `invert` are the functions of every other chapter, and the
# inverse is derived in the same way.

# %%
sent = Lattice.from_float(noise, bits=40)
there = solve(BDIA(Fraction(9, 10)), model, grid(200), sent)
back = invert(BDIA(Fraction(9, 10)), model, grid(200), there.state)
print("bits that differ:", back.z.differing_bits(sent))

# %% tags=["hide-input"]
solvers = {
    "BDIA, γ = 1": BDIA(1),
    "BDIA, γ = 0.9": BDIA(Fraction(9, 10)),
    "BDIA, γ = 1/2": BDIA(Fraction(1, 2)),
    "EDICT, p = 0.93": EDICT(Fraction(93, 100)),
    "O-BELM": OBELM(),
}
assert back.z.differing_bits(sent) == 0
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
# No bit differs, also where floats lost everything, at $\gamma=\frac12$ and 200 steps. The buffer keeps at most four
# bits more than the bound $\sum\log_2(1/|\det|)$, at 25 steps as at 200 (figure 9.2):

# %% tags=["hide-input"]
longer = (25, 50, 75, 100, 125, 150, 175, 200)
sizes = {}
for name in ("BDIA, γ = 0.9", "BDIA, γ = 1/2", "EDICT, p = 0.93"):
    ends = [solve(solvers[name], model, grid(n), sent).state for n in longer]
    sizes[name] = [bits_per_element(end.remainder) for end in ends]
    assert all(bound <= size <= bound + 4 for size, bound in sizes[name])
half = [bound for _, bound in sizes["BDIA, γ = 1/2"]]
assert np.allclose(half, [n - 1 for n in longer])  # the start contracts nothing
curves = {
    name: (longer, [size for size, _ in found]) for name, found in sizes.items()
}
bounds = {
    f"bound, {name}": (longer, [bound for _, bound in found])
    for name, found in sizes.items()
}
Picture(
    draw(Panel("steps N", "bits an element", curves, bounds), height=3.4, ncols=2),
    "Size of the remainder buffer against steps for three solvers, each along its bound, a straight line.",
)

# %% [markdown]
# *Figure 9.2. The remainder buffer grows with the steps along the lower bound from the determinants (grey), which no
# method can beat.*
#
# The buffer is part of the `State`. A run may be written to a file, read by another process, and undone there:

# %%
with tempfile.TemporaryDirectory() as folder:
    path = Path(folder) / "state.npz"
    there.state.save(path)
    back = invert(BDIA(Fraction(9, 10)), model, grid(200), State.load(path))
print("bits that differ after a file:", back.z.differing_bits(sent))

# %% tags=["hide-cell"]
assert back.z.differing_bits(sent) == 0

# %% [markdown]
# ### From data
#
# `encode` begins with data and no run before it, so the buffer is empty. An empty buffer gives zeros without end, and
# the way back is still exact. But the inverse of a small $\gamma$ *expands*, and 60 bits have an end. A run that leaves
# the range says so, and where:

# %%
images = Lattice.from_float(law.sample(200, rng), bits=40)
latent = encode(BDIA(Fraction(1, 2)), model, grid(50), images)
print(latent.status)

# %% tags=["hide-input"]
rows = []
for name in ("BDIA, γ = 1", "BDIA, γ = 0.9", "BDIA, γ = 1/2"):
    for n in (10, 50):
        latent = encode(solvers[name], model, grid(n), images)
        largest = differing = "-"
        if latent.status.ok:
            largest = number(float(np.abs(latent.z.to_float()).max()))
            decoded = solve(solvers[name], model, grid(n), latent.state).z
            differing = decoded.differing_bits(images)
            assert differing == 0
        rows.append((name, n, str(latent.status), largest, differing))
assert [row[2] for row in rows].count("ok") == 5
Markdown(
    table(["solver", "steps", "status", "largest latent", "bits that differ"], rows)
)

# %% [markdown]
# A latent of size 260 is not noise. It returns every bit, and it is of no use for editing. Bit-exactness says that a
# run *returns*. Chapter 5 says where it goes.
#
# ### The price in accuracy
#
# Rounding the increment moves a state by at most half a unit, and a contraction moves it by less than $q$ units. The
# run treats these as it treats any perturbation. We compare the data end with that of the float run:

# %% tags=["hide-input"]
moved = {
    b: bit_exact_round_trip(solvers["BDIA, γ = 0.9"], model, grid(50), noise, bits=b)
    for b in (16, 24, 32, 40)
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
# The first table has the time of the arithmetic alone, with a model that costs nothing, on a million elements. The line
# below it compares the file of a state with that of its float run:

# %% tags=["hide-input"]
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
for name in ("BDIA, γ = 1", "BDIA, γ = 0.9", "EDICT, p = 0.93"):
    ratio = seconds(on_lattice, solvers[name]) / seconds(large, solvers[name])
    rows.append((name, f"{ratio:.1f}"))
    assert ratio < 10
Markdown(table(["solver", "time over that of floats"], rows))

# %% tags=["hide-input"]
with tempfile.TemporaryDirectory() as folder:
    kept = {}
    for name, start in (("floats", noise), ("lattice", sent)):
        path = Path(folder) / f"{name}.npz"
        solve(BDIA(Fraction(9, 10)), model, grid(200), start).state.save(path)
        kept[name] = path.stat().st_size
print(
    f"gamma 9/10, 200 steps: {kept['floats']:,} bytes in floats, {kept['lattice']:,} on the lattice"
)
assert kept["floats"] < kept["lattice"] < 2 * kept["floats"]

# %% [markdown]
# ### What it rests on
#
# It rests on one thing: the model must give the same bits for the same input. Here is a model whose output depends on
# how often it was called, by one unit in the last place:


# %%
class Restless:
    """The exact model, with the last bit of every output moved after the hundredth call."""

    calls = 0

    def __call__(self, z, t):
        self.calls += 1
        output = model(z, t)
        return output if self.calls <= 100 else np.nextafter(output, np.inf)


# %%
trip = bit_exact_round_trip(BDIA(1), Restless(), grid(60), noise, bits=50)
print(f"{trip.differing_bits} bits differ; {trip.unsteady}")

# %% tags=["hide-cell"]
assert trip.differing_bits > 0 and trip.unsteady

# %% [markdown]
# One bit of an output is as bad as any other, because from that slot on the states differ. The trip names the time at
# which one input gave two outputs. Dropout, atomic additions on a GPU and another batch size are models of this kind
# ([run on a GPU](../docs/run-on-gpu.md)).
#
# ## What we found
#
# - "Exact up to floating point error" holds for few steps or for $\gamma=1$. At $\gamma=\frac12$ the float inverse has
#   lost everything by 200 steps, and most of it by 50.
# - Exactness to the bit needs neither a better network nor more precision. It needs integers for the registers, and the
#   same floats twice for the increments.
# - It costs $\log_2(1/\gamma)$ bits an element and step, which no method can avoid. $\gamma=1$ and O-BELM lose next to
#   nothing.
# - In accuracy it costs less than $10^{-8}$ at 40 bits and 50 steps. In time it costs less than ten times the
#   arithmetic of floats, and no further evaluation of the network. At $\gamma=\frac9{10}$ and 200 steps the file of a
#   state is less than twice as large as that of the float run.
# - A latent that returns every bit may still be useless.
#
# ## Exercises
#
# 1. **Warm-up.** Take $X\mapsto\operatorname{round}(\gamma X)$ on $0,\dots,M-1$, without a buffer. Which share of the
#    integers shares its image with another one at $\gamma=\frac9{10}$? How many bits does it take, at least, to tell
#    them apart?
# 2. **Warm-up.** Which settings of CBDIA and EDICT need no buffer? Decide it with determinants, then look.
# 3. **Standard.** Give the lattice run a model in float32. Is it still exact to the bit?
# 4. **Research.** The buffer is $N\log_2(1/\gamma)$ bits an element for the whole run. Can two images share a buffer?
#    Can the buffer hold information that a receiver wants anyway, so that the bits are not lost?
#
# ## Solutions
#
# <details><summary>Solution of exercise 1</summary>
#
# $M$ integers fall into about $\gamma M$ images. About $(1-\gamma)M$ images therefore hold two, and
# $2(1-\gamma)=\frac15$ of the integers have a twin. To tell $M$ from $\gamma M$ takes $\log_2(1/\gamma)$ bits on
# average, which is the bound.
#
# </details>

# %% tags=["hide-cell"]
count = 100_000
image = np.rint(0.9 * np.arange(count)).astype(int)
_, multiplicity = np.unique(image, return_counts=True)
twins = 2 * np.sum(multiplicity == 2) / count
bits = np.log2(count / multiplicity.size)
print(f"{twins:.3f} of the integers have a twin; {bits:.4f} bits")
assert abs(twins - 0.2) < 1e-3 and abs(bits - np.log2(10 / 9)) < 1e-4

# %% [markdown]
# <details><summary>Solution of exercise 2</summary>
#
# The determinants are $\pm(\gamma_1-\gamma_2)$ and, in $\mathbf y$, $p^2$. Their modulus is 1 for $(0,1)$, for $(1,0)$
# and for $p=1$.
#
# </details>

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
# <details><summary>Solution of exercise 3</summary>
#
# Yes. A float32 model repeats itself as well as a float64 one. The samples are those of the float32 model, and every
# bit of the noise returns.
#
# </details>

# %% tags=["hide-cell"]
coarse = bit_exact_round_trip(
    BDIA(Fraction(9, 10)), model, grid(100), noise.astype(np.float32), bits=40
)
print(
    f"bits that differ: {coarse.differing_bits}; distance from the run in float32: {coarse.distance:.1e}"
)
assert coarse.differing_bits == 0

# %% [markdown]
# <details><summary>First steps on exercise 4</summary>
#
# A stack may be filled from any source of digits before a run. If it holds a message, the run pops it into the latents
# and pushes other digits, and the way back restores the message. This is how
# [bits-back coding](https://arxiv.org/abs/1901.04866) (Townsend, Bird and Barber, 2019) compresses with latent
# variables. Whether a diffusion model with exact inversion gives a good code depends on how uniform the pushed digits
# are, which you can measure.
#
# </details>
#
# ## Further reading
#
# - [Maclaurin, Duvenaud and Adams (2015)](https://arxiv.org/abs/1502.03492), section 3, introduce the buffer.
# - [Bit-exact inversion](../docs/findings/bit-exact.md) has coordinates, range and speed of the lattice,
#   [growth on a network](../docs/findings/network-growth.md#bits-and-batches) what kernels and batches do to it, and
#   [`spaces`](../docs/api/spaces.md) its functions.
# - [When every element comes back](../docs/diffusers.md#when-every-element-comes-back) says what holds on a real
#   pipeline with float registers.
