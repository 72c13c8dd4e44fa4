# %% [markdown]
# # 8. Real U-Nets
#
# ## Question
#
# So far $\hat\epsilon$ was the exact noise prediction of a distribution: $-\sigma$ times a gradient, with a known flow.
# The $\hat\epsilon$ of a U-Net has neither property. Which of the theorems survive? And what may a user conclude from
# the test that everybody runs, an image sent to noise and back?
#
# The network is the one that the package ships, a class-conditional U-Net of MNIST digits with 637,169 parameters
# ([model card](../docs/model-card.md)). It is small enough to sample from it on one core. Everything here takes a
# diffusers folder as well.

# %% tags=["hide-input"]
import os
import warnings

os.environ["OMP_NUM_THREADS"] = "1"  # sums in one order, whatever the number of cores
warnings.filterwarnings(
    "ignore", message="IProgress not found"
)  # no bar is shown here

from fractions import Fraction

import numpy as np
import sympy
from IPython.display import Markdown, Math

from bdia_numerics import (
    BDIA,
    DDIM,
    RK4,
    DPMSolverPP,
    analysis,
    grids,
    invert,
    solve,
)
from bdia_numerics.formulas import number, solver_name, table
from bdia_numerics.plots import Picture, network
from bdia_numerics.plots.pictures import Sheet, sheets
from bdia_numerics.plots.style import Panel, draw
from bdia_numerics.studies import run as run_study
from bdia_numerics.studies.network_studies import EDITING, EditConfig
from bdia_numerics.studies.records import records
from bdia_numerics.torch import load, noise
from bdia_numerics.torch.networks.sampling import refined, rms
from bdia_numerics.torch.tensors import dtype_named

# %% [markdown]
# ## Derivation
#
# ### What the proofs demanded of the network
#
# They demanded nothing. The inverse of BDIA was derived with $\hat\epsilon$ uninterpreted
# ([chapter 6](06_proofs_that_run.py)). It repeats the evaluation at the state where it was made. So invertibility, its
# condition and the determinant $(-\gamma)^d$ hold for a U-Net unchanged.
#
# ### What the error theory demands
#
# It demands a bound of the Jacobian. On equal steps with $\alpha=1$, BDIA with $\gamma=1$ is leapfrog,
# $\mathbf y_{i-1}=\mathbf y_{i+1}+2h\,\hat\epsilon_i$ ([chapter 3](03_exact_inversion.py)). Take a direction in which
# $\partial\hat\epsilon/\partial\mathbf y$ has the eigenvalue $J$, and let $x=hJ$, with $h<0$ in sampling. Perturbations
# obey $\delta_{i-1}=\delta_{i+1}+2x\,\delta_i$, so each step multiplies them by a root of $\zeta^2-2x\zeta-1=0$:

# %%
polynomial = analysis.stability_polynomial(BDIA(1))
x, zeta = sympy.symbols("x zeta")
parasitic = min(sympy.solve(polynomial, zeta), key=lambda root: root.subs(x, 0))
growth = sympy.series(parasitic, x, 0, 3).removeO()
Math(
    rf"{sympy.latex(polynomial)}=0,\qquad\zeta={sympy.latex(parasitic)}={sympy.latex(growth)}+\dots"
)

# %% tags=["hide-cell"]
assert sympy.expand(polynomial - (zeta**2 - 2 * x * zeta - 1)) == 0
assert abs(parasitic.subs(x, -sympy.Rational(1, 10))) > 1

