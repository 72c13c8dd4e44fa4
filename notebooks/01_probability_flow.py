# %% [markdown]
# # 1. Probability flow and exact mixtures
#
# ## Question
#
# A diffusion model turns noise into data by solving an ordinary differential equation. Where does this equation come
# from, and why does it produce the right distribution although it contains no randomness? Whoever compares solvers
# needs its exact solution, because a comparison with "a very fine run" trusts the thing that is being tested. For which
# distributions of the data is the exact solution known?

# %% tags=["hide-input"]
import numpy as np
import sympy as sp
from IPython.display import Markdown, Math
from scipy.integrate import solve_ivp
from scipy.stats import norm

from bdia_numerics import problems, schedules
from bdia_numerics.pages.ledger import verdicts
from bdia_numerics.plots import Picture
from bdia_numerics.plots.results import transport
from bdia_numerics.schedules import probability_flow

# %% [markdown]
# ## Derivation
#
# ### Noisy states
#
# Data $\mathbf x\sim p_{\rm data}$ become noisy states by eq. (1) of [the paper](https://arxiv.org/abs/2307.10829):
#
# $$\mathbf z_t=\alpha_t\mathbf x+\sigma_t\boldsymbol\epsilon,\qquad\boldsymbol\epsilon\sim\mathcal N(\mathbf 0,\mathbf I).$$
#
# Given $\mathbf x$, the state has the density
# $k_t(\mathbf z\mid\mathbf x)=\mathcal N(\alpha_t\mathbf x,\sigma_t^2\mathbf I)$. Its marginal density is the average
# of these over the data,
#
# $$q_t(\mathbf z)=\int k_t(\mathbf z\mid\mathbf x)\,p_{\rm data}(\mathbf x)\,d\mathbf x .$$
#
# The *score* is $\nabla_{\mathbf z}\log q_t$. It points to where states are more likely.
#
# ### Step 1: a random process with these marginals
#
# Consider the linear stochastic differential equation $d\mathbf z=f(t)\,\mathbf z\,dt+g(t)\,d\mathbf w$ with a Wiener
# process $\mathbf w$. The density $p$ of its solution obeys the Fokker-Planck equation, which balances the drift and
# the diffusion of probability:
#
# $$\frac{\partial p}{\partial t}=-\nabla\cdot\big(f\,\mathbf z\,p\big)+\tfrac12g^2\,\nabla^2p .$$
#
# To find the $f$ and $g$ that make $k_t(\mathbf z\mid\mathbf x)$ a solution, look at its first two moments. The mean
# $\alpha_t\mathbf x$ must follow the drift, so $\dot\alpha=f\alpha$. The variance obeys $d\sigma^2/dt=2f\sigma^2+g^2$,
# because the drift scales it and the diffusion adds to it. Solving for $f$ and $g^2$ gives eq. (3):
#
# $$f=\frac{d\log\alpha}{dt},\qquad g^2=\frac{d\sigma^2}{dt}-2\,\frac{d\log\alpha}{dt}\,\sigma^2 .$$
#
# The library computes both from a schedule, in any number system. Here it does so on symbols:

# %%
t, z, x, eps = sp.symbols("t z x epsilon")
alpha, sigma = (sp.Function(name, positive=True) for name in ("alpha", "sigma"))
any_schedule = schedules.from_functions(alpha, sigma)
f, g2 = any_schedule.drift(t), any_schedule.diffusion2(t)
Math(rf"f(t)={sp.latex(f)},\qquad g^2(t)={sp.latex(sp.expand(g2))}")

# %% [markdown]
# The Fokker-Planck equation is linear, so if every $k_t(\mathbf z\mid\mathbf x)$ solves it, their average $q_t$ does,
# too. The random process therefore has the marginals $q_t$. The folded cell checks that $k_t$ is a solution for every
# schedule. In more dimensions $k_t$ is a product of such densities, one for each coordinate.

# %% tags=["hide-cell"]
kernel = sp.exp(-((z - alpha(t) * x) ** 2) / (2 * sigma(t) ** 2)) / sigma(t)
fokker_planck = -sp.diff(f * z * kernel, z) + g2 / 2 * sp.diff(kernel, z, 2)
assert sp.simplify((sp.diff(kernel, t) - fokker_planck) / kernel) == 0

