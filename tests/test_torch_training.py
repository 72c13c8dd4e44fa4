"""Features of digits and distances between them; what a run on a network is compared with; the command unet."""

import json
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the extra torch")
diffusers = pytest.importorskip("diffusers", reason="needs the extra torch")

from typer.testing import CliRunner  # noqa: E402

from bdia_numerics import ALF, DDIM, DPMSolverPP, encode, grids, problems, schedules, solve  # noqa: E402
from bdia_numerics.analysis.frechet import frechet_distance  # noqa: E402
from bdia_numerics.cli import app  # noqa: E402
from bdia_numerics.torch.networks import features, folders  # noqa: E402
from bdia_numerics.torch.networks.loading import load  # noqa: E402
from bdia_numerics.torch.networks.sampling import noise, reference, rms, sample  # noqa: E402

torch.set_num_threads(1)


def test_frechet_distance_of_normal_laws():
    """Against the closed form for commuting covariances: |m - k|^2 + sum (s - r)^2."""
    rng = np.random.default_rng(0)
    n, m, s, r = 400_000, np.array([1.0, -2.0]), np.array([1.0, 3.0]), np.array([2.0, 0.5])
    found = frechet_distance(m + s * rng.standard_normal((n, 2)), r * rng.standard_normal((n, 2)))
    assert found == pytest.approx(
        np.sum(m**2) + np.sum((s - r) ** 2), rel=0.02
    )  # a few standard errors, 1/sqrt(n) each
    x = rng.standard_normal((50, 3)) @ rng.standard_normal((3, 3))
    assert abs(frechet_distance(x, x)) < 1e-9
    with pytest.raises(ValueError, match="finite features"):
        frechet_distance(x[:1], x)
    with pytest.raises(ValueError, match="from one network"):
        frechet_distance(x, x[:, :2])


def test_the_shipped_classifier(monkeypatch, tmp_path):
    """It reads the handwritten digits of another data set, drawn larger, far better than by chance."""
    small = problems.digits().reshape(-1, 1, 8, 8)[:200]
    file = Path(problems.__file__).parent / "vendor" / "digits.csv.gz"
    labels = np.loadtxt(file, delimiter=",", max_rows=200)[:, -1].astype(int)
    large = torch.nn.functional.interpolate(torch.from_numpy(small), size=20, mode="bicubic")
    images = torch.nn.functional.pad(large, (4,) * 4, value=-1)
    assert features.verdicts(images, labels) > 140
    assert features.features(images).shape == (200, 64)
    with pytest.raises(ValueError, match=r"takes \(n, 1, 28, 28\)"):
        features.predicted(small)
    features.classifier.cache_clear()
    (tmp_path / "x").write_bytes(b"corrupt")
    for path in (tmp_path / "x", tmp_path / "none"):
        monkeypatch.setattr(features, "CLASSIFIER", path)
        with pytest.raises(ValueError, match="missing or corrupt"):
            features.classifier()
    features.classifier.cache_clear()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("network")
    torch.manual_seed(0)
    network = diffusers.UNet2DModel(
        sample_size=8, in_channels=1, out_channels=1, layers_per_block=1, block_out_channels=(8, 16), norm_num_groups=4,
        down_block_types=("DownBlock2D",) * 2, up_block_types=("UpBlock2D",) * 2, attention_head_dim=8,
    )  # fmt: skip
    network.save_pretrained(path)
    (path / "scheduler").mkdir()
    name = "scheduler/scheduler_config.json"
    (path / name).write_bytes((folders.UNET / name).read_bytes())
    return path


def test_what_a_run_is_compared_with():
    """A Gaussian's own flow in place of the numerical reference's word for itself."""
    schedule = schedules.vp_linear()
    law, grid = problems.Gaussian([0.0], 0.25), grids.uniform(schedule, 20, t_max=1.0, t_min=0.02)
    eps = law.model(schedule)

    def model(z, t):
        return torch.from_numpy(eps(z.numpy().reshape(-1, 1), t).reshape(z.shape))

    z = noise((3, 1, 2, 2), grid, 0, dtype=torch.float64)
    assert z.std() < 2 and torch.equal(z.float(), noise((3, 1, 2, 2), grid, 0, dtype=torch.float32))
    exact = torch.from_numpy(law.flow(z.numpy().reshape(-1, 1), 1.0, 0.02, schedule).reshape(z.shape))
    fine = reference(model, grid, z, 40, back=True)
    assert rms(fine.z - exact) < fine.error < 1e-3 and 0 < fine.latent_error < 1e-3
    found = sample(DDIM(), model, grid, z, fine=40)
    assert found.status == "ok" and found.inversion == "DDIM inversion (10)" and found.nfe == 20
    assert found.distance == pytest.approx(rms(torch.from_numpy(found.images) - exact), rel=1e-2)
    assert found.distance > 10 * fine.error and found.round_trip > 1e-3


@pytest.mark.parametrize("variance", [1e-2, 1e-3, 1e-4])
def test_the_reference_follows_a_network_that_is_steep_at_the_data_end(variance):
    """The schedule of the shipped network ends at sigma = 0.01, where eps of tight data changes on the scale of sigma."""
    schedule = schedules.ddpm_linear()
    law = problems.GaussianMixture([0.5, 0.5], [[-1], [1]], [variance, variance])
    grid, eps = grids.log_snr(schedule, 20), law.model(schedule)

    def model(z, t):
        return torch.from_numpy(eps(z.numpy().reshape(-1, 1), t).reshape(z.shape))

    z = noise((16, 1, 2, 2), grid, 0, dtype=torch.float64)
    exact = torch.from_numpy(law.flow(z.numpy().reshape(-1, 1), grid.t[20], grid.t[0], schedule).reshape(z.shape))
    found = reference(model, grid, z, 60, back=True)
    assert rms(found.z - exact) < 2 * found.error < 2e-3
    # What a solver's latent is away from the noise is known to latent_error: against its latent of the exact data end.
    latent = rms(encode(ALF(), model, grid, exact).z - z)
    run = sample(ALF(), model, grid, z, fine=60)
    assert run.reference_latent_error == found.latent_error
    assert abs(run.latent_distance - latent) < 2 * found.latent_error < latent


