# %% [markdown]
# # 1. Probability flow and exact mixtures
#
# ## Question
#
# A diffusion model turns noise into data by solving an ordinary differential equation. Whoever compares solvers of it
# needs the exact solution: a comparison with "a very fine run" trusts the very thing that is on trial. For which distributions
# of the data do we know the equation exactly, for which the solution, and how do we know that we do?

# %% tags=["hide-input"]
import numpy as np
import sympy as sp
from IPython.display import Markdown, Math
from scipy.integrate import solve_ivp
from scipy.stats import norm

from bdia_numerics import problems, schedules
from bdia_numerics.pages.ledger import verdicts
from bdia_numerics.plots import Picture
from bdia_numerics.plots.flows import transport
from bdia_numerics.schedules import probability_flow

# %% [markdown]
# ## Derivation
#
# Data $\mathbf x\sim p_{\rm data}$ become noisy states, eq. (1) of the paper:
#
# $$\mathbf z_t=\alpha_t\mathbf x+\sigma_t\boldsymbol\epsilon,\qquad\boldsymbol\epsilon\sim\mathcal N(\mathbf 0,\mathbf I),$$
#
# with marginal distribution $q(\mathbf z;\alpha_t,\sigma_t)$. The *probability-flow ODE*, eq. (2)-(3), has the same marginals
# without any randomness after the first state:
#
# $$\frac{d\mathbf z}{dt}=f(t)\,\mathbf z-\tfrac12g^2(t)\,\nabla_{\mathbf z}\log q(\mathbf z;\alpha_t,\sigma_t).$$
#
# The coefficients follow from the schedule. The library computes them in any number system, so it also does so on
# symbols:

# %%
t, z, eps = sp.symbols("t z epsilon")
alpha, sigma = sp.Function("alpha"), sp.Function("sigma")
any_schedule = schedules.from_functions(alpha, sigma)
f, g2 = any_schedule.drift(t), any_schedule.diffusion2(t)
Math(rf"f(t)={sp.latex(f)},\qquad g^2(t)={sp.latex(sp.expand(g2))}")

# %% [markdown]
# A network is trained to predict the noise,
# $\hat\epsilon(\mathbf z,t)\approx\mathbb E[\boldsymbol\epsilon\,|\,\mathbf z_t=\mathbf z]$, and the score is
# $-\hat\epsilon/\sigma_t$ (eq. (5); more on its print below). Put that into the ODE and change variables to
#
# $$\mathbf y=\mathbf z/\alpha_t,\qquad s=\sigma_t/\alpha_t.$$
#
# Everything that belongs to the schedule then drops out:

# %%
slope_of_z = probability_flow(
    lambda z, t: -eps / any_schedule.sigma(t), any_schedule
)(z, t)
slope_of_y = slope_of_z / alpha(t) - z * alpha(t).diff(t) / alpha(t) ** 2
slope_of_s = any_schedule.sigma_bar(t).diff(t)
right_hand_side = sp.simplify(slope_of_y / slope_of_s)
assert right_hand_side == eps
Math(
    rf"\frac{{d\mathbf y}}{{ds}}=\frac{{d\mathbf y/dt}}{{ds/dt}}={sp.latex(right_hand_side)}"
)

# %% [markdown]
# This is the one equation of the whole field. $s$ runs from $\sigma_T/\alpha_T$ down to the data end, and the noise
# prediction *is* the slope. Schedules differ only in which values of $s$ a grid of times visits, and in the factor
# $\alpha$ with which the error of $\mathbf y$ is read.
#
# ### The score of a mixture
#
# Let the data be a mixture $\sum_kw_k\,\mathcal N(\mu_k,c_k)$. Then $q$ is a mixture too, of
# $\mathcal N(\alpha_t\mu_k,\;\alpha_t^2c_k+\sigma_t^2)$, and its score is elementary. `problems.GaussianMixture` has
# it; we write the density ourselves, to have something to hold it against.

