"""`bdia certify`: forty plain samplers, what can be certified, what is said, and the status."""

import json
from fractions import Fraction
from pathlib import Path
from xml.etree import ElementTree as ET

import numpy as np
import pytest
from plain_samplers import RIGHT, WRONG, pair
from typer.testing import CliRunner

from bdia_numerics import BDIA, cli, grids, names, schedules
from bdia_numerics.testing import Undecided, assert_order, certify

TESTS = Path(__file__).resolve().parent
FORTY = [(kind, k, plain) for kind, plains in (("right", RIGHT), ("wrong", WRONG)) for k, plain in enumerate(plains)]
OWN = """
def ddim(eps, grid, z, shift=0):
    for i in range(grid.n, 0, -1):
        e = eps(z, grid.t[i])
        x0 = (z - grid.sigma[i] * e) / grid.alpha[i]
        z = grid.alpha[i - 1] * x0 + grid.sigma[i - 1] * e + shift
    return z


def broken(eps, grid, z):
    return eps(z, grid.t[grid.n + 1])


def sample_euler(model, x, sigmas, extra_args=None, callback=None, disable=None, factor=1.0):
    for s, after in zip(sigmas, sigmas[1:]):
        x = x + factor * (after - s) * (x - model(x, s * x.new_ones(len(x)))) / s
    return x


class Nothing:
    pass
"""


def run(*words):
    return CliRunner().invoke(cli.app, ["certify", *map(str, words)])