NAMES = {"BDIA": "derived inverse", "ddim": "DDIM inversion (10)"}


def invoked(*arguments):
    return CliRunner().invoke(app, ["unet", *map(str, arguments)])


@pytest.mark.parametrize("solver", ["BDIA", "ddim"])
def test_the_command(folder, tmp_path, solver):
    output = tmp_path / "sheet.png"
    found = invoked(
        folder,
        "--solver",
        solver,
        "--steps",
        4,
        "--count",
        2,
        "--fine",
        32,
        "--dtype",
        "float64",
        "--figure",
        output,
        "--json",
    )
    assert found.exit_code == 0, found.output
    said = json.loads(found.stdout)
    assert said["nfe"] == 4 and said["status"] == "ok" and said["inversion"] == NAMES[solver]
    assert said["round_trip"] < 1e-9 if solver == "BDIA" else said["round_trip"] > 1e-6
    assert said["distance"] > 0 and said["latent_distance"] > 0 and said["reference_error"] > 0
    assert output.read_bytes().startswith(b"\x89PNG")
    small = folder, "--steps", 2, "--count", 1, "--fine", 0, "--figure", output
    short, full = (invoked(*words, *small, "--json") for words in ((), ("sample",)))
    assert short.exit_code == full.exit_code == 0, (short.output, short.exception, full.output, full.exception)
    assert json.loads(short.stdout)["round_trip"] == json.loads(full.stdout)["round_trip"]
    assert "model evaluations" in invoked(*small).output and "sample" in invoked("--help").output


def test_the_command_says_what_to_change(folder, tmp_path, monkeypatch):
    """A network whose output float16 cannot hold: exit status 1, the slot and the register, and the remedy."""
    monkeypatch.setattr(diffusers.UNet2DModel, "forward", lambda self, sample, timestep: (sample * 1e5,))
    found = invoked(
        folder, "--steps", 4, "--count", 1, "--fine", 0, "--dtype", "float16", "--figure", tmp_path / "x.png"
    )
    assert (
        found.exit_code == 1 and "register z is not finite after slot i=" in found.output and "bfloat16" in found.output
    )


def test_the_command_says_that_the_noise_does_not_come_back(folder, tmp_path, monkeypatch):
    """gamma = 1/100 multiplies a rounding by 100 in every slot of the way back; the way there is good all the same."""
    monkeypatch.setattr(diffusers.UNet2DModel, "forward", lambda self, sample, timestep: (sample,))
    words = folder, "--solver", "BDIA(gamma=1/100)", "--steps", 12, "--count", 1, "--fine", 4, "--dtype", "float16"
    found = invoked(*words, "--figure", tmp_path / "x.png")
    assert found.exit_code == 1 and ": ok\n" in found.stdout and (tmp_path / "x.png").exists()
    assert "noise does not come back (derived inverse): register z_prev is not finite after slot i=" in found.stdout
    assert "use bfloat16 or float32 states; try another --dtype, fewer --steps, or a larger gamma" in found.stdout
    assert "latents, which are not finite, from the network's own ODE" in found.stdout
    said = json.loads(invoked(*words, "--figure", tmp_path / "x.png", "--json").stdout)
    assert said["status"] == "ok" and "not finite" in said["back_status"] and said["round_trip"] is None


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--seed", 2**70], "seed=1180591620717411303424 is too large"),
        (["--solver", "bdai"], "BDIA"),
        (["--steps", 0], "steps=0: ask for 1 or more"),
        (["--dtype", "int8"], "int8' is unknown: use one of float16"),
        (["--grid", "odd"], "grid='odd' is unknown"),
        (["--labels", "a"], "is not a whole number"),
        (["--count", 0], "at least one image"),
        (["--guidance", 2], "unconditional"),
        (["--device", "nowhere"], "device"),
    ],
)
def test_the_command_refuses_in_one_line(folder, arguments, words):
    found = invoked(folder, *arguments, "--fine", 0)
    assert found.exit_code == 2 and words in found.stderr and found.stderr.count("\n") == 1, found.stderr


shipped = pytest.mark.skipif(
    not (folders.UNET / "config.json").is_file(), reason="the trained network is not shipped yet"
)


@shipped
@pytest.mark.parametrize(
    "steps", [10, pytest.param(20, marks=pytest.mark.slow), pytest.param(40, marks=pytest.mark.slow)]
)
def test_the_shipped_network_draws_digits(tmp_path, steps):
    """What `bdia unet` draws without further options: 18 of 20 are read as the digit that was asked for; by chance it would be 2."""
    found = invoked("--steps", steps, "--fine", 0, "--figure", tmp_path / "x.png", "--json")
    assert found.exit_code == 0, found.output
    said = json.loads(found.stdout)
    assert said["solver"] == "BDIA(gamma=1)" and said["spacing"] == "trailing" and said["guidance"] == 2
    assert len(said["labels"]) == 20 and said["recognised"] >= 18


@shipped
@pytest.mark.slow
def test_digits_of_another_solver_without_guidance():
    network, labels = load(), [k % 10 for k in range(20)]
    grid = network.grid(20, "log_snr")
    z = noise((20, *network.shape), grid, 0, dtype=torch.float32)
    assert features.verdicts(solve(DPMSolverPP(), network.model(labels), grid, z).z, labels) >= 14