# %%
weights, means, variances = (
    np.array([0.3, 0.7]),
    np.array([-1.0, 1.0]),
    np.array([0.04, 0.09]),
)
law = problems.GaussianMixture(weights, means[:, None], variances)
schedule = schedules.vp_linear()


def marginal(t):
    """Means and standard deviations of q's components at time t."""
    a, s = schedule.alpha(t), schedule.sigma(t)
    return a * means, np.sqrt(a**2 * variances + s**2)


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
print(
    f"largest difference between score and difference quotient: {np.abs(score - by_differences).max():.1e}"
)
assert np.allclose(
    score, by_differences, rtol=1e-8, atol=1e-8
)  # step^2 and eps/step are both near 1e-10

# %% [markdown]
# ### The flow of any distribution on the line
#
# In one dimension trajectories cannot cross, and the ODE carries probability along with them. So what lies left of a
# trajectory stays left of it: the distribution function is conserved,
#
# $$F_t(\mathbf z_t)=F_T(\mathbf z_T),\qquad\text{hence}\qquad\mathbf z_t=F_t^{-1}\big(F_T(\mathbf z_T)\big).$$
#
# That is the exact solution, for every distribution on the line, without a single integration step. The ledger proves the
# conservation from $\partial F/\partial s=s\,p'$ and calls the whole `measured`, since it also compares numbers:

# %%
Markdown(verdicts("fact-17"))

# %% [markdown]
# ## Experiment
#
# Nine states at the noise end, $t=1$, carried to the data end. `law.flow` inverts the distribution function;
# `flow_certificate` says so.

# %%
print(law.flow_certificate.kind, "-", law.flow_certificate.detail)
times = np.concatenate([np.linspace(0.005, 0.2, 60), np.linspace(0.21, 1, 60)])
noise = norm.ppf(np.linspace(0.1, 0.9, 9))
paths = np.array([law.flow(noise[:, None], 1.0, t, schedule)[:, 0] for t in times])
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
# *Figure 1.1. The probability flow of a mixture. Shading is the density at each time, relative to its maximum; lines
# are exact trajectories. The one between the modes turns sharply: that is where solvers err.*
#
# Is it the solution? Three answers that do not rest on one another. First, the conserved quantity, computed with
# scipy's normal distribution function. Second, an integration of eq. (2) in $t$ by `scipy.integrate`, from the drift,
# the diffusion and the score. Third, the library's own reference integrator in $(\mathbf y,s)$, which comes with an
# estimate of its error.

# %%
end = law.flow(noise[:, None], 1.0, 0.005, schedule)
conserved = np.abs(cdf(end[:, 0], 0.005) - cdf(noise, 1.0)).max()
ode = probability_flow(
    lambda z, t: law.score(z[:, None], t, schedule)[:, 0], schedule
)
integrated = solve_ivp(
    lambda t, z: ode(z, t),
    (1.0, 0.005),
    noise,
    method="DOP853",
    rtol=1e-11,
    atol=1e-12,
).y[:, -1]
reference = problems.reference_flow(
    law.model(schedule), schedule, noise[:, None], 1.0, 0.005
)
print(f"F(end) - F(noise)              {conserved:.1e}")
print(f"scipy's solution in t          {np.abs(integrated - end[:, 0]).max():.1e}")
print(
    f"reference solution in (y, s)   {np.abs(reference.z - end).max():.1e}, its own estimate {reference.error:.1e}"
)
assert conserved < 1e-14
assert np.abs(integrated - end[:, 0]).max() < 1e-8
assert np.abs(reference.z - end).max() < reference.error

# %% [markdown]
# In the plane there is a closed form for special positions only: means on a line, or one centre. Three Gaussians in a
# triangle have none. Then there is no "exact flow", and the library does not call it one. It gives a numerical solution
# with an estimate, or an *enclosure*: an interval with a proved radius, by Taylor steps in ball arithmetic.

