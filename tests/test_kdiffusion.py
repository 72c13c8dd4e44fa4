"""Solvers in the calling convention of k-diffusion equal the published samplers, written anew here, and return exactly."""

import doctest
import re
import sys
from fractions import Fraction
from functools import partial
from itertools import pairwise
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from bdia_numerics import ALF, BDIA, CBDIA, DDIM, DEIS, EDICT, OBELM, DPMSolverPP, Heun, ReversibleHeun  # noqa: E402
from bdia_numerics.runs.state import State  # noqa: E402
from bdia_numerics.testing import assert_latent_valid, assert_nfe, assert_order, from_kdiffusion  # noqa: E402
from bdia_numerics.torch import kdiffusion  # noqa: E402
from bdia_numerics.torch.kdiffusion import sampler, unsampler  # noqa: E402
from bdia_numerics.torch.networks import steadiness  # noqa: E402

torch.set_num_threads(1)
RAMP = np.linspace(14.6146 ** (1 / 7), 0.0292 ** (1 / 7), 11) ** 7
SIGMAS = torch.tensor([*RAMP, 0.0], dtype=torch.float64)
WEIGHT = torch.tensor([[0.3, 0.5, 0.0], [-0.2, 0.4, 0.1], [0.0, 0.3, 0.6]], dtype=torch.float64)
X = torch.randn(2, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def denoiser(x, sigma, shift=0.0):
    """A curved one, which looks at sigma and at a condition."""
    s = sigma[:, None].to(x)
    return torch.tanh((x @ WEIGHT.T.to(x) + shift) / (1 + s)) + x / (1 + s**2) / 2


def slope(model, x, s):
    return (x - model(x, s * x.new_ones(len(x)))) / s


def euler(model, x, sigmas, disable=None):
    for s, end in pairwise(sigmas):
        x = x + (end - s) * slope(model, x, s)
    return x


def heun(model, x, sigmas, disable=None):
    """Algorithm 1 of Karras et al. 2022."""
    for s, end in pairwise(sigmas):
        d = slope(model, x, s)
        x, h = x + (end - s) * d, end - s
        if end > 0:
            x = x + h / 2 * (slope(model, x, end) - d)
    return x


def dpmpp_2m(model, x, sigmas, disable=None):
    """Algorithm 2 of Lu et al. 2022 (DPM-Solver++), in lambda = -log sigma; of first order at both ends."""
    old = h_old = None
    for s, end in pairwise(sigmas):
        new, h = model(x, s * x.new_ones(len(x))), torch.log(s / end)
        mean = new if old is None or end == 0 else new + h / h_old / 2 * (new - old)
        x, old, h_old = end / s * x + (1 - end / s) * mean, new, h
    return x


def lms(model, x, sigmas, disable=None, order=4):
    """Adams-Bashforth on variable steps: Lagrange's polynomials, integrated in closed form."""
    history, levels = [], sigmas.tolist()
    for i, (s, end) in enumerate(pairwise(levels)):
        history = [(s, slope(model, x, sigmas[i])), *history][:order]
        for j, (at, d) in enumerate(history):
            basis = np.poly1d([1.0])
            for other in (at_ for k, (at_, _) in enumerate(history) if k != j):
                basis *= np.poly1d([1, -other]) / (at - other)
            area = basis.integ()
            x = x + (area(end) - area(s)) * d
    return x


NAMESAKES = {
    "sample_euler, BDIA(0)": (BDIA(0), euler),
    "sample_euler, DDIM": (DDIM(), euler),
    "sample_heun": (Heun(), heun),
    "sample_dpmpp_2m": (DPMSolverPP(), dpmpp_2m),
    "sample_lms": (DEIS(4, "sigma_bar"), lms),
}
EXACT = [BDIA(), BDIA(Fraction(9, 10)), EDICT(), CBDIA(), OBELM(), ALF(), ReversibleHeun()]


@pytest.mark.parametrize("name", NAMESAKES)
def test_solvers_equal_their_namesakes(name):
    solver, reference = NAMESAKES[name]
    for sigmas in (SIGMAS, SIGMAS[:-1]):
        expected = reference(partial(denoiser, shift=0.3), 14.6 * X, sigmas)
        found = sampler(solver)(denoiser, 14.6 * X, sigmas, extra_args={"shift": 0.3}, disable=True)
        # Some tens of roundings of states of size 15.
        assert float((found - expected).abs().max()) < 100 * 15 * np.finfo(float).eps
    single = sampler(solver)(denoiser, (14.6 * X).float(), SIGMAS.float(), disable=True)
    assert single.dtype == torch.float32
    expected = reference(denoiser, 14.6 * X, SIGMAS)
    assert float((single - expected).abs().max()) < 100 * 15 * np.finfo(np.float32).eps


@pytest.mark.parametrize("solver", EXACT, ids=repr)
def test_the_way_there_and_back_returns_every_element(solver):
    """From data, on sigmas that end in 0, in float32, and on from there in the other direction."""
    there, back, again = unsampler(solver), sampler(solver), unsampler(solver)
    back.start_from(there)
    again.start_from(back)
    x, sigmas = X.float(), SIGMAS.float()
    noise = there(denoiser, x, sigmas.flip(0), disable=True)  # either order
    assert isinstance(there.state, State) and noise.dtype == torch.float32
    # A host may scale latents in between.
    returned = back(denoiser, noise / 0.18215 * 0.18215, sigmas, disable=True)
    assert torch.equal(returned, x)
    assert torch.equal(again(denoiser, returned, sigmas, disable=True), noise)
    if len(there.state.registers) > 1:
        back.start_from(None)
        assert not torch.equal(back(denoiser, noise, sigmas, disable=True), x)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16], ids=str)