# %% [markdown]
# Where the flow contracts, $J>0$ and $x<0$, the parasitic root has a modulus above one. Errors of alternating sign
# *grow* as fast as the smooth ones shrink. For the score of a distribution there is a limit to this. Differentiate
# $\hat\epsilon=(\mathbf z-\alpha\,\mathbb E[\mathbf x\mid\mathbf z])/\sigma$. The derivative of a posterior mean under
# Gaussian noise is a covariance,
# $\partial\,\mathbb E[\mathbf x\mid\mathbf z]/\partial\mathbf z=\frac\alpha{\sigma^2}\operatorname{Cov}(\mathbf x\mid\mathbf z)$,
# so
#
# $$\sigma\,\frac{\partial\hat\epsilon}{\partial\mathbf z}
# =\mathbf I-\frac{\alpha^2}{\sigma^2}\operatorname{Cov}(\mathbf x\mid\mathbf z).$$
#
# A covariance has no negative eigenvalue. Every eigenvalue of $\sigma\,\partial\hat\epsilon/\partial\mathbf z$ is
# therefore **at most 1**. A network guarantees nothing of this kind.

# %% tags=["hide-cell"]
z_, a_, s_, w_ = sympy.symbols("z a s w", positive=True)
atoms = sympy.symbols("x_1 x_2", real=True)
masses = [
    p * sympy.exp(-((z_ - a_ * one) ** 2) / (2 * s_**2))
    for p, one in zip((w_, 1 - w_), atoms, strict=True)
]
moment = [
    sum(p * one**k for p, one in zip(masses, atoms, strict=True)) / sum(masses)
    for k in (1, 2)
]
prediction = (z_ - a_ * moment[0]) / s_
claimed = 1 - a_**2 / s_**2 * (moment[1] - moment[0] ** 2)
assert sympy.simplify(s_ * sympy.diff(prediction, z_) - claimed) == 0

# %% [markdown]
# ## Experiment
#
# ### Samples
#
# We draw ten labels with the scheduler's own spacing, 20 evaluations for each solver, and the same noise:

# %%
loaded, digits = load(), list(range(10))
model, grid = loaded.model(digits), loaded.grid(20)
z = noise((10, *loaded.shape), grid, 0, dtype=dtype_named("float32"))
fast = {
    "DDIM": DDIM(),
    "BDIA, γ = 1/2": BDIA(Fraction(1, 2)),
    "BDIA, γ = 1": BDIA(1),
    "DPM-Solver++": DPMSolverPP(),
}
runs = {name: solve(solver, model, grid, z) for name, solver in fast.items()}

# %% tags=["hide-input"]
assert sum(p.numel() for p in loaded.network.parameters()) == 637_169
images = {name: run.z.double().numpy() for name, run in runs.items()}
read = {name: loaded.recognised(x, digits) for name, x in images.items()}
assert {run.nfe for run in runs.values()} == {20} and set(read.values()) == {10}
away = {name: rms(run.z - runs["DPM-Solver++"].z) for name, run in runs.items()}
assert away["BDIA, γ = 1"] > 1.3 * max(away["DDIM"], away["BDIA, γ = 1/2"])
places = np.array([x[:, 0] for x in images.values()])
behind = [number(d) if d else "" for d in away.values()]
sheet = Sheet(
    places, list(fast), [str(d) for d in digits], behind, "", "distance", -1, 1
)
Picture(
    sheets([sheet], margin=1.6),
    "Ten digits in a row for each solver, all in the same hand; the third row, gamma 1, is the farthest from the others, with grey specks.",
)

# %% [markdown]
# *Figure 8.1. Each row has the samples of a solver from the same noise with 20 evaluations. At its right is the
# root-mean-square distance to the last row, where black to white is 2. The shipped classifier reads all of them as
# their label.*
#
# The strokes agree, and the classifier has no preference. But the third row, $\gamma=1$, is farther from the images of
# DPM-Solver++ than the two rows of lower order, by more than a third. From here on we measure where this comes from, in
# float64, on two states, with 40 slots over the whole schedule.
#
# ### Invertible, exactly
#
# We take two spacings, uniform in $t$ and quadratic, from the same noise at $t=999$ to $t=0$. The reference is the
# network's own ODE, by the Runge-Kutta method of order 4 on the same slots, with four evaluations each. There is no
# closed form any more, so the reference needs an error estimate. The two grids solve the same ODE, and the distance of
# their solutions says how well it is known.