# %% [markdown]
# ### Step 2: the same marginals without randomness
#
# Write the diffusion term as a transport. Since $\nabla q=q\,\nabla\log q$,
#
# $$\tfrac12g^2\,\nabla^2q=\nabla\cdot\big(\tfrac12g^2\,q\,\nabla\log q\big),
# \qquad\text{so}\qquad
# \frac{\partial q}{\partial t}=-\nabla\cdot\Big(\big[f\,\mathbf z-\tfrac12g^2\,\nabla\log q\big]\,q\Big).$$
#
# This is a continuity equation, which says how a density changes when every point moves with the velocity in the
# brackets, without any randomness. So points that start distributed as $q_T$ and follow
#
# $$\frac{d\mathbf z}{dt}=f(t)\,\mathbf z-\tfrac12g^2(t)\,\nabla_{\mathbf z}\log q_t(\mathbf z)$$
#
# are distributed as $q_t$ at every time $t$. This is the *probability-flow ODE*, eq. (2), of
# [Song et al. (2021)](https://arxiv.org/abs/2011.13456). The process and the ODE have equal marginals, but not equal
# paths: a path of the process is rough, and one of the ODE is smooth. The ODE runs in both directions, so it also takes
# an image to its noise.

# %% tags=["hide-cell"]
density_of = sp.Function("q")(z, t)
velocity = f * z - g2 / 2 * sp.diff(sp.log(density_of), z)
transported = -sp.diff(velocity * density_of, z)
diffused = -sp.diff(f * z * density_of, z) + g2 / 2 * sp.diff(density_of, z, 2)
assert sp.simplify(transported - diffused) == 0

# %% [markdown]
# ### Step 3: the score is the noise prediction
#
# A network is trained to guess the noise in a state, by minimising
# $\mathbb E\,|\hat\epsilon(\mathbf z_t,t)-\boldsymbol\epsilon|^2$. Among all functions of $\mathbf z$ the minimiser is
# the conditional mean: for any guess $\mathbf u$, with $\mathbf m=\mathbb E[\boldsymbol\epsilon\mid\mathbf z]$,
#
# $$\mathbb E\big[|\mathbf u-\boldsymbol\epsilon|^2\mid\mathbf z\big]=|\mathbf u-\mathbf m|^2
# +\mathbb E\big[|\mathbf m-\boldsymbol\epsilon|^2\mid\mathbf z\big],$$
#
# because the mixed term has the factor $\mathbb E[\mathbf m-\boldsymbol\epsilon\mid\mathbf z]=0$. The first term on the
# right is least for $\mathbf u=\mathbf m$. So a perfect network returns
# $\hat\epsilon(\mathbf z,t)=\mathbb E[\boldsymbol\epsilon\mid\mathbf z_t=\mathbf z]$.
#
# The score is the same conditional mean. Differentiate $q_t$ under the integral, and use
# $\nabla_{\mathbf z}k_t=-k_t\,(\mathbf z-\alpha_t\mathbf x)/\sigma_t^2$:
#
# $$\nabla\log q_t(\mathbf z)=\int\frac{k_t(\mathbf z\mid\mathbf x)\,p_{\rm data}(\mathbf x)}{q_t(\mathbf z)}\cdot
# \frac{-(\mathbf z-\alpha_t\mathbf x)}{\sigma_t^2}\,d\mathbf x
# =-\frac1{\sigma_t}\,\mathbb E\Big[\frac{\mathbf z-\alpha_t\mathbf x}{\sigma_t}\,\Big|\,\mathbf z\Big]
# =-\frac{\mathbb E[\boldsymbol\epsilon\mid\mathbf z]}{\sigma_t}.$$
#
# The fraction is the density of $\mathbf x$ given $\mathbf z$, by Bayes. The result is known as Tweedie's formula
# ([Efron, 2011](https://doi.org/10.1198/jasa.2011.tm11181)) and as denoising score matching
# ([Vincent, 2011](https://doi.org/10.1162/NECO_a_00142)). It is what eq. (5) of the paper ends with. The middle of eq.
# (5) lacks the conditional mean: it has the score of $\mathbf z$ *given one* $\mathbf x$.

