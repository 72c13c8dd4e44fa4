"""Mistakes of a hurried user are answered in one line with the argument, its value and the remedy; none ends inside the package."""

import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import bdia_numerics
from bdia_numerics import (
    analysis,
    configs,
    grids,
    inversion,
    names,
    problems,
    schedules,
    studies,
    testing,
)
from bdia_numerics.analysis import GridFamily

VP, SD = schedules.vp_linear(), schedules.stable_diffusion()
GRID = grids.uniform(VP, 6, t_max=0.9, t_min=0.1)
LAW = problems.GaussianMixture([0.4, 0.6], [[-1.0], [1.5]], [0.6, 0.4])
PLANE = problems.Gaussian([0.0, 0.0], 1.0)
MODEL = LAW.model(VP)
Z = np.array([[0.5], [-1.0]])
SOLVED = bdia_numerics.solve(bdia_numerics.BDIA(), MODEL, GRID, Z)


def run(line, *registers):
    """Solve with a step whose lines come after its registers are unpacked and the network is evaluated at z."""

    def step(s):
        exec(f"{', '.join(registers)}, = s.registers; e = s.eps(z); {line}", {"s": s, "np": np})

    return bdia_numerics.solve(SimpleNamespace(registers=registers, step=step), MODEL, GRID, Z)


NAMES = {name: getattr(bdia_numerics, name) for name in bdia_numerics.__all__} | {
    "analysis": analysis,
    "configs": configs,
    "replace": replace,
    "GridFamily": GridFamily,
    "names": names,
    "problems": problems,
    "np": np,
    "studies": studies,
    "testing": testing,
    "bdia_numerics": bdia_numerics,
    "run": run,
    "VP": VP,
    "SD": SD,
    "grid": GRID,
    "law": LAW,
    "plane": PLANE,
    "model": MODEL,
    "z": Z,
    "solved": SOLVED,
    "nan": float("nan"),
}

