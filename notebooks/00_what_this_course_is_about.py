# %% [markdown]
# # 0. What this course is about
#
# ## Question
#
# You have an image, and a network that turns noise into images. You want the same image with one thing changed. For
# that you need the noise from which the network would draw exactly this image. A diffusion sampler runs from noise to
# images, so you have to run it backwards. Can a sampler be run backwards exactly, what does it cost, and is the noise
# that comes out the right one? These three questions are the subject of the course.
#
# The course follows one paper, "Exact Diffusion Inversion via Bi-directional Integration Approximation" by
# [Zhang, Lewis and Kleijn (2024)](https://arxiv.org/abs/2307.10829), which every chapter calls *the paper*. Its method,
# BDIA, is compared with its predecessors and rivals. Every statement is derived on the page, checked by the program
# that also does the sampling, or measured against an exact solution.

# %% tags=["hide-input"]
import os
import warnings

os.environ["OMP_NUM_THREADS"] = "1"  # sums in one order, whatever the number of cores
warnings.filterwarnings(
    "ignore", message="IProgress not found"
)  # no bar is shown here

import numpy as np

from bdia_numerics import BDIA
from bdia_numerics.plots import Picture, pictures
from bdia_numerics.torch import load
from bdia_numerics.torch.editing import drawn, invert

# %% [markdown]
# ## An edit that returns, and one that does not
#
# The package carries a small network that draws handwritten digits of a given label. We let it draw a 3. Then we
# pretend that this 3 is our own image, of which nobody knows the noise.

# %%
network = load()
image = drawn(network, label=3, seed=0)

# %% [markdown]
# Two methods take the image to noise under its label. The usual one, *DDIM inversion*, runs the sampler
# [DDIM](https://arxiv.org/abs/2010.02502) (Song, Meng and Ermon, 2021) on the reversed time axis. The other one uses
# BDIA, whose step has an exact inverse.

# %%
there = {
    "DDIM inversion": invert(network, image, labels=3, solver="ddim", steps=20),
    "BDIA": invert(network, image, labels=3, solver=BDIA(gamma=1), steps=20),
}

# %% [markdown]
# From each of the two noises we return three times: under the label of the image, and under two other labels.

# %%
back = {name: found.edit(labels=[3, 8, 5]) for name, found in there.items()}

# %% tags=["hide-input"]
rows = [
    [np.asarray(x)[0].transpose(1, 2, 0) for x in (image, *(e.images for e in edits))]
    for edits in back.values()
]
errors = {
    name: float((edits[0].images - image).square().mean().sqrt())
    for name, edits in back.items()
}
Picture(
    pictures.edits(
        rows,
        list(back),
        ["image", "returned as 3", "edited to 8", "edited to 5"],
        ["", ""],
        "",
        "",
    ),
    "Two rows of digits. DDIM inversion: the 3 that returns differs from the image. "
    "BDIA: the 3 that returns is the image.",
)

# %% [markdown]
# *Figure 0.1. One image was taken to noise under the label 3 and back under the labels 3, 8 and 5, with 20 evaluations
# of the network each way. DDIM inversion (upper row) returns another 3. BDIA (lower row) returns the image itself, so
# that whatever changes in an edit is changed by the label.*

# %% tags=["hide-input"]
reports = {name: found.report() for name, found in there.items()}
for name, report in reports.items():
    print(
        f"{name}: {report.differing} of {report.elements} elements differ after the round trip,"
        f" error {errors[name]:.1e} (black to white is 1); {report.nfe} evaluations to noise"
    )
    print(
        f"    standard deviation of its noise: {report.std:.2f}; that of real noise is 1"
    )

# %% tags=["hide-cell"]
assert errors["BDIA"] < 1e-12 and errors["DDIM inversion"] > 0.05
assert {report.nfe for report in reports.values()} == {20}
assert reports["BDIA"].differing == 0
assert reports["BDIA"].std > 0.8 > 0.6 > reports["DDIM inversion"].std