# %% tags=["hide-cell"]
w, a, s_ = sp.symbols("w a s", positive=True)
atoms, shares = sp.symbols("x_1 x_2", real=True), (w, 1 - w)
terms = [
    p * sp.exp(-((z - a * one) ** 2) / (2 * s_**2))
    for p, one in zip(shares, atoms, strict=True)
]
noise_mean = sum(
    k * (z - a * one) / s_ for k, one in zip(terms, atoms, strict=True)
) / sum(terms)
assert sp.simplify(sp.diff(sp.log(sum(terms)), z) + noise_mean / s_) == 0

# %%
Markdown(verdicts("eq-5"))

# %% [markdown]
# ### Step 4: the right variables
#
# Put $\nabla\log q=-\hat\epsilon/\sigma$ into the ODE and change variables to
#
# $$\mathbf y=\mathbf z/\alpha_t,\qquad s=\sigma_t/\alpha_t .$$
#
# By hand we get
#
# $$\dot{\mathbf y}=\frac{\dot{\mathbf z}}\alpha-\mathbf z\,\frac{\dot\alpha}{\alpha^2}
# =\frac{\dot{\mathbf z}-f\mathbf z}\alpha=\frac{g^2\,\hat\epsilon}{2\alpha\sigma}.$$
#
# We also need $g^2=2\sigma\dot\sigma-2f\sigma^2=2\sigma\alpha\,\dot s$, since
# $\dot s=\dot\sigma/\alpha-\sigma f/\alpha$. Hence $\dot{\mathbf y}=\dot s\,\hat\epsilon$. The library does the same on
# symbols:

# %%
ode = probability_flow(lambda z, t: -eps / any_schedule.sigma(t), any_schedule)
slope_of_y = ode(z, t) / alpha(t) - z * alpha(t).diff(t) / alpha(t) ** 2
right_hand_side = sp.simplify(slope_of_y / any_schedule.sigma_bar(t).diff(t))
Math(rf"\frac{{d\mathbf y}}{{ds}}={sp.latex(right_hand_side)}")

# %% tags=["hide-cell"]
assert right_hand_side == eps

# %% [markdown]
# This is the one equation of the course, $d\mathbf y/ds=\hat\epsilon$: the noise prediction *is* the slope. In sampling
# $s$ runs downwards, from $\sigma_T/\alpha_T$ to the data end, so every step size in $s$ is negative. Schedules differ
# only in which values of $s$ a grid of times visits, and in the factor $\alpha$ by which an error of $\mathbf y$
# becomes an error of $\mathbf z$.
#
# ### The score of a mixture
#
# Let the data be a mixture $\sum_kw_k\,\mathcal N(\mu_k,c_k)$. Then $q_t$ is a mixture too, of
# $\mathcal N(m_k,v_k)$ with $m_k=\alpha_t\mu_k$ and $v_k=\alpha_t^2c_k+\sigma_t^2$. Differentiate the logarithm of
# $\sum_kw_k\,\mathcal N(z;m_k,v_k)$:
#
# $$\nabla\log q_t(z)=\sum_kr_k(z)\,\frac{m_k-z}{v_k},\qquad
# r_k(z)=\frac{w_k\,\mathcal N(z;m_k,v_k)}{\sum_jw_j\,\mathcal N(z;m_j,v_j)}.$$
#
# It is the mean of the components' scores, weighted with the probability $r_k(z)$ that $z$ comes from component $k$.
# The exact noise prediction is $-\sigma_t$ times it:

# %%
weights, means, variances = (0.3, 0.7), (-1.0, 1.0), (0.04, 0.09)
law = problems.GaussianMixture(weights, np.array(means)[:, None], variances)
schedule = schedules.vp_linear()
model = law.model(schedule)  # its noise prediction, in place of a network

# %% [markdown]
# The folded cell writes the density of $q_t$ with scipy, and compares its difference quotient with the score.


# %% tags=["hide-cell"]
def marginal(t):
    """Means and standard deviations of q's components at time t."""
    a, s = schedule.alpha(t), schedule.sigma(t)
    return a * np.array(means), np.sqrt(a**2 * np.array(variances) + s**2)


def density(z, t):
    m, d = marginal(t)
    return norm.pdf(np.asarray(z)[..., None], m, d) @ weights