MISTAKES = """
# Named by those who made them
run("s.assign(z, z + s.delta(s.i, s.i - 1, z, e))", "z") | the step assigns z | write s.assign(z, ..., at=s.i - 1)
run("s.assign(y, y + s.delta(s.i, s.i - 1, z, e), at=s.i - 1)", "y", "z") | never moves z | exchange it at the end, s.swap(y, z)
run("s.assign(z, np.exp(s.alpha(s.i)) * z, at=s.i - 1)", "z") | alpha, sigma and t have no value | s.function('exp', x)
run("s.assign(z, z + np.random.normal() * s.delta(s.i, s.i - 1, z, e), at=s.i - 1)", "z") | another one each time | draw no random numbers
run("s.alpha(s.i) > .5", "z") | alpha, sigma and t have no value | a function of the slot
solve(BDIA(), model, grid, z, start="DDIM") | start='DDIM' is text | pass an instance, such as DDIM(), or names.solver('DDIM')
encode(BDIA(), model, grid, solved.state) | x_0 is a State | pass it to invert
encode(DDIM(), model, grid, z, "ddmi") | inversion='ddmi' is unknown | use one of default, ddim
law.sample(3, -1) | rng=-1 draws nothing | the seed, an int of at least 0
analysis.work_precision([BDIA()], [law], {"g": GridFamily()}, (6,)) | problems=[GaussianMixture( | pass a dict from labels
analysis.work_precision([BDIA()], {"p": law}, [GridFamily()], (6,)) | grids=[GridFamily( | pass a dict from labels
analysis.amplification(BDIA(), "invert", grid) | the grid comes before the direction | amplification(solver, grid)
analysis.required_dtype(BDIA(), 1e-3, grid) | the grid comes before the tolerance | required_dtype(solver, grid, tolerance)
analysis.best_gamma(grid, law) | the problem comes before the grid | best_gamma(problem, grid)
analysis.leading_error(BDIA(), law, 1.0, VP, t_max=0.9, t_min=0.1) | the schedule comes before the states | (solver, problem, schedule, z)
testing.assert_order(BDIA(), "1") | order='1' is not a number | pass a float
solve(BDIA(), model, grid, z=[[0.0], [1.0, 2.0]]) | z is a list that holds [0.0] | with rows of equal lengths
testing.certify(BDIA(), "order=2") | claims='order=2' is not a collection | pass a list of them
testing.certify(BDIA(), [3]) | claim='3' is unknown | use one of order
testing.certify(lambda eps, grid, z: None, ["nfe=1"]) | <lambda> returned None for states of shape ( | return the state
analysis.work_precision([BDIA()], {"p": law}, {"g": lambda n: n}, (6,)) | grids['g'](n)=6 is not a Grid | make one
encode(BDIA(), model, grid, z, lambda: 3) | method=<lambda>() does not take (solver, model, grid, x_0) | pass a function
problems.from_score(lambda z, t, s: -z, z, dimension=1) | sample=array( | pass a function of (n, rng)
# Arguments of another kind, or in another place
solve(model, BDIA(), grid, z) | the solver comes before the model | solve(solver, model, grid, z)
solve(BDIA(), law, grid, z) | model=GaussianMixture( | pass a function of (z, t)
solve(BDIA(), model, grid) | solve: missing 1 required positional argument: 'z' | use solve(solver, model, grid, z
solve(BDIA(), model, grid, x_T=z) | no parameter x_T=array( | use solve(solver, model, grid, z
solve(BDIA(), model, grid, z, callback=3) | callback=3 is not callable | pass a function
solve(BDIA(), model, grid, z, True) | start=True makes no first states | pass a one-step solver such as DDIM()
solve(BDIA(), model, grid, z, start=solved.state) | start=State( | a State is passed as z
solve(BDIA(), model, grid, z, start=[z, z]) | start gives 2 states | pass so many
solve(BDIA(), model, grid, solved) | z=Solution( | pass its .z, or its .state
solve(BDIA(), model, grid, "noise") | z: 'noise' | pass an array of real floats
solve(BDIA(), model, grid, None) | z: None | pass an array of real floats
solve(BDIA(), model, grid, z * nan) | z holds NaN | pass finite states
solve(BDIA(), lambda z: z, grid, z) | model=<lambda>(z) does not take (z, t) | pass a function of (z, t)
solve(BDIA(), lambda z, t, c: z, grid, z) | model=<lambda>(z, t, c) does not take | pass a function of (z, t)
solve(BDIA(), models.x0, grid, z) | model=x0(f) does not take | pass a function of (z, t)
solve(BDIA(), lambda z, t: z[:1], grid, z) | has shape (1, 1), z has (2, 1) | return an array like z
solve(BDIA(lambda i, j: 1), model, grid, z) | gamma=<lambda>(i, j) does not take (slot) | pass a function of (slot)
run("s.assign(z, z**2, at=s.i - 1)", "z") | to the power 2 is not linear | take powers of states in the model
run("s.model(z)", "z") | a step has no s.model | s has registers
run("s.z", "z") | a step has no s.z | write z, = s.registers
run("s.eps('z')", "z") | evaluated at 'z' | pass a register
invert(BDIA(), model, grid, solved) | state=Solution( | pass the .state of a Solution
invert(BDIA(), model, grid, replace(solved.state, registers={"z": z})) | state holds z | pass one with z_prev, z
invert(PLMS(2), model, grid[:1], solve(PLMS(2), model, grid[:1], z).state) | no register keeps the state at the noise end | use encode
invert(EDICT(), model, grid, solved.state) | not of EDICT( | run the solver that made it
encode(DDIM(), model, grid, z, 10) | method=10 is not an inversion | a name, such as 'ddim'
encode(DDIM(), model, grid, z, inversion.DDIMInversion) | method=<class | pass an instance
round_trip(BDIA(), model, grid, z, "image") | end='image' is unknown | use one of noise, data
round_trip(BDIA(), model, grid, z, reference=VP) | reference=VPLinear( | pass the true state at the far end
inversion.edit_friendly(model, grid, z, None) | rng=None draws nothing | pass numpy.random.default_rng(seed)
fit(BDIA(), model, grid, z) | solver=BDIA( | pass IIADDIM()
datasheet("BDIA") | solver='BDIA' is text | pass an instance, such as BDIA(), or names.solver('BDIA')
invertibility(BDIA) | solver=BDIA is a class | pass an instance, for instance BDIA()
step_latex(grid) | solver=Grid( | it needs an attribute registers and a method step(s)
# Parameters of solvers
BDIA(gama=1) | no parameter gama=1 | use gamma=
BDIA("0.5") | gamma='0.5' is not a real number | pass a number in [0, 1]
BDIA(96) | gamma=96 lies outside [0, 1] | or allow_any=True
BDIA(np.bool_(True)) | gamma=np.True_ | pass a number in [0, 1]
EDICT(p=-1) | p=-1 lies outside | pass a number in [0, 1]
PLMS(order=9) | order=9 is unknown | use one of 1, 2, 3, 4
PLMS(order=2.0) | order=2.0 is unknown | use one of 1, 2, 3, 4
PLMS(order=True) | order=True is unknown | use one of 1, 2, 3, 4
Heun("T") | variable='T' is unknown | use t
SymmetricMultistep(c=1) | c=1 lies outside (-1, 1) | pass a number in (-1, 1)
SymmetricMultistep(c2="4/5") | c2='4/5' is not a real number | pass a number in (-1, 1)
SymmetricMultistep(5, 0.8) | c=c2=0.8: two roots are double | pass two different numbers
EES(0.5) | x=0.5 has no method in this family | pass a number that is not 1
McCallumFoster(base=RK4) | base=<class | use Euler(), Midpoint(), RK4()
Rex(base="DDIM") | base='DDIM' | use Euler()
bdia_numerics.BDAI | no attribute 'BDAI' | use BDIA or CBDIA
names.solver("bdia:gama=1") | gama is not a parameter of BDIA | which takes gamma
names.grid("karas") | grid='karas' is unknown | use karras
names.grid("flow")(VP, 0) | n=0 | needs at least 1 slot
names.grid("cut")(VP, 5) | cut spacing counts training steps | use grids.uniform
names.grid("cut")(SD, 0) | n=0 | needs at least 2 slots
names.distribution("gauss") | distribution='gauss' is unknown | use gaussian
# Grids
grids.uniform(20, VP) | the schedule comes before the n | uniform(schedule, n)
grids.uniform(VP, "20") | n='20' is not a number of slots | pass an int
grids.uniform(VP, -5) | n=-5 | needs at least 1 slot
grids.uniform(VP, steps=5) | no parameter steps=5 | use uniform(schedule, n
grids.uniform("vp_linear", 5) | schedule='vp_linear' is not a schedule | pass one of `schedules`
grids.uniform(schedules.vp_linear, 5) | schedule=<function vp_linear | pass one of `schedules`
grids.uniform(VP, 5, t_max=np.array([0.9])) | t_max=[0.9] is not a number | pass an int, a float
grids.uniform(VP, 5, t_max=nan) | t_max=nan is not finite | pass finite numbers
grids.uniform(VP, 5, t_max=1000) | t_max=1000 is outside the schedule | need 0 <= t <= 1
grids.karras(VP, 5, rho=0, t_min=0.1) | rho=0 | for instance rho=7
grids.alternating(VP, 6, tmax=0.5) | no parameter tmax=0.5 | use t_max=
grids.alternating(VP, 6, ratio="2") | ratio='2' is not a relative step | pass numbers
grids.periodic(VP, 6, pattern=2) | pattern=2 is not a sequence | pass numbers
grids.random(VP, 6, seed="a") | seed='a' is not a seed | pass an int
grids.leading(VP, 5) | VPLinear( | use grids.uniform
grids.leading(SD, 5, steps_offset="1") | steps_offset='1' is not a whole number | pass an int
grids.from_timesteps(SD, 50) | ts=50 is not a collection | pass a list
grids.from_timesteps(SD, [1, 5, 9]) | 9 comes after 5 | sort it, noise end first
grids.from_timesteps(SD, [[9, 5], [4, 1]]) | ts=[[9, 5], [4, 1]] is not a list of numbers | pass one number a point
grids.from_values([0, 1], None, [0, 1]) | alpha=None is not a list of numbers | pass one number a point
grids.from_scheduler("DDIM") | scheduler='DDIM' | pass a scheduler of diffusers
grid[::2] | grid[slice(None, None, 2)] | take a part with grid[a:b]
GridFamily("smoth") | kind='smoth' is unknown | use smooth
GridFamily("smooth", "vp_linear") | schedule='vp_linear' is not a schedule | pass one of `schedules`
GridFamily(variable="lambda") | variable='lambda' is unknown | use one of t, sigma_bar
# Schedules and distributions
schedules.vp_linear(beta_start=0.1) | no parameter beta_start=0.1 | vp_linear(beta_min=, beta_max=)
schedules.vp_linear([0.1], 20) | beta_min=[0.1] is not a finite number | pass an int, a float
schedules.from_functions("1-t", "t") | alpha='1-t' is not callable | pass a function
schedules.from_alphas_cumprod([0.9, nan]) | alphas_cumprod=array([0.9, nan]) | pass a finite table
schedules.from_alphas_cumprod([0.1, 0.5]) | alphas_cumprod[1]=0.5 | must fall strictly and stay in [0, 1]
VP.alpha("0.5") | t: '0.5' | pass an array of real floats
schedules.from_functions(lambda t: 1 - t, lambda t: t, alpha_dot=lambda t: 1.0) | alpha_dot is 1.0 at t=0.137 | leave it out
schedules.from_functions(lambda t: 1 - t, lambda t: t, sigma_dot=lambda t: 0.9997) | sigma_dot is 0.9997 | changes there by 1 a unit
schedules.from_functions(lambda t: 1 - t, lambda t: t, variance_preserving=True) | = 0.625 at t=0.25, not 1 | leave it out
VP.time("angle", 2.0) | angle=2.0 | lies in [0, pi/2]: give one there
VP.time("sigma_bar", 1000.0) | sigma_bar=1000.0: t=1.17333 is outside the schedule | need 0 <= t <= 1
VP.time("sigma_bar", -1.0) | sigma_bar=-1.0 is negative | noise levels are at least 0
VP.time("log_snr", nan) | log_snr=nan: t=nan is outside the schedule | need 0 <= t <= 1
VP.time("t", 5.0) | t=5 is outside the schedule | need 0 <= t <= 1
schedules.probability_flow(lambda z, t: z[:1], VP)(z, 0.5) | score(z, t=0.5) has shape (1, 1), z has (2, 1) | return an array like z
VP.time("sigma", 0.5) | variable='sigma' is unknown | use one of t, sigma_bar
problems.Gaussian([0.0], std=1.0) | no parameter std=1.0 | use Gaussian(mean, cov=)
problems.Gaussian([nan], 1.0) | mean contains nan | pass finite numbers
problems.GaussianMixture([0.4, 0.4], [[-1.0], [1.5]], [0.6, 0.4]) | weights sums to 0.8 | divide the weights by their sum
problems.Empirical("data.npy") | data has dtype | pass real numbers
problems.Product("ab") | factors[0] is a str | pass distributions
problems.normal_quantiles(2.5) | n=2.5 is not a number of states | pass an int
problems.reference_flow(model, VP, z, 0.9, 0.1, rtol="1e-6") | rtol='1e-6' is not a number | pass a float
problems.reference_flow(model, VP, z, 0.9, 0.1, method="rk45") | method='rk45' is unknown | use one of auto
problems.certified_flow(law, VP, z, 1.9, 0.1) | t=1.9 is outside the schedule | need 0 <= t <= 1
problems.reference_flow(model, VP, z, 0.9, -0.1) | t_to=-0.1 is outside the schedule | need 0 <= t <= 1
problems.reference_flow(lambda z, t: z[:1], VP, z, 0.9, 0.1) | model(z, t=0.9) has shape (1, 1) | return an array like z
law.score(z, [0.5, 0.6], VP) | t=[0.5, 0.6] is not one time | pass a number
law.model(VP)(z, "1.5") | t=1.5 is outside the schedule | need 0 <= t <= 1
law.model(grid) | schedule=Grid( | pass one of `schedules`
law.model(VP, compute_dtype="f4") | compute_dtype='f4' is unknown | use one of float64
law.sample("3", 0) | n='3' is not a number of draws | pass an int
law.flow(z, 1.5, 0.5, VP) | t=1.5 is outside the schedule | need 0 <= t <= 1
law.score(z, -0.5, VP) | t=-0.5 is outside the schedule | need 0 <= t <= 1
law.score(z, VP, 0.5) | schedule=0.5 is not a schedule | pass one of `schedules`
# Analysis, models, number systems, studies
analysis.observed_order(BDIA(), law, "alternate") | family='alternate' is unknown | use alternating
analysis.observed_order(BDIA(), law, grid) | family=Grid( | pass a name such as 'alternating'
analysis.observed_order(BDIA(), law, steps="10,20") | steps='10,20' is not a sequence of whole numbers | pass numbers like
analysis.global_error(BDIA(), law, 20) | grid=20 is not a Grid | make one
analysis.global_error(BDIA(), law, grid, seed="a") | seed='a' is not a whole number | pass an int
analysis.zero_stability(BDIA(), "forward") | direction='forward' is unknown | use one of sample, invert
analysis.order_conditions(RK4(), "4") | order='4' is not a whole number | pass an int
analysis.stability_region(BDIA(), real=(1, -4)) | real=(1, -4) is not a part of the axis | pass (low, high)
analysis.stability_region(BDIA(), real=(1, 1)) | real=(1, 1) is not a part of the axis | pass (low, high)
analysis.stability_region(BDIA(), resolution=0) | resolution=0 | give 2 points or more
analysis.leading_error(BDIA(), law, VP, 1.0, t_max=0.1, t_min=0.9) | t_min=0.9, t_max=0.1 | need t_min < t_max
analysis.leading_error(BDIA(), law, VP, 1.0, t_max=1.9, t_min=0.1) | t_max=1.9 is outside the schedule | need 0 <= t <= 1
analysis.Multistep((0, 1, 0), (2,)) | a has 3 weights and b 1 | pass b_1, ..., b_{k-1} to k of a
analysis.worst_amplification(BDIA(), grid, J_min=-1, J_max=1, sweeps=-1) | sweeps=-1 | give 1 or more
analysis.model_jacobian(lambda z, t: z[:1], z, 0.5) | model(z, t=0.5) has shape (1, 1) | return an array like z
analysis.lint(grid, steps=50) | steps: a grid has times of its own | leave it out, or pass a configuration
analysis.global_error(BDIA(), law, grid, seed=-1) | rng=-1 draws nothing | the seed, an int of at least 0
inversion.edit_friendly(model, grid.reversed(), z, 0) | grid is a reversed one | pass grid.reversed() of it
Composed(ALF) | base=<class | use ALF()
spaces.MPMath(True) | dps=True is not a number of digits | use a positive integer
analysis.amplification(BDIA(), grid, J="x") | J='x' is not a number | pass d eps/dz
analysis.inverse_growth(BDIA(), grid, "noise") | prediction='noise' is unknown | use one of eps
analysis.gaussian_jacobian("1") | variance='1' is not a number | pass a float
analysis.round_trip_error(BDIA(), grid, data_rms=-1) | data_rms=-1 is not a positive number | pass one
analysis.work_precision([BDIA()], {"p": law}, {"g": grid}, (6,)) | family=Grid( | a function of n
analysis.lint({"_class_name": "DDIMScheduler"}, steps="50") | steps='50' is not a whole number | pass an int
models.guided(model, model, "7.5") | scale='7.5' is not a guidance scale | pass a finite number
models.guided(model, None, 7.5) | uncond=None is not callable | pass a function of (z, t)
models.guided(model, lambda z, t: z[:1], 2)(z, 0.5) | uncond(z, t=0.5) has shape (1, 1), z has (2, 1) | return an array like z
models.as_prediction(lambda z, t: z[:1], VP, "x0")(z, 0.5) | model(z, t=0.5) has shape (1, 1) | return an array like z
models.x0(law.model(VP)) | predicts eps, not x0 | convert it with models.as_prediction
models.counted(grid) | model=Grid( | pass a function of (z, t)
spaces.Lattice.from_float(z, bits="40") | bits='40' | pass an int from 0 to 59
spaces.MPMath("50") | dps='50' is not a number of digits | use a positive integer
State.load(None) | path=None is not a path | pass the name of a file
State.load(__file__) | holds no State | pass a file written by State.save
studies.run("convergence") | study='convergence' is not a Study | pass one of studies.STUDIES
studies.processes("two") | workers=two is not a whole number | write one like 40
configs.layout({"_class_name": "DDIMScheduler"}, 10) | config={'_class_name' | pass configs.from_mapping(config)
configs.from_mapping([1]) | config=list is not a table | pass a scheduler_config.json
# Assertions
testing.assert_order(3, 1) | 3 is not a sampler | pass an object with registers and step
testing.assert_order(BDIA(), 1, family=grid) | family=Grid( | pass a name such as 'alternating'
testing.assert_order(lambda eps, z: z, 1) | subject=<lambda>(eps, z) does not take | pass a function of (eps, grid, z)
testing.assert_order(BDIA(), 1, tolerance="x") | tolerance='x' is not a number | pass a float
testing.assert_order(BDIA(), 3, tolerance=1.5) | tolerance=1.5: orders are 1 apart | pass a number from 0 to below 1
testing.assert_nfe(BDIA(), 1.5) | per_step=1.5 is not a whole number | pass an int
testing.assert_exactly_invertible(lambda eps, grid, z: z, invert=3) | invert=3 is not callable | pass a function of (eps, grid, x)
testing.assert_latent_valid(BDIA(), tolerance=nan) | tolerance=nan is not a number | pass a float
testing.assert_same(DDIM(), BDIA(), tolerance=float("inf")) | tolerance=inf | pass a number from 0 to below 1
testing.from_kdiffusion("sample_euler") | function='sample_euler' cannot be called | pass a sampler of k-diffusion
"""
ROWS = [[part.strip() for part in line.split(" | ")] for line in MISTAKES.strip().splitlines() if line[0] != "#"]
PACKAGE = str(Path(bdia_numerics.__file__).parent)