def test_a_network_returns_every_element(dtype):
    torch.manual_seed(0)
    network, sigmas = torch.nn.Conv2d(4, 4, 3, padding=1), torch.tensor([*np.linspace(1.467, 0.604, 20) ** 7, 0.0])

    def model(x, sigma):
        s = sigma[:, None, None, None].float()
        return ((x.float() + s * network(x.float() / (1 + s**2).sqrt())) / (1 + s**2)).to(x.dtype)

    x = torch.randn(1, 4, 16, 16).to(dtype)
    for solver in (BDIA(), EDICT(), OBELM(), ALF()):
        there, back = unsampler(solver), sampler(solver)
        back.start_from(there)
        assert torch.equal(back(model, there(model, x, sigmas), sigmas), x)


class Comfy:
    """What ComfyUI does around a sampler: it scales noise and latents by the first and the last sigma, for both kinds of models."""

    def __init__(self, function):
        self.function, self.previews = function, []

    def run(self, latent, sigmas, *, flow):
        first, last, noise = sigmas[0], sigmas[-1], torch.zeros_like(latent)
        x = first * noise + (1 - first) * latent if flow else first * noise + latent
        preview = lambda d: self.previews.append((d["i"], d["denoised"], d["x"]))  # noqa: E731
        found = self.function(denoiser, x, sigmas, extra_args={"shift": 0.1}, callback=preview, disable=True)
        return found / (1 - last) if flow else found