# %%
exact, labels = load(dtype=dtype_named("float64")), [3, 1]
float64 = exact.model(labels)
spacings = {
    "uniform": grids.uniform(exact.schedule, 40),
    "quadratic": grids.quadratic(exact.schedule, 40),
}
start = noise((2, *exact.shape), spacings["uniform"], 0, dtype=dtype_named("float64"))

# %% tags=["hide-input"]
flows, paths, states = {}, {}, {}
gammas = {
    "DDIM": 0,
    "BDIA, γ = 1/2": Fraction(1, 2),
    "BDIA, γ = 0.9": Fraction(9, 10),
    "BDIA, γ = 1": 1,
}
first, nine = "BDIA, γ = 1", "BDIA, γ = 0.9"
for spacing, slots in spacings.items():
    flow = [start]
    for i in range(slots.n, 0, -1):
        flow.append(solve(RK4(), float64, refined(slots[i - 1 : i], 1), flow[-1]).z)
    flows[spacing] = flow[::-1]
    for name, gamma in gammas.items():
        run = solve(BDIA(gamma), float64, slots, start, return_trajectory=True)
        paths[spacing, name], states[spacing, name] = run.trajectory, run.state
errors = {
    key: [rms(a - b) for a, b in zip(path, flows[key[0]], strict=True)]
    for key, path in paths.items()
}
known = rms(flows["uniform"][0] - flows["quadratic"][0])
print(f"the data end of the ODE is known up to about {known:.4f}")
assert known < 0.01

# %% tags=["hide-input"]
rows, returned = [], {}
for (spacing, name), state in states.items():
    if name == "DDIM":
        continue  # gamma = 0 has no inverse
    back = invert(BDIA(gammas[name]), float64, spacings[spacing], state)
    returned[spacing, name] = rms(back.z - start)
    both = returned[spacing, name], errors[spacing, name][0]
    rows.append((spacing, name, *map(number, both)))
rows += [
    (spacing, "DDIM", "no inverse", number(errors[spacing, "DDIM"][0]))
    for spacing in spacings
]
assert max(returned[spacing, first] for spacing in spacings) < 1e-14
assert abs(errors["uniform", first][0] - errors["uniform", nine][0]) < known
for spacing in spacings:
    assert errors[spacing, first][0] < errors[spacing, "DDIM"][0] - known
gap = errors["quadratic", first][0] - errors["quadratic", nine][0]
assert gap > 3 * known
Markdown(table(["spacing", "solver", "round-trip error", "sample error"], rows))

# %% [markdown]
# With $\gamma=1$ the noise returns to fourteen digits, better than for any other $\gamma$. On both grids its image is
# nearer to the network's own ODE than DDIM's, as the order promises. But on the quadratic grid $\gamma=\frac9{10}$, of
# order one, is nearer than $\gamma=1$, by more than three times the uncertainty of the ODE. On the uniform grid the two
# differ by less than this uncertainty, so nothing is decided there.
#
# ### Where the error arises
#
# Figure 8.2 follows the errors along the run.

# %% tags=["hide-input"]
panels = []
for spacing, slots in spacings.items():
    s = np.asarray(slots.sigma / slots.alpha, dtype=float)[:-1]
    curves = {name: (s, errors[spacing, name][:-1]) for name in gammas}
    panels.append(
        Panel(
            "noise level s (sampling goes to the right)",
            "error of z",
            curves,
            title=f"{spacing} grid",
            log="xy",
            ticks=(100, 10, 1, 0.1, 0.01),
        )
    )
    half = int(np.argmin(np.abs(s - 0.5)))
    middle = {name: errors[spacing, name][half] for name in ("DDIM", first)}
    print(
        f"{spacing}, s = {s[half]:.2f}: DDIM {middle['DDIM']:.4f}, gamma 1 {middle[first]:.4f}; "
        f"gamma 1 at the data end: {errors[spacing, first][0]:.4f}"
    )
    assert middle[first] < middle["DDIM"] / 2
    assert errors[spacing, first][0] > 7 * middle[first]
    assert errors[spacing, "DDIM"][0] < 3 * middle["DDIM"]