# %% [markdown]
# BDIA brings back every element, at the same cost. This is what *exact inversion* means, and
# [chapter 3](03_exact_inversion.py) shows why it is possible although no network can be inverted.
#
# The last numbers are a warning. A round trip compares an image with itself. It says nothing about the noise in the
# middle, which is what an edit starts from. Real noise has the standard deviation 1, and that of DDIM inversion is far
# from it. A method may return exactly through noise that is useless, and later chapters show methods that do.
#
# ## What you will be able to do
#
# | chapter | question | what you can do afterwards |
# |---|---|---|
# | [1](01_probability_flow.py) | Which equation does a sampler solve? | derive the probability-flow ODE, and solve it for mixtures |
# | [2](02_ddim_as_euler.py) | What is DDIM? | predict its error, with the sign, before you run it |
# | [3](03_exact_inversion.py) | How can a step be undone? | decide from a step's text whether it has an exact inverse |
# | [4](04_order_and_error_constants.py) | How accurate is BDIA? | derive $(1-\gamma)/(1+\gamma)$, and say on which grids it holds |
# | [5](05_stability_and_rounding.py) | What grows, and how fast? | predict how many digits a round trip loses |
# | [6](06_proofs_that_run.py) | How do you know? | prove a statement for every network and every number of steps |
# | [7](07_edm_and_dpm_solver_pp.py) | Does the idea help better solvers? | find where an average gains an order, and where it costs one |
# | [8](08_real_unets.py) | What survives on a real network? | separate the errors of the start, the last slot and the parasitic mode |
# | [9](09_bit_exact_inversion.py) | Can every bit come back? | run an inversion without any rounding error, and state its price |
#
# Chapters 1 to 5 build on one another. Chapters 6 to 9 need only chapters 1 to 5, and may be read in any order.
#
# ## What you need to know
#
# You need calculus with Taylor expansions, matrices with their eigenvalues and determinants, and densities of random
# variables with conditional expectations. You need to read Python with NumPy. You do not need to know diffusion models,
# numerical analysis or stochastic calculus, because what is needed of them is derived where it is used. If you can do
# the first exercise below without help, you are ready.
#
# ## Notation
#
# The course keeps the paper's symbols. Time runs from 0 (data) to $T$ (noise), and a run from noise to data is called
# *sampling*.
#
# | symbol | meaning |
# |---|---|
# | $\mathbf x$ | a data point, for example an image |
# | $\alpha_t,\ \sigma_t$ | the schedule: how much of the data, and how much noise, is in a state at time $t$ |
# | $\mathbf z_t=\alpha_t\mathbf x+\sigma_t\boldsymbol\epsilon$ | the noisy state at time $t$, with standard normal $\boldsymbol\epsilon$ |
# | $\hat\epsilon(\mathbf z,t)$ | the noise prediction: what the network returns |
# | $s=\sigma/\alpha,\ \mathbf y=\mathbf z/\alpha$ | noise level and scaled state; in them the equation is simplest |
# | $t_0<t_1<\dots<t_N$ | the time grid; index 0 is the data end, index $N$ the noise end |
# | slot $i$ | the interval from $t_{i-1}$ to $t_i$; a *step* is what a solver does in one slot |
# | $h_i=s_{i-1}-s_i$ | the step size in $s$; it is **negative**, because sampling goes towards smaller $s$ |
# | $\Delta(t_i\to t_j\mid\mathbf z_i)$ | the increment of DDIM from $t_i$ to $t_j$, with the network evaluated at $\mathbf z_i$ |
# | $\mathbf J=\partial\hat\epsilon/\partial\mathbf y$ | the Jacobian, which decides whether errors grow |
# | $\gamma;\ p;\ \gamma_1,\gamma_2$ | the parameters of BDIA, of EDICT and of CBDIA |
# | $\zeta$ | a root of a characteristic polynomial: the factor of a mode in one step |
#
# The [glossary](../docs/glossary.md) has the terms. Numbers in parentheses, such as (27), are equations of the paper.
# Indices run *downwards* in sampling, so the step "from $i$ to $i-1$" is the next one, and $\mathbf z_{i+1}$ is the
# state before $\mathbf z_i$.
#
# ## How to read a chapter
#
# Each chapter asks a question, derives what can be derived, and tests it in an experiment. The code that teaches
# something is shown. The code that draws, prints tables or checks what the text says is folded, and opens at a click.
# The checks are assertions that stop the chapter when they fail. So the numbers on these pages are those of the program
# that you install.
#
# The exercises have three grades. A *warm-up* takes minutes and a pencil. A *standard* exercise takes an hour and some
# code. A *research* exercise has a first answer on the page, and no last one. Try an exercise before you open its
# solution.
#
# To run a chapter, install `bdia_numerics[report,torch,balls]` and jupytext, and open the file in Jupyter, or run
# `python scripts/run_notebooks.py notebooks/03*.py` in a checkout.
#
# ## Exercises
#
# 1. **Warm-up.** Let $x$ be $-1$ or $+1$ with probability $\frac12$ each, and $z=\alpha x+\sigma\epsilon$. Compute
#    $\mathbb E[x\mid z]$ and $\mathbb E[\epsilon\mid z]$. What do they tend to for $\sigma\to0$, and what for
#    $\sigma\to\infty$?
# 2. **Warm-up.** A map $\Phi$ and its exact inverse are given. Somebody reports that $|\Phi(\Phi^{-1}(x))-x|<10^{-12}$
#    for a thousand images $x$. What follows about how well $\Phi$ solves its equation?
# 3. **Standard.** Repeat figure 0.1 with EDICT (`solver="edict"`) and with BDIA at $\gamma=\frac12$. How well do they
#    return? Compare the standard deviations of their noise. Which of the two could you use for an edit?
#
# ## Solutions
#
# <details><summary>Solution of exercise 1</summary>
#
# Bayes' theorem gives $P(x=1\mid z)=\dfrac{e^{\alpha z/\sigma^2}}{e^{\alpha z/\sigma^2}+e^{-\alpha z/\sigma^2}}$, so
# $\mathbb E[x\mid z]=\tanh(\alpha z/\sigma^2)$ and
# $\mathbb E[\epsilon\mid z]=\big(z-\alpha\tanh(\alpha z/\sigma^2)\big)/\sigma$. For $\sigma\to0$ the first tends to the
# sign of $z$, so the data point is known. For $\sigma\to\infty$ with $z/\sigma$ fixed it tends to 0, the mean of the
# data, and the noise prediction tends to $z/\sigma$, so nothing but noise is left.
#
# </details>