def cdf(z, t):
    m, d = marginal(t)
    return norm.cdf(np.asarray(z)[..., None], m, d) @ weights


states, time, step = np.linspace(-2.5, 2.5, 11), 0.4, 1e-5
score = law.score(states[:, None], time, schedule)[:, 0]
by_differences = (
    np.log(density(states + step, time)) - np.log(density(states - step, time))
) / (2 * step)
largest = np.abs(score - by_differences).max()
print(f"largest difference between score and difference quotient: {largest:.1e}")
# step^2 and eps/step are both near 1e-10
assert np.allclose(score, by_differences, rtol=1e-8, atol=1e-8)

# %% [markdown]
# ### The flow of any distribution on the line
#
# In one dimension trajectories cannot cross, and the ODE carries probability along with them. What lies left of a
# trajectory therefore stays left of it. The distribution function $F$ is conserved:
#
# $$F_t(z_t)=F_T(z_T),\qquad\text{hence}\qquad z_t=F_t^{-1}\big(F_T(z_T)\big).$$
#
# This is the exact solution for every distribution on the line, without a single integration step. To prove it,
# integrate the continuity equation over $(-\infty,y]$. In $(y,s)$ it reads
# $\partial q/\partial s=-\partial(\hat\epsilon q)/\partial y$, so $\partial F/\partial s=-\hat\epsilon\,q$, and along a
# trajectory
#
# $$\frac{d}{ds}F_s(y(s))=\frac{\partial F}{\partial s}+q\,\frac{dy}{ds}=-\hat\epsilon\,q+q\,\hat\epsilon=0 .$$
#
# The ledger checks this identity, and compares numbers as well:

# %%
Markdown(verdicts("fact-17"))

# %% [markdown]
# ## Experiment
#
# Nine states at the noise end $t=1$ are carried to the data end. `law.flow` inverts the distribution function, and
# `flow_certificate` says so.

# %%
noise = norm.ppf(np.linspace(0.1, 0.9, 9))[:, None]
end = law.flow(noise, 1.0, 0.005, schedule)
print(law.flow_certificate.kind, "-", law.flow_certificate.detail)

# %% tags=["hide-input"]
times = np.concatenate([np.linspace(0.005, 0.2, 60), np.linspace(0.21, 1, 60)])
paths = np.array([law.flow(noise, 1.0, t, schedule)[:, 0] for t in times])
levels = np.linspace(-2.4, 2.4, 241)
drawn = np.array([density(levels, t) for t in times])
Picture(
    transport(
        times,
        levels,
        drawn,
        paths,
        xlabel="t (data left, noise right)",
        ylabel="z",
        ends={"t = 0.005": drawn[0], "t = 1": drawn[-1]},
    ),
    "Trajectories of the probability flow over the density of a two-component mixture, from one broad hump at t = 1 to two peaks",
)

# %% [markdown]
# *Figure 1.1. The probability flow takes one broad hump to the two modes of a mixture. Shading shows the density at
# each time, relative to its maximum, and lines are exact trajectories. The trajectory between the modes turns sharply,
# and there solvers make their largest errors. The right panel has the densities at both ends.*
#
# Is this the solution? We ask in three ways that do not rest on one another. The first is the conserved quantity,
# computed with scipy's normal distribution function. The second is an integration of eq. (2) in $t$ by
# `scipy.integrate`. The third is the library's own reference integrator in $(\mathbf y,s)$, which estimates its error.

# %% tags=["hide-input"]
conserved = np.abs(cdf(end[:, 0], 0.005) - cdf(noise[:, 0], 1.0)).max()
ode = probability_flow(
    lambda z, t: law.score(z[:, None], t, schedule)[:, 0], schedule
)
integrated = solve_ivp(
    lambda t, z: ode(z, t),
    (1.0, 0.005),
    noise[:, 0],
    method="DOP853",
    rtol=1e-11,
    atol=1e-12,
).y[:, -1]
reference = problems.reference_flow(model, schedule, noise, 1.0, 0.005)
print(f"F(end) - F(noise)              {conserved:.1e}")
print(f"scipy's solution in t          {np.abs(integrated - end[:, 0]).max():.1e}")
print(
    f"reference solution in (y, s)   {np.abs(reference.z - end).max():.1e}, its own estimate {reference.error:.1e}"
)
assert conserved < 1e-14
assert np.abs(integrated - end[:, 0]).max() < 1e-8
assert np.abs(reference.z - end).max() < reference.error