def refused(call):
    """Return what is said of a mistake, in one line, by a `raise` of the package."""
    with pytest.raises((TypeError, ValueError, AttributeError)) as caught:
        call()
    message, last = str(caught.value), caught.traceback[-1]
    assert str(last.path).startswith(PACKAGE), f"raised in {last.path}"
    assert "\n" not in message and 20 < len(message) < 420
    return message


@pytest.mark.parametrize(("call", "mistake", "remedy"), ROWS, ids=[row[0] for row in ROWS])
def test_a_mistake_is_answered_with_the_argument_its_value_and_the_remedy(call, mistake, remedy):
    message = refused(lambda: eval(call, {"__file__": __file__}, NAMES))
    assert mistake in message and remedy in message
    # The remedy comes after what was wrong.
    assert message.index(mistake) < message.rindex(remedy)


def test_the_table_is_of_the_public_names():
    called = {re.match(r"(?:[a-z]\w*\.)*(\w+)", call)[0] for call, *_ in ROWS}
    assert len(ROWS) >= 100 and len(called) >= 50


def test_lists_ints_and_bytes_in_another_order_are_states():
    exact = bdia_numerics.solve(bdia_numerics.BDIA(), MODEL, GRID, np.array([[0.0], [1.0]])).z
    swapped = np.array([[0.0], [1.0]]).astype(">f8")
    for z in ([[0.0], [1.0]], [[0], [1]], np.array([[0], [1]]), swapped):
        found = bdia_numerics.solve(bdia_numerics.BDIA(), MODEL, GRID, z)
        assert found.z.dtype == np.dtype(np.float64) and found.z.dtype.isnative and np.array_equal(found.z, exact)
        again = bdia_numerics.round_trip(bdia_numerics.BDIA(), MODEL, GRID, z=z)
        assert again.far.dtype.isnative and np.array_equal(again.far, exact)
    single = bdia_numerics.solve(bdia_numerics.BDIA(), MODEL, GRID, swapped.astype(">f4"))
    assert single.z.dtype == np.float32 and single.state.registers["z_prev"].dtype.isnative