picture = draw(*panels, height=3.4, ncols=4)
for ax in picture.axes:
    ax.invert_xaxis()
Picture(
    picture,
    "Error along the run against the noise level for four gammas on two grids: that of gamma 1 is smallest at high noise and rises "
    "towards the data end, on the quadratic grid most of all.",
)

# %% [markdown]
# *Figure 8.2. The distance from the network's ODE is followed along the run, from noise (left) to data (right). At high
# noise $\gamma=1$ is far better than DDIM. Towards the data its error rises more than sevenfold on both grids, and that
# of DDIM less than threefold.*
#
# There are three suspects: the start, the last slot, and the parasitic mode. Each can be taken away:
#
# - start from the exact second state instead of a DDIM step;
# - set $\gamma=0$ in the last slot alone, since a parameter may be a function of the slot;
# - near the data end, split the error of $\mathbf y$ into $\frac14(e_2+2e_1+e_0)$, in which an alternating sequence
#   vanishes, and $\frac14(e_2-2e_1+e_0)$, in which a smooth one nearly vanishes.


# %%
def damped(slot):
    """Return gamma 1, and 0 in the slot next to the data."""
    return Fraction(slot.i > 1)


# %%
started, ended = {}, {}
for name, slots in spacings.items():
    second = flows[name][slots.n - 1]
    started[name] = solve(BDIA(1), float64, slots, start, [second]).z
    ended[name] = solve(BDIA(damped), float64, slots, start).z

# %% tags=["hide-input"]
rows, split = [], {}
for spacing, slots in spacings.items():
    flow = flows[spacing]
    e = [(paths[spacing, first][i] - flow[i]) / slots.alpha[i] for i in range(3)]
    smooth, rough = rms(e[2] + 2 * e[1] + e[0]) / 4, rms(e[2] - 2 * e[1] + e[0]) / 4
    split[spacing] = (smooth, rough)
    found = (
        errors[spacing, first][0],
        rms(started[spacing] - flow[0]),
        rms(ended[spacing] - flow[0]),
        smooth,
        rough,
    )
    rows.append((spacing, *map(number, found)))
    assert min(found[1:3]) > 0.7 * found[0]  # neither start nor end is the cause
assert split["quadratic"][1] > 4 * split["quadratic"][0]
assert split["quadratic"][1] > 3 * known > 3 * max(split["uniform"])
assert all(split[spacing][0] < errors[spacing, "DDIM"][0] for spacing in spacings)
assert split["quadratic"][0] < errors["quadratic", "DDIM"][0] / 8
heads = "spacing | γ = 1 | exact second state | γ = 0 in the last slot | smooth part | alternating part"
Markdown(table(heads.split(" | "), rows))

# %% [markdown]
# It is neither the start nor the last slot, because most of the error remains without either. On the quadratic grid the
# larger part by far *alternates*, so it is the parasitic mode. The smooth part alone is less than an eighth of DDIM's
# error, so the order is there, underneath. On the uniform grid both parts are smaller than the uncertainty of the ODE,
# so it is not decided which one is larger. A smaller $\gamma$ multiplies the mode by $\gamma$ in each step, and on the
# quadratic grid $\gamma=\frac9{10}$ is nearer to the ODE than $\gamma=1$.
#
# ### Editing: encode under one label, decode under another
#
# This is what inversion is for ([chapter 0](00_what_this_course_is_about.py)). Samples are encoded under their label
# with guidance 3, and decoded under another digit that resembles it.

# %%
config = EditConfig(
    solvers=("DDIM", "BDIA(gamma=1)", "BDIA(gamma=9/10)", "EDICT(p=93/100)"),
    guidances=(3.0,),
    steps=20,
    images=6,
)
edited = run_study(EDITING, config)

# %% tags=["hide-input"]
Picture(
    network.edits(edited),
    "Contact sheet: six digits, and below each its edits by four solvers under another label.",
)