# %%
triangle = problems.GaussianMixture(
    [0.2, 0.3, 0.5], [[-1.0, 0.0], [1.0, 0.0], [0.0, 1.5]], [0.05, 0.1, 0.2]
)
start = np.array([[0.3, -0.4]])
estimated = triangle.flow_certified(start, 0.6, 0.5, schedule)
enclosed = problems.certified_flow(triangle, schedule, start, 0.6, 0.5)
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
# - In $(\mathbf y,s)$ the probability-flow ODE is $d\mathbf y/ds=\epsilon$, for every schedule. All later chapters use
#   these variables.
# - Distributions on the line have an exact flow, to rounding. Errors of solvers in this book are measured against it, not
#   against fine runs.
# - The paper's eq. (5) is right in what it ends with and wrong in its middle: it prints the score of $\mathbf z$ *given
#   one* $\mathbf x$.

# %%
Markdown(verdicts("eq-5"))

# %% [markdown]
# ## Exercises
#
# 1. Derive the flow of one Gaussian $\mathcal N(\mu,c)$ from the conservation of $F$, and compare with
#    `problems.Gaussian`.
# 2. Show that the derivative of the flow is a ratio of densities, $\partial z_t/\partial z_T=q_T(z_T)/q_t(z_t)$. Where
#    is it large, and what does that mean for a solver?
# 3. Samplers start from $\mathcal N(0,\sigma_T^2)$, not from $q_T$. By how much is the distribution of the samples wrong, even
#    if the ODE is solved exactly? Use the Kolmogorov-Smirnov distance $\sup_z|F(z)-G(z)|$.
#
# ## Solutions
#
# **1.** In $y$ the distribution at level $s$ is $\mathcal N(\mu,c+s^2)$, so $F_s(y)=\Phi\big((y-\mu)/\sqrt{c+s^2}\big)$, and
# equal values of $\Phi$ mean equal arguments:
#
# $$y_s=\mu+\sqrt{\frac{c+s^2}{c+s_T^2}}\;(y_T-\mu).$$

# %% tags=["hide-cell"]
mu, c = 0.4, 0.25
s_from, s_to = schedule.sigma_bar(0.8), schedule.sigma_bar(0.1)
y = noise / schedule.alpha(0.8)
by_hand = schedule.alpha(0.1) * (
    mu + np.sqrt((c + s_to**2) / (c + s_from**2)) * (y - mu)
)
found = problems.Gaussian([mu], c).flow(noise[:, None], 0.8, 0.1, schedule)[:, 0]
print(f"largest difference: {np.abs(by_hand - found).max():.1e}")
assert np.allclose(by_hand, found, rtol=1e-13, atol=1e-13)

# %% [markdown]
# **2.** Differentiate $F_t(z_t)=F_T(z_T)$ by $z_T$: $q_t(z_t)\,\partial z_t/\partial z_T=q_T(z_T)$. It is large where
# the end lies in a region that the data avoid, here between the modes. An error made early is multiplied by it.

# %% tags=["hide-cell"]
ends_between = law.flow(np.array([[-0.25]]), 0.005, 1.0, schedule)
for where, state in (
    ("between the modes", ends_between),
    ("in the right mode", np.array([[0.8]])),
):
    landed = law.flow(state, 1.0, 0.005, schedule)
    ratio = density(state[0, 0], 1.0) / density(landed[0, 0], 0.005)
    print(f"{where}: ends at {landed[0, 0]:+.3f}, derivative {ratio:.3g}")
    assert np.isclose(
        law.flow_jacobian(state, 1.0, 0.005, schedule)[0, 0, 0], ratio, rtol=1e-9
    )

# %% [markdown]
# **3.** The flow is an increasing map, and increasing maps do not change the Kolmogorov-Smirnov distance. So it is the
# distance at $t=T$, which needs no ODE at all. We check it on samples' distribution function at the data end: a state
# ends left of $x$ iff it begins left of the state that the exact flow takes back from $x$.

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
assert np.isclose(
    at_noise, at_data, rtol=0.02
)  # both are maxima over finite lists of points