# %% [markdown]
# In the plane there is a closed form for special positions only, such as means on a line, or one centre. Three
# Gaussians in a triangle have none. For them the library gives a numerical solution with an error estimate, or an
# *enclosure*: an interval that certainly contains the solution, by Taylor steps in ball arithmetic
# ([Johansson, 2017](https://arxiv.org/abs/1611.02831)). It does not call either of them exact.

# %%
triangle = problems.GaussianMixture(
    [0.2, 0.3, 0.5], [[-1.0, 0.0], [1.0, 0.0], [0.0, 1.5]], [0.05, 0.1, 0.2]
)
start = np.array([[0.3, -0.4]])
estimated = triangle.flow_certified(start, 0.6, 0.5, schedule)
enclosed = problems.certified_flow(triangle, schedule, start, 0.6, 0.5)

# %% tags=["hide-input"]
middle = np.array([[float(x.mid()) for x in row] for row in enclosed.z])
for found in (estimated, enclosed):
    print(
        f"{found.certificate.kind}: {found.certificate.detail}, error {np.max(found.certificate.error):.1e}"
    )
print(f"distance of the two: {np.abs(middle - estimated.z).max():.1e}")
assert np.abs(middle - estimated.z).max() < np.max(estimated.certificate.error)

# %% [markdown]
# ## What we found
#
# - The process and the probability-flow ODE have equal marginals, because diffusion can be written as a transport along
#   the score.
# - The score is $-\hat\epsilon/\sigma$ for the conditional mean $\hat\epsilon$, which is what training aims at.
# - In $(\mathbf y,s)$ the ODE is $d\mathbf y/ds=\hat\epsilon$ for every schedule. All later chapters use these
#   variables.
# - Distributions on the line have an exact flow, to rounding. This course measures errors against it, and not against
#   fine runs.
#
# ## Exercises
#
# 1. **Warm-up.** Derive the flow of one Gaussian $\mathcal N(\mu,c)$ from the conservation of $F$, and compare it with
#    `problems.Gaussian`.
# 2. **Warm-up.** A network may be trained to predict the data, $\hat x=\mathbb E[\mathbf x\mid\mathbf z]$. Express
#    $\hat x$ by $\hat\epsilon$, and show that both trainings have the same optimum.
# 3. **Standard.** Show that the derivative of the flow is a ratio of densities,
#    $\partial z_t/\partial z_T=q_T(z_T)/q_t(z_t)$. Where is it large, and what does that mean for a solver?
# 4. **Standard.** Samplers start from $\mathcal N(0,\sigma_T^2)$, not from $q_T$. How wrong is the distribution of the
#    samples, even if the ODE is solved exactly? Use the Kolmogorov-Smirnov distance $\sup_z|F(z)-G(z)|$.
# 5. **Research.** A learned $\hat\epsilon$ is not exactly $-\sigma$ times a score. Step 2 then gives a transport of
#    some density, but not of $q_t$. Bound the distance of the marginals of the ODE and of the random process in terms
#    of the error of $\hat\epsilon$. Which of the two suffers more?
#
# ## Solutions
#
# <details><summary>Solution of exercise 1</summary>
#
# In $y$ the distribution at level $s$ is $\mathcal N(\mu,c+s^2)$, so $F_s(y)=\Phi\big((y-\mu)/\sqrt{c+s^2}\big)$, and
# equal values of $\Phi$ mean equal arguments:
#
# $$y_s=\mu+\sqrt{\frac{c+s^2}{c+s_T^2}}\;(y_T-\mu).$$
#
# </details>

# %% tags=["hide-cell"]
mu, c = 0.4, 0.25
s_from, s_to = schedule.sigma_bar(0.8), schedule.sigma_bar(0.1)
y = noise / schedule.alpha(0.8)
by_hand = schedule.alpha(0.1) * (
    mu + np.sqrt((c + s_to**2) / (c + s_from**2)) * (y - mu)
)
found = problems.Gaussian([mu], c).flow(noise, 0.8, 0.1, schedule)
print(f"largest difference: {np.abs(by_hand - found).max():.1e}")
assert np.allclose(by_hand, found, rtol=1e-13, atol=1e-13)