@pytest.fixture
def own(tmp_path, monkeypatch):
    (tmp_path / "samplers_of_mine.py").write_text(OWN, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return "samplers_of_mine.py"


def failed(kind, k, plain, names):
    """Return which claims of a plain sampler the command refutes or leaves undecided."""
    pair.cache_clear()
    claims = {text: name for name, text in plain.claims().items() if name in names}
    words = [f"plain_samplers.py:{kind}_{k}_sample", "--json", *(word for text in claims for word in ("--claim", text))]
    if pair(kind, str(k))[1] is not None:
        words += ["--invert", f"plain_samplers.py:{kind}_{k}_invert"]
    found = run(*words)
    decided = json.loads(found.stdout)["claims"]
    assert [line["claim"] for line in decided] == list(claims)
    verdicts = {line["verdict"] for line in decided}
    assert found.exit_code == (1 if "failed" in verdicts else 3 if "undecided" in verdicts else 0)
    assert all(line["numbers"] or line["verdict"] == "failed" for line in decided)
    return [claims[line["claim"]] for line in decided if line["verdict"] != "measured"]


ALL = ("order", "rough", "up", "nfe", "up_nfe", "exact", "latent")
CHEAP = ("nfe", "up_nfe", "exact")


@pytest.fixture
def beside(monkeypatch):
    monkeypatch.chdir(TESTS)


def named(case):
    return case[2].name


@pytest.mark.parametrize("case", [c for c in FORTY if c[0] == "right" and {*CHEAP} & {*c[2].claims()}], ids=named)
def test_no_false_alarm_on_cost_and_returns(beside, case):
    assert failed(*case, CHEAP) == []


@pytest.mark.parametrize("case", [c for c in FORTY if c[0] == "wrong"], ids=named)
def test_the_claim_that_a_wrong_one_breaks_is_named(beside, case):
    assert failed(*case, (case[2].breaks,)) == [case[2].breaks]


@pytest.mark.slow
@pytest.mark.parametrize("case", FORTY, ids=named)
def test_no_false_alarm_and_no_miss(beside, case):
    said = failed(*case, ALL)
    assert (case[2].breaks in said) if case[2].breaks else said == []


def test_there_are_forty():
    assert len(RIGHT) == len(WRONG) == 20
    assert len({plain.name for plain in RIGHT + WRONG}) == 40
    assert {plain.breaks for plain in WRONG} == {"order", "rough", "nfe", "exact", "latent"}
    assert not any(plain.breaks for plain in RIGHT)


def test_a_solver_on_families_of_grids():
    """Its second order holds on smooth grids, and is not seen on Stable Diffusion's; the inverse is exact on each."""
    found = run(
        "bdia", "--claim", "order=2,order=1@alternating,invertible,nfe=1", "--family", "smooth,leading", "--json"
    )
    decided = {(d["claim"], d["family"]): d for d in json.loads(found.stdout)["claims"]}
    assert found.exit_code == 3
    assert {key: d["verdict"] for key, d in decided.items()} == {
        ("order=2", "smooth"): "measured",
        ("order=2", "leading"): "undecided",
        ("order=1@alternating", "alternating"): "measured",
        ("invertible", "smooth"): "measured",
        ("invertible", "leading"): "measured",
        ("nfe=1", ""): "measured",
    }
    assert decided["order=2", "smooth"]["numbers"].startswith("1.99 [")
    assert decided["invertible", "leading"]["numbers"].count("rounding alone") == 3
    refused = run("obelm", "--claim", "latent@leading")
    assert (
        refused.exit_code == 1
        and "latent@leading: assert_latent_valid: OBELM(variable='sigma_bar'): in 10 slots of Stable" in refused.stdout
    )


def test_functions_and_their_options(own, tmp_path):
    claims = ("--claim", "order=1,nfe=1,same=ddim", "--junit", tmp_path / "found.xml")
    assert run(f"{own}:ddim", *claims).exit_code == 0
    found = run(f"{own}:ddim:shift=1/1000", *claims)
    assert found.exit_code == 1 and "order=1 on smooth grids: assert_order: ddim: claimed 1, observed" in found.stdout
    suite = ET.fromstring((tmp_path / "found.xml").read_text(encoding="utf-8"))
    assert (suite.get("tests"), suite.get("failures"), suite.get("errors")) == ("3", "2", "0")
    assert [case.get("name") for case in suite if case.find("failure") is not None] == [
        "order=1 on smooth grids",
        "same=ddim",
    ]
    assert suite[1].findtext("system-out") == "12 and 25 in 12 and 25 slots"
    # What a sampler raises is a claim that fails, and what is asked of it in vain is not.
    raised = run(f"{own}:broken", "--claim", "order=1")
    assert raised.exit_code == 1 and "it raises IndexError: index 9 is out of bounds" in raised.stdout
    lacking = run(f"{own}:ddim", "--claim", "invertible")
    assert lacking.exit_code == 2 and "ddim has no inverse: pass --invert" in lacking.stderr


def test_undecided_is_a_status_of_its_own(tmp_path):
    found = run("bdia", "--claim", "order=2@leading,nfe=1", "--junit", tmp_path / "found.xml")
    assert found.exit_code == 3 and "undecided up to n = 500" in found.stdout
    (error,) = ET.fromstring((tmp_path / "found.xml").read_text(encoding="utf-8")).findall("testcase/error")
    assert error.get("type") == "undecided" and "the slopes drift on" in error.get("message")


def test_samplers_of_other_libraries(own):
    pytest.importorskip("diffusers", reason="needs the extra torch")
    assert run(f"{own}:sample_euler", "--claim", "order=1,nfe=1").exit_code == 0
    assert run(f"{own}:sample_euler:factor=1.01", "--claim", "order=1").exit_code == 1
    words = ("DDIMScheduler:clip_sample=false", "--invert", "DDIMInverseScheduler:clip_sample=false", "--json")
    found = run(*words, "--claim", "order=1@own,nfe=1,inverse-nfe=1,same=ddim,invertible")
    verdicts = [d["verdict"] for d in json.loads(found.stdout)["claims"]]
    assert (found.exit_code, verdicts) == (1, ["measured"] * 4 + ["failed"])
    assert json.loads(found.stdout)["claims"][0]["numbers"].endswith("up to n = 500")
    noisy = run("DDPMScheduler", "--claim", "order=1")
    assert noisy.exit_code == 2 and "DDPMScheduler adds noise in each step" in noisy.stderr


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("ddim",), "--claim is missing: write one"),
        (("ddim", "--claim", "ordr=1"), "claim='ordr' is unknown: use order"),
        (("ddim", "--claim", "order"), "claim=order: write order=2"),
        (("ddim", "--claim", "invertible=3"), "claim=invertible=3: write invertible"),
        (("ddim", "--claim", "order=x"), "order=x is not a number"),
        (("ddim", "--claim", "nfe=1.5"), "claim=nfe=1.5: write evaluations of a step"),
        (("ddim", "--claim", "nfe=1@smooth"), "nfe is on no family of grids: write nfe=1"),
        (("ddim", "--claim", "order=1", "--family", "smoth"), "family='smoth' is unknown: use smooth"),
        (("ddim", "--claim", "order=1", "--junit", "found.txt"), "--junit=found.txt"),
        (("DDIMSchduler", "--claim", "order=1"), "'ddimschduler' is unknown: use DDIMScheduler or"),
        (("samplers_of_mine.py:ddim:shft=1", "--claim", "order=1"), "unexpected keyword argument 'shft'"),
        (("samplers_of_mine.py:Nothing", "--claim", "order=1"), "is not a sampler: pass an object with registers"),
        (("samplers_of_mine.py:dim", "--claim", "order=1"), "samplers_of_mine has no dim, use ddim"),
    ],
)
def test_what_is_no_subject_or_claim(own, words, says):
    found = run(*words)
    assert found.exit_code == 2 and says in found.stderr and found.stderr.count("\n") == 1, found.output