# %% [markdown]
# *Figure 8.3. Six digits (first row) are edited under the labels above. At the right of a row is how many the
# classifier reads as the new digit, and the root-mean-square distance to the source.*

# %% tags=["hide-input"]
edits = records(EDITING, edited)
assert edits[0]["returned"] > 0.1 and all(e["returned"] < 0.01 for e in edits[1:])
heads = "solver | evaluations | round-trip error | read as the new digit | deviation of the latent"
rows = [
    (
        solver_name(e["solver"]),
        e["nfe"],
        number(e["returned"]),
        f"{e['as_target']} of 6",
        f"{e['latent_std']:.2f}",
    )
    for e in edits
]
Markdown(table(heads.split(" | "), rows))

# %% [markdown]
# **Which solver edits best?** BDIA with either $\gamma$: it turns every digit into the new one, returns, and has latents
# of standard deviation 1, as noise has. DDIM inversion turns as many digits, and its edits stay nearer to the source,
# but it does not return. EDICT returns and takes twice the evaluations, and turns fewer digits than the others. The
# latents of DDIM inversion and of EDICT have a standard deviation well below 1. So a return says nothing about the
# edit. Six digits cannot tell apart solvers that turn all of them.

# %% tags=["hide-cell"]
by_name = {e["solver"]: e for e in edits}
assert by_name["EDICT(p=93/100)"]["nfe"] == 2 * by_name["DDIM"]["nfe"]
assert by_name["EDICT(p=93/100)"]["as_target"] < by_name["DDIM"]["as_target"]
assert all(by_name[name]["as_target"] == 6 for name in config.solvers[:3])
assert by_name["DDIM"]["distance"] < by_name["BDIA(gamma=1)"]["distance"]
assert max(by_name[name]["latent_std"] for name in ("DDIM", "EDICT(p=93/100)")) < 0.9
assert all(
    abs(e["latent_std"] - 1) < 0.05 for e in edits if e["solver"].startswith("BDIA")
)

# %% [markdown]
# ## What we found
#
# - Exact inversion holds on a U-Net unchanged, because it never depended on what $\hat\epsilon$ is.
# - With $\gamma=1$ the image is nearer to the network's ODE than DDIM's on both grids. On the quadratic one
#   $\gamma=\frac9{10}$ is nearer still, since it damps the parasitic mode, which grows near the data.
# - [The paper](https://arxiv.org/abs/2307.10829) takes $\gamma=1$ for unconditional sampling and $\gamma=0.5$ for
#   Stable Diffusion, by FID. Which $\gamma$ is nearest to the ODE depends on the grid, and the error shows why.
# - A round trip says that a map was inverted. It says nothing about the map.
#
# One network and two states show a mechanism. They do not show its size elsewhere.
#
# ## Exercises
#
# 1. **Warm-up.** Halve the network's output. What happens to the round trip, and what to the images?
# 2. **Standard.** Is the network steeper than any score? Along the alternating error, measure
#    $\sigma\,\mathbf v^\top\mathbf E\mathbf v/|\mathbf v|^2$ with $\mathbf E=\partial\hat\epsilon/\partial\mathbf z$ by
#    differences of two evaluations. Compare it with the limit of the derivation, for both states.
# 3. **Standard.** Which $\gamma$ would you ship? Compare $\frac9{10}$ with $\frac{19}{20}$ on the uniform grid, by
#    distance and by round trip in float64. What can be concluded?
# 4. **Research.** A score's Jacobian is symmetric, and that of a network is not. Fact 8 of the
#    [ledger](../docs/ledger.md) turns the asymmetry into a defect of BDIA's step that can be measured. Does this defect
#    predict which networks edit well?
#
# ## Solutions
#
# <details><summary>Solution of exercise 1</summary>
#
# The round trip stays perfect, since the inverse was derived for every $\hat\epsilon$. The images are not digits at
# all.
#
# </details>


# %% tags=["hide-cell"]
def halved(z, t):
    """Return half of the network's output."""
    return 0.5 * float64(z, t)