# %% [markdown]
# <details><summary>Solution of exercise 2</summary>
#
# Take the conditional mean of (1) given $\mathbf z$: $\mathbf z=\alpha\hat x+\sigma\hat\epsilon$, so
# $\hat x=(\mathbf z-\sigma\hat\epsilon)/\alpha$. An error of $\hat\epsilon$ becomes one of $\hat x$ with the factor
# $-\sigma/\alpha$, which depends on $t$ alone. At each $t$ both losses are therefore multiples of one another. Over all
# $t$ they weigh the times differently, but a perfect network is optimal for both.
#
# </details>
#
# <details><summary>Solution of exercise 3</summary>
#
# Differentiate $F_t(z_t)=F_T(z_T)$ by $z_T$: $q_t(z_t)\,\partial z_t/\partial z_T=q_T(z_T)$. The derivative is large
# where the end lies in a region that the data avoid, here between the modes. An error made early is multiplied by it.
#
# </details>

# %% tags=["hide-cell"]
ends_between = law.flow(np.array([[-0.25]]), 0.005, 1.0, schedule)
for where, state in (
    ("between the modes", ends_between),
    ("in the right mode", np.array([[0.8]])),
):
    landed = law.flow(state, 1.0, 0.005, schedule)
    ratio = density(state[0, 0], 1.0) / density(landed[0, 0], 0.005)
    print(f"{where}: ends at {landed[0, 0]:+.3f}, derivative {ratio:.3g}")
    jacobian = law.flow_jacobian(state, 1.0, 0.005, schedule)[0, 0, 0]
    assert np.isclose(jacobian, ratio, rtol=1e-9)

# %% [markdown]
# <details><summary>Solution of exercise 4</summary>
#
# The flow is an increasing map, and increasing maps do not change the Kolmogorov-Smirnov distance. So the distance at
# the data end is the distance at $t=T$, which needs no ODE at all. The check uses that a state ends left of $x$ if and
# only if it begins left of the state to which the exact flow takes $x$ back.
#
# </details>

# %% tags=["hide-cell"]
fine = np.linspace(-5, 5, 4001)
at_noise = np.abs(norm.cdf(fine, scale=schedule.sigma(1.0)) - cdf(fine, 1.0)).max()
back = law.flow(fine[:, None] / 2, 0.005, 1.0, schedule)[:, 0]
at_data = np.abs(
    norm.cdf(back, scale=schedule.sigma(1.0)) - cdf(fine / 2, 0.005)
).max()
print(
    f"distance at t = 1: {at_noise:.2e}; at the data end: {at_data:.2e}; alpha at t = 1: {schedule.alpha(1.0):.2e}"
)
# both are maxima over finite lists of points
assert np.isclose(at_noise, at_data, rtol=0.02)

# %% [markdown]
# <details><summary>First steps on exercise 5</summary>
#
# For the random process in reverse time, Girsanov's theorem bounds the Kullback-Leibler divergence by the integral of
# the squared error of the score, weighted with $g^2/2$. For the ODE no such bound by the squared error alone holds. The
# derivative of the divergence has a mixed term, the error of the score of the *model's own* density, which training
# does not control. [Song et al. (2021)](https://arxiv.org/abs/2101.09258) and
# [Lu et al. (2022)](https://arxiv.org/abs/2206.08265) are places to start. In one dimension you can measure both with
# this package: perturb `model` by a function of your choice.
#
# </details>
#
# ## Further reading
#
# - [Song et al. (2021)](https://arxiv.org/abs/2011.13456), section 4.3 and appendix D.1, have steps 1 and 2 for general
#   drift and diffusion.
# - [Anderson (1982)](https://doi.org/10.1016/0304-4149(82)90051-5) reverses the process itself in time.
# - [Karras et al. (2022)](https://arxiv.org/abs/2206.00364), appendix B, derive the ODE for general schedules.
# - The package's distributions are in [`problems`](../docs/api/problems.md), its schedules in
#   [`schedules`](../docs/api/grids.md). [Which flows are exact](../docs/flows.md) lists the closed forms.
# - [Chapter 2](02_ddim_as_euler.py) solves the equation with the simplest method there is.