def test_what_the_start_alone_makes_is_encoded_by_its_reverse():
    """Nothing is undone there, so that the data came back as their own latent."""
    for solver, n in ((bdia_numerics.PLMS(4), 3), (bdia_numerics.DPMSolverPP(2), 1)):
        found = bdia_numerics.encode(solver, MODEL, GRID[:n], Z)
        assert found.inversion == "solver on the reversed grid" and not np.isclose(found.z, Z).any()


def test_names_stand_for_families_and_inversions():
    named, made = (
        testing.order_of(bdia_numerics.DDIM(), family=f, steps=(8, 12, 16, 24, 32), states=2)
        for f in ("alternating", GridFamily("alternating"))
    )
    assert named == made
    by_name, by_object = (
        bdia_numerics.encode(bdia_numerics.DDIM(), MODEL, GRID, Z, method).z
        for method in ("DDIM", inversion.DDIMInversion())
    )
    assert np.array_equal(by_name, by_object)
    assert np.array_equal(LAW.sample(4, 7), LAW.sample(4, np.random.default_rng(7)))


def test_torch_is_asked_for_by_its_extra():
    code = (
        "import sys; sys.modules['torch'] = None\n"
        "try: import bdia_numerics.torch\n"
        "except ImportError as error: print(error)"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60).stdout
    assert said.strip() == "bdia_numerics.torch needs torch: pip install 'bdia_numerics[torch]'"