def test_the_node_of_the_page(monkeypatch):
    page = (Path(__file__).resolve().parent.parent / "docs" / "kdiffusion.md").read_text(encoding="utf-8")
    (node,) = re.findall(r"^```text\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    assert len([line for line in node.splitlines() if line]) == 12
    monkeypatch.setitem(sys.modules, "comfy", ModuleType("comfy"))
    monkeypatch.setitem(sys.modules, "comfy.samplers", SimpleNamespace(KSAMPLER=Comfy))
    names = {}
    exec(node, names)
    kind = names["NODE_CLASS_MAPPINGS"]["BDIASamplers"]
    (name, options), *_ = kind.INPUT_TYPES()["required"].values()
    assert name == "FLOAT" and options["default"] == 1.0

    def flipped(sigmas):
        return torch.where(sigmas.flip(0) == 0, 1e-4, sigmas.flip(0))

    x, levels = X.float(), torch.linspace(1, 0, 9)[1:]
    for flow, up, down in ((False, SIGMAS, SIGMAS), (True, flipped(levels), flipped(flipped(levels)))):
        there, back = getattr(kind(), kind.FUNCTION)(0.96)
        latent = there.run(x, up.float(), flow=flow) / 0.18215
        returned = back.run(latent * 0.18215, down.float(), flow=flow)
        assert len(back.previews) == len(up) - 2 and len(there.previews) == len(up) - 1
        # A flow's latents are multiplied by 1 - sigma and divided by it, once each way.
        error = float((returned - x).abs().max() / x.abs().max())
        assert error <= (2 * np.finfo(np.float32).eps if flow else 0)


def test_a_callback_gets_what_hosts_read():
    """As k-diffusion calls it: once a slot, at its first evaluation; a dict of x, i, sigma, sigma_hat and denoised."""
    for solver, evaluations in ((BDIA(), 1), (Heun(), 2), (EDICT(), 2)):
        told, asked = [], []

        def model(x, sigma, asked=asked):
            asked.append(sigma)
            return denoiser(x, sigma)

        sampler(solver)(model, 14.6 * X, SIGMAS, callback=told.append, disable=True)
        assert [one["i"] for one in told] == list(range(11))
        assert len(asked) == 11 * evaluations - (solver == Heun()) and all(s.shape == (2,) for s in asked)
        if solver != EDICT():  # which asks at the noisier end of a slot, too
            assert torch.equal(torch.stack([one["sigma"] for one in told]), SIGMAS[:-1])
        for one in told:
            assert one["sigma"].ndim == 0 and one["sigma"] == one["sigma_hat"]
            assert torch.equal(one["denoised"], denoiser(one["x"], one["sigma"].expand(2)))
    told.clear()
    unsampler(BDIA())(denoiser, X, SIGMAS, callback=told.append, disable=True)
    # The first slot is that of the start, where the denoiser is told the least level in place of 0.
    assert [one["i"] for one in told] == list(range(11))
    assert [float(one["sigma"]) for one in told] == [RAMP[-1], *RAMP[:0:-1]]


def test_the_bar_is_shown_on_terminals_only(capsys, monkeypatch):
    run = partial(sampler(DDIM()), denoiser, X, SIGMAS[-3:])
    run(disable=False)
    assert capsys.readouterr().err == ""
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    run()
    assert "2/2" in capsys.readouterr().err
    run(disable=True)
    assert capsys.readouterr().err == ""


def test_a_model_that_writes_into_what_it_gets():
    kept = torch.empty_like(X)

    def rude(x, sigma):
        found = kept.copy_(denoiser(x, sigma))
        x.zero_()
        return found

    assert torch.equal(sampler(Heun())(rude, X, SIGMAS), sampler(Heun())(denoiser, X, SIGMAS))


@pytest.mark.parametrize(
    ("sigmas", "said"),
    [
        ([1.0], "sigmas has 1 levels"),
        ([0.1, 1.0], "rise: pass them falling, or use unsampler"),
        ([1.0, 0.5, 0.5, 0.0], "do not fall strictly"),
        ([1.0, -0.5], "none below 0"),
        ([float("nan"), 0.5], "pass finite levels"),
    ],
)
def test_sigmas_that_are_refused(sigmas, said):
    with pytest.raises(ValueError, match=re.escape(said)):
        sampler(BDIA())(denoiser, X, sigmas)


@pytest.mark.parametrize("solver", [DDIM(), BDIA(0), Heun(), DPMSolverPP(), DEIS(4, "sigma_bar")], ids=repr)
def test_solvers_without_an_exact_inverse_are_refused(solver):
    with pytest.raises(ValueError, match="not exactly invertible here"):
        unsampler(solver)


def test_states_that_are_refused():
    there, back = unsampler(BDIA()), sampler(BDIA())
    back.start_from(there)
    with pytest.raises(ValueError, match="has not run"):
        back(denoiser, X, SIGMAS)
    noise = there(denoiser, X, SIGMAS)
    for given, sigmas, said in (
        (noise + 1e-9, SIGMAS, "x is not what the opposite run returned"),
        (noise[:1], SIGMAS, "x is not what the opposite run returned"),
        (noise, SIGMAS.clamp(min=1e-4), "state is of other sigmas"),
        (noise * torch.nan, SIGMAS, "x holds NaN"),
    ):
        with pytest.raises(ValueError, match=said):
            back(denoiser, given, sigmas)
    other = sampler(EDICT())
    other.start_from(there.state)
    with pytest.raises(ValueError, match="state is of solver BDIA"):
        other(denoiser, noise, SIGMAS)
    with pytest.raises(ValueError, match="goes the same way"):
        back.start_from(sampler(BDIA()))
    with pytest.raises(TypeError, match="pass the opposite sampler"):
        back.start_from("there")
    with pytest.raises(TypeError, match="model returned a tuple: return the denoised states, a tensor"):
        sampler(BDIA())(lambda x, sigma: (x,), torch.ones(2, 3), [1.0, 0.5, 0.0])
    with pytest.raises(ValueError, match=re.escape("model returned shape (2, 1) for x of shape (2, 3)")):
        sampler(DDIM())(lambda x, s: x[:, :1], X, SIGMAS)


def test_what_goes_wrong_is_said():
    fine = torch.tensor([*np.geomspace(14.6, 0.03, 40), 0.0])
    with pytest.warns(
        UserWarning, match=r"latents of Gaussian data are wrong by \de\+\d+ times their size: take a gamma"
    ):
        unsampler(BDIA(Fraction(1, 2)))(denoiser, X, fine)
    for run in (sampler(DDIM()), sampler(BDIA()), sampler(DEIS(4, "sigma_bar")), unsampler(BDIA()), unsampler(ALF())):
        with pytest.warns(UserWarning, match=r"is not finite after slot i=\d+: take other sigmas"):
            run(lambda x, s: x * torch.inf, X, SIGMAS)
    with pytest.raises(TypeError, match="x=None is not a tensor"):
        sampler(DDIM())(denoiser, None, SIGMAS)
    with pytest.raises(TypeError, match="int64"):
        sampler(DDIM())(denoiser, X.long(), SIGMAS)
    with pytest.raises(TypeError, match="model"):
        sampler(DDIM())("denoiser", X, SIGMAS)


@pytest.mark.parametrize("module", [kdiffusion, from_kdiffusion, steadiness])
def test_the_examples_of_the_docstrings(module):
    module = sys.modules.get(getattr(module, "__module__", ""), module)
    found = doctest.testmod(module)
    assert found.attempted and not found.failed


def test_functions_of_kdiffusion_are_certified():
    assert abs(assert_order(from_kdiffusion(euler), 1).order - 1) < 0.02
    assert abs(assert_order(from_kdiffusion(heun), 2).order - 2) < 0.02
    assert abs(assert_order(from_kdiffusion(dpmpp_2m), 2).order - 2) < 0.1
    assert assert_nfe(from_kdiffusion(lms, order=2), 1) == (12, 25)
    with pytest.raises(AssertionError, match=r"claimed 2, observed 1\.0"):
        assert_order(from_kdiffusion(lms, order=1), 2, steps=(16, 24, 32, 48, 64))
    with pytest.raises(TypeError, match="cannot be called"):
        from_kdiffusion("sample_euler")


def test_stages_between_the_levels_are_at_their_own_time():
    def midpoint(model, x, sigmas, disable=None):
        """In log sigma, as DPM-Solver-2 takes it."""
        for s, end in pairwise(sigmas):
            middle = torch.sqrt(s * end)
            x = x + (end - s) * slope(model, x + (middle - s) * slope(model, x, s), middle)
        return x

    assert_order(from_kdiffusion(midpoint), 2, steps=(16, 24, 32, 48, 64), tolerance=0.2)


def test_our_own_are_certified_both_ways():
    back, there = from_kdiffusion(sampler(BDIA())), from_kdiffusion(unsampler(BDIA()), inverse=True)
    assert assert_order(back, 2, invert=there, direction="invert", steps=(16, 24, 32, 48, 64)).decided
    assert 0 < assert_latent_valid(back, invert=there) < 0.05
    up = from_kdiffusion(euler, inverse=True)  # which takes rising sigmas alone
    assert_order(from_kdiffusion(euler), 1, invert=up, direction="invert", steps=(16, 24, 32, 48, 64))