short = exact.grid(20)
broken = solve(BDIA(1), halved, short, start)
back = invert(BDIA(1), halved, short, broken.state)
right = exact.recognised(broken.z.numpy(), labels)
print(
    f"round-trip error {rms(back.z - start):.1e}; images of size {rms(broken.z):.0f}; {right} of 2 recognised"
)
assert rms(back.z - start) < 1e-12 and rms(broken.z) > 10

# %% [markdown]
# <details><summary>Solution of exercise 2</summary>
#
# The limit is 1. On the second state, the digit 1, the network slightly exceeds it along the very direction that grows,
# and on the first state it does not. So the learned $\hat\epsilon$ is there the score of no distribution, whatever the
# data.
#
# </details>

# %% tags=["hide-cell"]
rows, steepest = [], []
for i in (4, 6, 8):
    slots, path = spacings["quadratic"], paths["quadratic", first]
    y = [path[j] / slots.alpha[j] for j in (i - 1, i, i + 1)]
    v = y[0] - 2 * y[1] + y[2]
    delta = 1e-4 / rms(v)  # far above rounding, far below the states
    middle = flows["quadratic"][i]
    change = (
        float64(middle + delta * v, slots.t[i])
        - float64(middle - delta * v, slots.t[i])
    ) / (2 * delta)
    quotients = slots.sigma[i] * np.asarray(
        (v * change).sum((1, 2, 3)) / (v * v).sum((1, 2, 3))
    )
    steepest.append(quotients)
    rows.append(
        (f"{slots.sigma[i] / slots.alpha[i]:.3f}", *(f"{q:.2f}" for q in quotients))
    )
assert np.max(steepest, 0)[1] > 1 > np.max(steepest, 0)[0]
Markdown(table(["noise level s", "digit 3", "digit 1"], rows))

# %% [markdown]
# <details><summary>Solution of exercise 3</summary>
#
# The distances differ by less than the uncertainty of the ODE. Nothing can be concluded from them, however tempting the
# smaller number is. The round trips differ in favour of the larger $\gamma$, since the inverse multiplies rounding by
# $1/\gamma$, but both are near rounding. An experiment is over when its error estimate says so.
#
# </details>

# %% tags=["hide-cell"]
candidate = BDIA(Fraction(19, 20))
run = solve(candidate, float64, spacings["uniform"], start)
distance = rms(run.z - flows["uniform"][0])
trip = rms(invert(candidate, float64, spacings["uniform"], run.state).z - start)
of_nine = errors["uniform", nine][0]
print(f"19/20: sample error {distance:.4f}, round-trip error {trip:.1e}")
print(
    f"9/10: sample error {of_nine:.4f}, round-trip error {returned['uniform', nine]:.1e}"
)
assert abs(distance - of_nine) < known
assert trip < returned["uniform", nine]

# %% [markdown]
# <details><summary>First steps on exercise 4</summary>
#
# The asymmetric part acts on a vector by one product with the Jacobian and one with its transpose, which torch computes
# without the matrix. A random vector estimates its norm. Measure it along the states of an inversion, relative to the
# symmetric part, on networks of different quality. [Network growth](../docs/findings/network-growth.md) measures how
# errors grow on the shipped network, and is a place to start.
#
# </details>
#
# ## Further reading
#
# - [Ho, Jain and Abbeel (2020)](https://arxiv.org/abs/2006.11239) train such networks, and
#   [Ho and Salimans (2022)](https://arxiv.org/abs/2207.12598) introduce the guidance that the edits use.
# - [Huberman-Spiegelglas, Kulikov and Michaeli (2024)](https://arxiv.org/abs/2304.06140) and
#   [Mokady et al. (2023)](https://arxiv.org/abs/2211.09794) edit by inversions that are not derived from a solver.
# - [Edit an image](../docs/edit-an-image.md) and [diffusers](../docs/diffusers.md) use the same functions on Stable
#   Diffusion. The API is on the page [`torch`](../docs/api/torch.md).