def test_claims_are_decided_without_the_command_line():
    decided = certify(BDIA(), ["nfe=1", "nfe=2", "round-trip=1e-9"], ["smooth", "trailing"])
    assert [(d.claim, d.family, d.verdict) for d in decided] == [
        ("nfe=1", "", "measured"),
        ("nfe=2", "", "failed"),
        ("round-trip=1e-9", "smooth", "measured"),
        ("round-trip=1e-9", "trailing", "measured"),
    ]
    with pytest.raises(ValueError, match="families is empty: name one"):
        certify(BDIA(), ["nfe=1"], [])
    with pytest.raises(ValueError, match="claims is empty: name one"):
        certify(BDIA(), [])


def at_times(times):
    """DDIM whose model is told what a function makes of a time and the states."""

    def sample(eps, grid, z):
        for i in range(grid.n, 0, -1):
            e = eps(z, times(grid.t[i], z))
            z = grid.alpha[i - 1] * (z - grid.sigma[i] * e) / grid.alpha[i] + grid.sigma[i - 1] * e
        return z

    return sample


@pytest.mark.parametrize(
    "times", [lambda t, z: np.full(len(z), t), lambda t, z: np.array([[t]]), lambda t, z: np.array(t)]
)
def test_one_time_may_stand_in_an_array(times):
    assert {d.verdict for d in certify(at_times(times), ["order=1", "nfe=1", "same=ddim"])} == {"measured"}


def test_a_sampler_of_tensors_is_answered_in_tensors():
    torch = pytest.importorskip("torch", reason="needs the extra torch")

    def sample(eps, grid, z):
        z, t = torch.tensor(z), torch.tensor(grid.t)
        for i in range(grid.n, 0, -1):
            e = eps(z, t[i].expand(len(z)))
            assert e.dtype == z.dtype
            z = grid.alpha[i - 1] / grid.alpha[i] * z.sub(e, alpha=grid.sigma[i])
            z.add_(e, alpha=grid.sigma[i - 1])
        return z

    assert {d.verdict for d in certify(sample, ["order=1", "nfe=1", "same=ddim"])} == {"measured"}
    single = certify(
        lambda eps, grid, z: sample(eps, grid, z.astype(np.float32)).double().numpy(), ["nfe=1", "same=ddim"]
    )
    assert [d.verdict for d in single] == ["measured", "failed"]


def test_what_a_sampler_asks_of_the_model_in_vain_is_its_own_fault():
    """A time outside of the schedule, or several at once: the other claims are decided nevertheless."""
    for times, said in (
        (lambda t, z: t - 1, "it raises ValueError: t=-"),
        (lambda t, z: np.linspace(t / 2, t, len(z)), "it raises TypeError: t=array("),
    ):
        decided = certify(at_times(times), ["nfe=1", "order=1"])
        assert [d.verdict for d in decided] == ["failed", "failed"]
        assert all(d.reason.startswith(said) for d in decided)
    # A family that makes no grid says nothing about a sampler.
    with pytest.raises(ValueError, match="n=0"):
        certify(at_times(lambda t, z: t), ["order=1"], [lambda n: grids.uniform(schedules.vp_linear(), 0)])