def test_schedulers_and_tensors_are_asked_for_in_words():
    torch = pytest.importorskip("torch")
    from diffusers import DDPMScheduler

    from bdia_numerics.torch import noise, repeatability, sample
    from bdia_numerics.torch.schedulers import BDIAScheduler, SolverScheduler

    scheduler, X, T = BDIAScheduler(), torch.zeros(2, 3), torch.tensor([5])
    scheduler.set_timesteps(4)
    for call, *words in (
        (lambda: SolverScheduler(solver=bdia_numerics.BDIA()), "solver=BDIA(", "use solver_spec=, a text"),
        (lambda: SolverScheduler(solver_spec=bdia_numerics.BDIA()), "solver_spec=BDIA(", "pass a name such as"),
        (lambda: BDIAScheduler(gama=1), "gama=1", "use gamma="),
        (lambda: BDIAScheduler.from_config([1]), "config=[1]", "pass the .config of a scheduler"),
        (lambda: scheduler.step(Z, 750, Z), "model_output=array(", "pass torch.as_tensor(model_output)"),
        (lambda: sample(bdia_numerics.BDIA(), MODEL, GRID, Z), "z=array(", "pass torch.as_tensor(z)"),
        (lambda: repeatability(MODEL, Z), "z=array(", "pass torch.as_tensor(z)"),
        (lambda: noise((2, 1), GRID, "0", dtype=torch.float32), "seed='0'", "pass an int"),
        (lambda: noise((2, 1), GRID, 0, dtype=torch.int32), "dtype=torch.int32", "pass one such as torch.float32"),
        (lambda: scheduler.add_noise(X, X[:1], T), "noise has shape (1, 3), the samples (2, 3)", "draw noise of their"),
        (lambda: scheduler.add_noise(X, X, T.repeat(3)), "timesteps has 3 times for 2 samples", "or one a sample"),
        (lambda: noise((2, 1), GRID, 0, dtype="float32"), "dtype='float32'", "pass one such as torch.float32"),
        (lambda: testing.assert_order(DDPMScheduler(), 1), "DDPMScheduler adds noise", "no exact solution"),
    ):
        message = refused(call)
        assert all(word in message for word in words), message


@pytest.mark.parametrize(
    ("solver", "reason"),
    [
        ("DDIM", "the network is needed at the old z, which the step has overwritten"),
        ("Midpoint", "the network is needed at a state made of the old z, which the step has overwritten"),
        ("RFSolver", "the old z is needed, which the step has overwritten"),
    ],
)
def test_an_inverse_is_refused_by_what_it_lacks(solver, reason):
    assert f"to undo the step {reason} (slot" in bdia_numerics.invertibility(bdia_numerics.SOLVERS[solver]()).reason