# %% tags=["hide-cell"]
import sympy

z, a, s = sympy.symbols("z a s", positive=True)
likelihood = {x: sympy.exp(-((z - a * x) ** 2) / (2 * s**2)) for x in (-1, 1)}
mean = sum(x * p for x, p in likelihood.items()) / sum(likelihood.values())
assert sympy.simplify((mean - sympy.tanh(a * z / s**2)).rewrite(sympy.exp)) == 0

# %% [markdown]
# <details><summary>Solution of exercise 2</summary>
#
# Nothing follows. The test holds for every map with an exact inverse, for example for $\Phi(x)=2x$, which solves no
# diffusion equation at all. The test says that the inverse was programmed well. Chapter 6 gives a solver with a wrong
# sign that passes it.
#
# </details>
#
# <details><summary>Solution of exercise 3</summary>
#
# Both return so well that no eye sees a difference, EDICT with twice the evaluations. The noise of BDIA at
# $\gamma=\frac12$ is hundreds of thousands of times too large, so its edits are not images of anything. On the way to
# noise each step doubles every error. On the way back under the same label each step halves it again, and so the image
# returns. The library warns of this before it runs.
# [Chapter 5](05_stability_and_rounding.py) derives the factor. EDICT's noise is of the right size, but too small.
#
# </details>

# %% tags=["hide-cell"]
with warnings.catch_warnings(record=True) as told:
    warnings.simplefilter("always")
    others = {
        "EDICT": invert(network, image, labels=3, solver="edict", steps=20),
        "gamma 1/2": invert(network, image, labels=3, solver=BDIA(0.5), steps=20),
    }
for name, found in others.items():
    error = float((found.reconstruct().images - image).square().mean().sqrt())
    print(
        f"{name}: error {error:.1e}, {found.nfe} evaluations, noise of deviation {float(found.latents.std()):.2g}"
    )
    if name == "gamma 1/2":
        assert error < 1e-5 and float(found.latents.std()) > 1e5
assert any("gamma=0.5" in str(warning.message) for warning in told)

# %% [markdown]
# ## Further reading
#
# - [Song et al. (2021)](https://arxiv.org/abs/2011.13456) see diffusion models as differential equations, and
#   [Karras et al. (2022)](https://arxiv.org/abs/2206.00364) separate the choices that a sampler makes.
# - [Wallace, Gokul and Naik (2023)](https://arxiv.org/abs/2211.12446) introduced exact inversion with EDICT, and
#   [Wang et al. (2024)](https://arxiv.org/abs/2410.07273) give a family that contains BDIA and EDICT.
# - [Edit an image](../docs/edit-an-image.md) does the experiment of this chapter from the command line, also with
#   Stable Diffusion.
# - The [ledger](../docs/ledger.md) lists every numbered statement of the paper with the verdict that this package
#   gives.