def test_runs_that_differ_from_the_same_states_have_no_order():
    """The error of one is random; the other one takes two steps in one at each third of its runs."""
    rng, calls = np.random.default_rng(0), []
    right = at_times(lambda t, z: t)

    def noisy(eps, grid, z):
        return right(eps, grid, z) + 1e-2 * rng.standard_normal(z.shape)

    def counting(eps, grid, z):
        calls.append(0)
        return right(eps, grid, z) * (1.01 if len(calls) % 3 == 0 else 1)

    for sample in noisy, counting:
        with pytest.raises(AssertionError, match=r"in 8 steps is .* in another run from the same states. It draws"):
            assert_order(sample, 1, max_steps=48)


def test_states_that_are_not_finite_are_no_undecided_order():
    with pytest.raises(
        AssertionError, match=r"claimed 1, not finite up to n = 48 .*; on alternating grids not"
    ) as error:
        assert_order(lambda eps, grid, z: z / (z < 1), 1, max_steps=48)
    assert not isinstance(error.value, Undecided)


def test_a_claim_may_follow_a_solver_with_options():
    found = run("bdia:gamma=9/10", "--claim", "same=bdia:gamma=9/10,nfe=1", "--json")
    assert [line["claim"] for line in json.loads(found.stdout)["claims"]] == ["same=bdia:gamma=9/10", "nfe=1"]


def test_options_of_other_libraries_are_words():
    """Among them the names of solvers, and such as Python would not read."""
    text = "Thing:kind=dpmsolver,other=sde-dpmsolver++,rho=7.5,on=true,betas=[0.1, 0.2],said='9 lives'"
    made, positional, named = names.read("SUBJECT", text, {"thing": dict}, words=True)
    assert made is dict and positional == ()
    assert named == {
        "kind": "dpmsolver", "other": "sde-dpmsolver++", "rho": Fraction(15, 2), "on": True, "betas": [0.1, 0.2], "said": "9 lives",
    }  # fmt: skip
    assert names.read("SUBJECT", "Thing(kind='dpmsolver++', base=ddim)", {"thing": dict}, words=True)[2] == {
        "kind": "dpmsolver++",
        "base": "ddim",
    }


def test_what_a_sampler_prints_is_no_part_of_the_verdicts(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    source = "import warnings\nprint('imported')\ndef sample(eps, grid, z):\n    print('run')\n    warnings.warn('old')\n    return z\n"
    (tmp_path / "talking.py").write_text(source, encoding="utf-8")
    found = run("talking.py:sample", "--claim", "nfe=0", "--json")
    assert json.loads(found.stdout)["claims"][0]["verdict"] == "measured"
    assert "imported\nrun\n" in found.stderr and found.stderr.count("bdia: warning: old\n") == 1
    own = "import bdia_numerics as bd\nclass Own(bd.DDIM):\n    def step(self, s):\n        print('step')\n        super().step(s)\n"
    (tmp_path / "solver_of_mine.py").write_text(f"print('imported')\n{own}", encoding="utf-8")
    found = CliRunner().invoke(cli.app, ["roundtrip", "--solver", "solver_of_mine.py:Own", "--steps", "4", "--json"])
    assert json.loads(found.stdout)["schema"] == "roundtrip"
    assert "imported\n" in found.stderr and "step\n" in found.stderr


def test_a_program_that_ends_itself_has_not_passed(tmp_path, monkeypatch):
    """An exit with status 0, in a run and where the file is imported."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "leaving.py").write_text("def sample(eps, grid, z):\n    raise SystemExit(0)\n", encoding="utf-8")
    found = run("leaving.py:sample", "--claim", "order=1,nfe=1")
    assert found.exit_code == 1 and "nfe=1: it raises SystemExit: 0" in found.stdout
    (tmp_path / "program.py").write_text("import sys\nsys.exit(0)\n", encoding="utf-8")
    found = run("program.py:sample", "--claim", "order=1")
    assert found.exit_code == 2 and found.stderr.startswith("bdia: program.py:2 ended the program: take the exit out")


def test_what_a_constructor_raises_is_no_verdict(own, tmp_path):
    (tmp_path / "lost.py").write_text("class Lost:\n    def __init__(self):\n        {}['key']\n", encoding="utf-8")
    found = run("lost.py:Lost", "--claim", "nfe=1")
    assert (found.exit_code, found.stderr) == (2, "bdia: SUBJECT='lost.py:Lost': KeyError: 'key'\n")
