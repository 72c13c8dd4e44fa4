"""The tables made anew on stand-ins: small networks in the files of the published ones, a few images, a small function for features."""

import itertools
import json
import math
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from json_checks import fits

pytest.importorskip("torch", reason="needs the extra torch")
pytest.importorskip("diffusers", reason="needs the extra torch")

import torch
from ddim_checkpoints import network as unet
from scipy.linalg import sqrtm
from typer.testing import CliRunner

from bdia_numerics import BDIA, DDIM, grids, names, schedules, solve
from bdia_numerics.analysis.frechet import frechet_of_moments, joined, moments, scatter
from bdia_numerics.claims import measured
from bdia_numerics.cli import app
from bdia_numerics.plots import tables
from bdia_numerics.studies import cluster, given, load, protocols, run, save, tasks
from bdia_numerics.studies.given import ReproductionConfig, digests, read_moments
from bdia_numerics.studies.reproduction import REPRODUCTION, half_width, rows, widened
from bdia_numerics.studies.study import assemble, cells
from bdia_numerics.torch import load as load_network
from bdia_numerics.torch.networks.features import as_bytes, as_small_jpeg, extractor, features_of
from bdia_numerics.torch.networks.sampling import clipped_ddim, seeded

HERE = Path(__file__).resolve().parent
COLUMNS = 2
FEATURES = f"""
import torch

def corners(images):
    x = images.float() / 255
    return torch.nn.functional.avg_pool2d(x, 16).flatten(1)[:, :{COLUMNS}]

def whole(images):
    return corners(images).to(torch.uint8)

def narrow(images):
    if len(images) > 1:
        raise torch.OutOfMemoryError("CUDA out of memory")
    return corners(images)

def apart(images):
    return corners(images) / 0
"""


class Corners(torch.nn.Module):
    """What `corners` does, for a TorchScript file."""

    def forward(self, images):
        return torch.nn.functional.avg_pool2d(images.float() / 255, 16).flatten(1)[:, :2]


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A folder with a checkpoint, moments, and features in a module."""
    folder = tmp_path_factory.mktemp("home")
    torch.save(unet().state_dict(), folder / "some.ckpt")
    real = np.random.default_rng(0).uniform(0.3, 0.7, (200, COLUMNS))
    np.savez(folder / "stats.npz", mu=real.mean(0), sigma=np.cov(real, rowvar=False))
    (folder / "own_features.py").write_text(FEATURES, encoding="utf-8")
    return folder


@pytest.fixture(autouse=True)
def _there(home, monkeypatch):
    monkeypatch.chdir(home)
    monkeypatch.syspath_prepend(str(home))


def config_of(home, **changes):
    usual = {
        "weights": str(home / "some.ckpt"),
        "reference": str(home / "stats.npz"),
        "features": "own_features:corners",
    }
    return ReproductionConfig(**{**usual, "images": 4, "seeds": (0, 1), "steps": (10,), "piece": 2, **changes})


def bdia(*words):
    return CliRunner().invoke(app, [str(word) for word in words])


# FID


@pytest.mark.parametrize("rank", [5, 3])
def test_fid_is_that_of_the_matrix_square_root(rank):
    """Between known normal distributions, by scipy's root of the product, as pytorch-fid and the scripts of EDM take it."""
    rng = np.random.default_rng(1)
    (a, b), (m, k) = rng.standard_normal((2, rank, 5)), rng.standard_normal((2, 5))
    first, second = a.T @ a, b.T @ b + np.eye(5)
    wanted = np.sum((m - k) ** 2) + np.trace(first + second - 2 * np.real(sqrtm(first @ second)))
    # A root of a product of rank 3 is accurate to the root of epsilon.
    assert frechet_of_moments((m, first), (k, second)) == pytest.approx(wanted, rel=1e-10 if rank == 5 else 1e-6, abs=0)


def test_fid_between_scaled_normals_is_known():
    mean, scale = np.arange(4.0), 3.0
    assert frechet_of_moments((mean, np.eye(4)), (0 * mean, scale**2 * np.eye(4))) == pytest.approx(
        14 + 4 * (scale - 1) ** 2
    )


def test_parts_join_to_the_moments_of_all():
    x = 1e6 + np.random.default_rng(0).standard_normal((30, 4))
    mean, covariance = joined((len(part), *scatter(part)) for part in (x[:1], x[1:12], x[12:]))
    # Means are rounded at 1e6, and so are the deviations from them.
    assert np.allclose(mean, moments(x)[0], rtol=1e-15) and np.allclose(covariance, moments(x)[1], rtol=0, atol=1e-8)
    assert np.array_equal(covariance, covariance.T)
    with pytest.raises(ValueError, match="1 images have no covariance"):
        joined([(1, *scatter(x[:1]))])


# Protocols


def test_the_grids_of_the_protocols():
    sd, ddpm, edm = schedules.stable_diffusion(), schedules.ddpm_linear(), schedules.edm()

    def made(table, variant, schedule, steps):
        return names.grid(protocols.PROTOCOLS[table][variant].grid)(schedule, steps)

    first = made("table-1", "", sd, 10)
    assert first.t.tolist() == [0, *range(1, 902, 100)]
    s = first.sigma / first.alpha
    assert (s[1] - s[0], s[2] - s[1]) == (pytest.approx(0.0121, abs=5e-5), pytest.approx(0.305, abs=5e-4))
    third = made("table-3", "", edm, 18)
    assert (third.n, third.t[18], third.t[1], third.t[0]) == (18, pytest.approx(80), pytest.approx(0.002), 0)
    assert third.t[17] == pytest.approx(57.58598, rel=1e-6)
    assert made("belm", "cifar10", ddpm, 10).t.tolist() == [-1, *range(0, 901, 100)]
    # The runner of PNDM has the level of row i+1 where it tells i; the last level is that of row 0.
    runner, told = made("table-2", "pndm", ddpm, 10), protocols.PROTOCOLS["table-2"]["pndm"].told
    table = np.cumprod(1 - np.linspace(1e-4, 0.02, 1000))
    assert (runner.t[1:] + told).tolist() == [*range(0, 901, 100)]
    assert np.square(runner.alpha) == pytest.approx(table[[0, *range(1, 902, 100)]], rel=1e-12, abs=0)


def test_what_the_network_of_the_pndm_runner_is_told(home):
    told = []
    config, real = config_of(home, variants=("pndm",), images=3, piece=3, seeds=(0,)), load_network(home / "some.ckpt")
    real.network.register_forward_pre_hook(lambda *given: told.append(int(given[2]["timestep"][0])), with_kwargs=True)
    given._loaded.cache_clear()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("bdia_numerics.torch.networks.loading.load", lambda *_, **__: real)
        REPRODUCTION.compute(config, {"protocol": "table-2:pndm", "steps": 10, "solver": "DDIM", "seed": 0, "part": 0})
    given._loaded.cache_clear()
    assert told == list(range(900, -1, -100))


def test_published_figures_stand_once():
    shown = {(one.head, fid) for _, _, lines in tables._TABLES for one in lines for fid in one.fid}
    assert ("BDIA, γ = 0.5", 12.62) in shown and ("BDIA, 40", 6.50) in shown and ("EDM", 2.51) in shown
    assert protocols.published("table-3", "CIFAR10", 18, "BDIAHeun") == 1.79
    assert math.isnan(protocols.published("belm", "CIFAR10", 10, "OBELM"))


def test_the_page_says_what_a_table_costs():
    """Evaluations of three runs of 50,000 images, and what a piece of them keeps."""
    page = " ".join((HERE.parent / "docs" / "reproduce-tables.md").read_text(encoding="utf-8").split())
    second, third = (
        {
            round(0.15 * 2 * sum(evaluations(n) for n in own))
            for own in protocols.FIGURES[table].values()
        }
        for table, evaluations in (("table-2", lambda n: n), ("table-3", lambda n: 2 * n - 1))
    )  # fmt: skip
    assert (
        f"table 2 takes {max(second)} million" in page and f"table 3 takes {min(third)} to {max(third)} million" in page
    )
    kept = sum(x.nbytes for x in scatter(np.zeros((2, 2048)))) / 1e6
    assert f"features, {kept:.0f} MB, so a run of 50,000 images keeps {20 * kept / 1e3:.2f} GB" in page
    assert f"one grid of table 2 keeps {3 * 2 * 3 * 20 * kept / 1e3:.0f} GB" in page


def test_the_data_are_read_off_the_network():
    third, second = protocols.PROTOCOLS["table-3"][""], protocols.PROTOCOLS["table-2"]["quad"]
    assert [protocols.data_of(second, side, 0) for side in (32, 64, 28)] == ["CIFAR10", "CelebA", "CIFAR10"]
    assert protocols.data_of(third, 64, 1000) == "ImageNet64" and protocols.data_of(third, 64, 0, "FFHQ") == "FFHQ"
    with pytest.raises(ValueError, match="can be for FFHQ or AFHQV2: say which by --data"):
        protocols.data_of(third, 64, 0)


def test_another_network_and_other_weights_are_departures():
    protocol = protocols.PROTOCOLS["table-3"][""]
    found = {
        "images": 50_000,
        "columns": 2048,
        "channels": 3,
        "side": 32,
        "labels": 10,
        "widths": (),
        "millions": 55.735,
        "ema": True,
    }
    assert protocols.departures(protocol, "CIFAR10", found) == ""
    said = protocols.departures(protocol, "CIFAR10", found | {"millions": 0.3, "ema": False})
    assert said == "a network of 0.3 million weights, not 55.7, weights by --no-ema, not their running mean"


# Images and features


def test_noise_depends_on_the_number_of_an_image_alone():
    z, labels = seeded(range(3, 6), (1, 2, 2), scale=80.0, classes=10, dtype=torch.float64)
    one, label = seeded(range(4, 5), (1, 2, 2), scale=80.0, classes=10, dtype=torch.float64)
    assert torch.equal(z[1:2], one) and labels[1:2] == label and z.dtype == torch.float64
    generator = torch.Generator().manual_seed(4)
    assert torch.equal(one[0], torch.randn(1, 2, 2, generator=generator).double() * 80)
    assert label == [int(torch.randint(10, (1,), generator=generator))]


def test_the_clipped_row_is_the_pipeline_of_diffusers():
    from diffusers import DDIMPipeline, DDIMScheduler, UNet2DModel

    torch.manual_seed(0)
    small = {
        "down_block_types": ("DownBlock2D",) * 2,
        "up_block_types": ("UpBlock2D",) * 2,
        "block_out_channels": (8, 8),
    }
    net = UNet2DModel(sample_size=8, layers_per_block=1, norm_num_groups=4, **small).eval()
    pipe = DDIMPipeline(net, DDIMScheduler(beta_start=1e-4, beta_end=0.02, clip_sample=True))
    pipe.set_progress_bar_config(disable=True)
    images = pipe(batch_size=2, num_inference_steps=5, generator=torch.manual_seed(3), output_type="np").images
    z = torch.randn(2, 3, 8, 8, generator=torch.manual_seed(3))
    with torch.no_grad():
        clipped = clipped_ddim(lambda x, t: net(x, t).sample, 5, z)
        plain = solve(DDIM(), lambda x, t: net(x, int(t)).sample, grids.leading(schedules.ddpm_linear(), 5), z).z
    expected = torch.from_numpy(images).permute(0, 3, 1, 2)
    assert torch.allclose((clipped / 2 + 0.5).clamp(0, 1), expected, atol=1e-6)
    assert not torch.allclose(plain, clipped, atol=0.1)


def test_images_are_bytes_as_files_have_them():
    x = torch.tensor([-2.0, -1.0, -0.0039, 0.0, 0.0039, 1.0, 2.0])
    stored = ((x / 2 + 0.5).clamp(0, 1) * 255 + 0.5).floor()  # as torchvision's save_image rounds
    assert as_bytes(x).tolist() == stored.tolist()
    # The script of the first table turns 255 times the clamped values to integers.
    below = (255 * ((x + 1) / 2).clamp(0, 1)).to(torch.uint8)
    assert as_bytes(x, rounded=False).tolist() == below.tolist() != stored.tolist()


def test_images_of_the_first_table_are_made_small_as_opencv_does():
    """A mean over squares of 2, cut to bytes; a JPEG changes smooth images by little."""
    ramp = torch.linspace(0, 255, 512).expand(1, 3, 512, 512).to(torch.uint8)
    small = as_small_jpeg(ramp)
    means = ramp.double().reshape(1, 3, 256, 2, 256, 2).mean((3, 5))
    assert small.shape == (1, 3, 256, 256) and float((small - means).abs().max()) < 4
    assert as_small_jpeg(ramp[..., :32, :32]).shape == (1, 3, 32, 32)
    with pytest.raises(ValueError, match="images of 300x300 are not resized here"):
        as_small_jpeg(ramp[..., :300, :300])


@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")
def test_features_of_a_file_are_those_of_the_function(home):
    torch.jit.save(torch.jit.script(Corners()), home / "corners.pt")
    images = as_bytes(seeded(range(3), (3, 32, 32), dtype=torch.float32)[0])
    by_file, by_function = (
        features_of(images, extractor(text, "cpu")) for text in ("corners.pt", "own_features:corners")
    )
    assert by_file.shape == (3, COLUMNS) and np.array_equal(by_file, by_function)


# The run


def test_a_table_is_what_its_steps_make(home):
    """The FID of a row is that of the features of solve's own images; parts make no difference."""
    config = config_of(home, seeds=(3,))
    found = run(REPRODUCTION, config)
    net = load_network(home / "some.ckpt")
    z, _ = seeded(range(12, 16), (3, 32, 32), dtype=torch.float32)
    for solver, row in ((DDIM(), 0), (BDIA(1), 1)):
        images = as_bytes(solve(solver, net.model(), names.grid("quad")(net.schedule, 10), z).z)
        own = moments(features_of(images, extractor("own_features:corners", "cpu")))
        wanted = frechet_of_moments(own, read_moments(home / "stats.npz"))
        # A batch of four rounds otherwise than one of two, which can move a byte.
        assert float(found["fid"][0, 0, row, 0]) == pytest.approx(wanted, rel=1e-3)
    assert found["published"].values.ravel().tolist() == [14.38, 10.03]


def test_a_batch_that_is_too_large_is_halved(home):
    cell = {"protocol": "table-2:quad", "steps": 10, "solver": "DDIM", "seed": 0, "part": 0}
    narrow, usual = (
        REPRODUCTION.compute(config_of(home, features=f"own_features:{name}"), cell) for name in ("narrow", "corners")
    )
    assert narrow["count"] == usual["count"] == 2 and np.allclose(
        narrow["mean"], usual["mean"], atol=0.02
    )  # some bytes


def test_a_run_that_fails_is_a_row_with_its_reason(home, tmp_path):
    found = run(REPRODUCTION, config_of(home, features="own_features:apart", images=3, piece=3), folder=tmp_path)
    row = rows(found)[0]
    assert (
        found.attrs["failed"] == 4
        and math.isnan(row["fid"])
        and row["status"].startswith("ValueError: features of 3 images hold NaN")
    )


def test_the_command_its_results_and_what_they_decide(home, tmp_path):
    words = [
        "reproduce",
        "table-2:quad",
        "--weights",
        "some.ckpt",
        "--reference",
        "stats.npz",
        "--features",
        "own_features:corners",
    ]
    words += ["--images", 4, "--piece", 2, "--steps", 10, "--seeds", "0,1", "--out", tmp_path]
    first = bdia(*words)
    assert first.exit_code == 0, first.output
    assert "table-2:quad" in first.stdout and "14.38" in first.stdout
    assert "A stand-in, which decides nothing: 4 images, not 50000, 2 features, not 2048" in first.stdout
    assert len(tasks(tmp_path, REPRODUCTION)) == 8
    again = bdia(*words, "--json")
    row = fits("reproduce", again.stdout)["rows"][1]
    assert (row["protocol"], row["solver"], row["runs"], row["published"]) == (
        "table-2:quad",
        "BDIA(gamma=1)",
        2,
        10.03,
    )
    assert {t.attempts for t in tasks(tmp_path, REPRODUCTION)} == {1}
    decided = json.loads(bdia("verify", "--only", "table-2,table-3", "--results", tmp_path, "--json").stdout)["claims"]
    assert [claim["verdict"] for claim in decided] == ["needs-weights", "needs-weights"]
    assert (
        decided[0]["evidence"].startswith("stand-ins decide nothing")
        and "table-2:quad, CIFAR10" in decided[0]["evidence"]
    )
    other = bdia(*[word if word != "table-2:quad" else "table-2:cut" for word in words])
    # Another protocol is computed next to the first one, whose runs are kept.
    assert other.exit_code == 0 and "table-2:cut" in other.stdout
    assert len(tasks(tmp_path, REPRODUCTION)) == 16
    assert bdia(*words).exit_code == 0 and {t.attempts for t in tasks(tmp_path, REPRODUCTION)} == {1}


def test_shipped_claims_name_their_commands():
    decided = json.loads(
        bdia(
            "verify", "--only", "figure-1,figure-2,figure-4,figure-5,figure-6,table-1,table-2,table-3", "--json"
        ).stdout
    )
    for claim in decided["claims"]:
        name = claim["id"]
        command = "edit" if name in ("figure-2", "figure-4", "figure-5", "figure-6") else f"reproduce {name}"
        assert claim["verdict"] == "needs-weights" and f"`bdia {command} " in claim["evidence"]
        assert ("bdia verify --results" in claim["evidence"]) == name.startswith("table")


def changed(home, how):
    """Return the options of a run in which something is wrong."""
    stats = dict(np.load(home / "stats.npz"))
    bad = {
        "nan": {**stats, "mu": stats["mu"] * np.nan}, "dtype": {**stats, "mu": stats["mu"].astype(complex)}, "names": {"m": stats["mu"]},
        "shape": {**stats, "sigma": stats["sigma"][:1]}, "asymmetric": {**stats, "sigma": np.triu(stats["sigma"])},
        "columns": {"mu": np.zeros(4), "sigma": np.eye(4)}, "no columns": {"mu": np.zeros(0), "sigma": np.zeros((0, 0))},
        "damaged": stats, "cut short": stats,
    }  # fmt: skip
    options = {"reference": "stats.npz", "features": "own_features:corners", "images": 10, "weights": "some.ckpt"}
    if how in bad:
        np.savez_compressed(home / "bad.npz", **bad[how])
        content = (home / "bad.npz").read_bytes()
        content = {"damaged": content[:56] + b"\xff" * 9 + content[65:], "cut short": content[:99]}.get(how, content)
        (home / "bad.npz").write_bytes(content)
        options["reference"] = "bad.npz"
    options |= {
        "weights": {"weights": "gone.ckpt"}, "gone": {"reference": "gone.npz"}, "few": {"images": 2}, "none": {"images": 0},
        "integers": {"features": "own_features:whole"},
        "infinite": {"features": "own_features:apart"}, "no function": {"features": "own_features:cornes"},
        "no script": {"features": "some.pt"}, "no module": {"features": "nowhere:f"},
        "equal": {"seeds": "1,1,1"}, "alike": {"seeds": "0,1073741824"}, "steps twice": {"steps": "10,10"},
        "neither": {"features": "net.pth"}, "no name": {"features": "own_features:a.b"}, "steps": {"steps": 11}, "data": {"data": "FFHQ"},
        "prompts": {"prompts": "some.txt"}, "no features": {"features": ""},
    }.get(how, {})  # fmt: skip
    return [word for name, value in options.items() for word in (f"--{name}", value)]


REFUSED = {
    "nan": "reference='.*bad.npz': mu holds NaN or infinite values",
    "dtype": "reference='.*bad.npz': mu is of complex128: give float32 or float64",
    "names": "lacks mu or sigma",
    "shape": r"mu has shape \(2,\), sigma \(1, 2\)",
    "asymmetric": "sigma is not symmetric",
    "no columns": r"mu has shape \(0,\)",
    "damaged": "bad.npz' is not read .Error -3 while decompressing",
    "cut short": "bad.npz' is not read .File is not a zip file",
    "none": "--images=0: give 1 or more",
    "columns": "have 2 columns, and the reference 4: take both from one network",
    "weights": "--weights='gone.ckpt': there is no such file",
    "gone": "gone.npz' is not read .there is no such file",
    "few": "images=2 are too few for a covariance of 2 features: take 3 or more",
    "integers": "are of torch.uint8: return floats",
    "infinite": "hold NaN or infinite values",
    "no function": "has no cornes, use corners",
    "equal": r"seeds=\(1, 1, 1\): give each once, below ",
    "alike": r"seeds=\(0, 1073741824\): give each once, below ",
    "steps twice": r"steps=\(10, 10\): give each once",
    "no module": r"features=nowhere: .*No module named 'nowhere'.*: put nowhere.py into ",
    "neither": r"features='net.pth' is neither a TorchScript file \(.pt\) nor module:function",
    "no name": "features='own_features:a.b' is not a features: write module:name",
    "no script": "some.pt': there is no such file",
    "steps": r"steps=\[11\] are not in table-2 for CIFAR10: it has 10, 20, 40",
    "data": "data='FFHQ' is not in table-2",
    "no features": "features='': the shipped classifier reads digits of 1x28x28, and the images are 3x32x32: give the",
    "prompts": "table-1 needs a file of prompts, and no other table takes one",
}


@pytest.mark.parametrize(("how", "words"), REFUSED.items(), ids=REFUSED)
def test_what_cannot_be_run_is_refused_in_one_line(home, how, words, tmp_path):
    import re

    found = bdia("reproduce", "table-2:quad", *changed(home, how), "--out", tmp_path / "out")
    assert found.exit_code == 2 and re.search(words, found.stderr), found.output
    assert found.stderr.count("\n") == 1 and not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "option",
    [
        ("--batch", 3),
        ("--piece", 10),
        ("--steps", "20"),
        ("--features", "a:b"),
        ("--reference", "stats.npz"),
        ("--workers", 2),
        ("--json",),
    ],
)
def test_a_figure_refuses_the_options_of_tables(option):
    found = bdia("reproduce", "figure-1", "--weights", "sd", "--prompts", "prompts.txt", *option)
    assert found.exit_code == 2 and f"{option[0]} has no meaning for figure-1" in found.stderr
    assert found.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"images": 10**7}, "images=10000000: give 1 to 1000000"),
        ({"table": "table-1", "variants": ("",), "prompts": "a.txt", "ema": False}, "ema=False: a folder of Stable"),
        (
            {"table": "table-1", "variants": ("",), "prompts": "a.txt", "steps": ()},
            "weights='': table-1 needs a Stable",
        ),
    ],
)
def test_configurations_that_mean_nothing_are_refused(home, changes, words):
    with pytest.raises(ValueError, match=words):
        ReproductionConfig(**{"steps": (10,), **changes})


def test_a_folder_is_read_for_its_digest_once_it_is_known_to_hold_a_model(home, monkeypatch):
    monkeypatch.setattr("bdia_numerics.studies.given.fingerprint", lambda folder: pytest.fail("all files are read"))
    found = bdia("reproduce", "table-2:quad", "--weights", home)
    assert "holds no diffusers model" in found.stderr


def test_names_of_the_hub_are_not_paths(home):
    from bdia_numerics.cli.reproduce import absolute

    assert absolute("google/ddpm-cifar10-32") == "google/ddpm-cifar10-32" and absolute(None) == ""
    assert absolute("own_features:corners") == "own_features:corners" and absolute("some.ckpt") == str(
        home.resolve() / "some.ckpt"
    )


def test_a_file_that_is_another_in_a_worker_is_refused(home):
    config = config_of(home)
    config = replace(config, digests=digests(config))
    assert digests(config) == config.digests
    other = replace(config, digests=("0" * 64, *config.digests[1:]))
    with pytest.raises(ValueError, match=r"weights=.*some.ckpt' is another file here than where the run began"):
        REPRODUCTION.compute(other, {"protocol": "table-2:quad", "steps": 10, "solver": "DDIM", "seed": 0, "part": 0})


@pytest.mark.slow
def test_text_to_image(home, tmp_path):
    """Table 1 and figure 1 on a pipeline of random weights."""
    pytest.importorskip("transformers", reason="needs the extra test")
    pytest.importorskip("matplotlib", reason="needs the extra report")
    from editing_pipelines import reader, stable

    (tmp_path / "words").mkdir()
    tokenizer, encoder = reader(tmp_path / "words")
    pipe = stable()
    pipe.register_modules(tokenizer=tokenizer, text_encoder=encoder)
    pipe.save_pretrained(tmp_path / "sd")
    (tmp_path / "prompts.txt").write_text("a cat\ndogs\na house\na\n", encoding="utf-8")
    words = ["--weights", tmp_path / "sd", "--prompts", tmp_path / "prompts.txt", "--reference", "stats.npz"]
    words += ["--features", "own_features:corners", "--out", tmp_path / "out"]
    made = bdia("reproduce", "table-1", *words, "--images", 4, "--piece", 2, "--seeds", "0,1", "--json")
    assert made.exit_code == 0, made.output
    table = json.loads(made.stdout)["rows"]
    assert [(row["solver"], row["nfe"], row["published"]) for row in table] == [
        ("DDIM", 10, 15.04), ("BDIA(gamma=1/2)", 10, 12.62), ("DPMSolverPP, last slot DDIM", 10, 16.06),
    ]  # fmt: skip
    assert (
        len({round(row["fid"], 6) for row in table}) == 3 and "images of 3x32x32, not 3x512x512" in table[0]["departs"]
    )
    drawn = bdia("reproduce", "figure-1", *words[:4], *words[-2:], "--images", 2)
    assert drawn.exit_code == 0 and (tmp_path / "out" / "figure-1.png").read_bytes().startswith(b"\x89PNG")
    few = bdia("reproduce", "table-1", *words, "--images", 5)
    assert few.exit_code == 2 and "--images=5: --prompts=" in few.stderr and "fewer lines" in few.stderr


@pytest.mark.slow
def test_the_third_table_is_the_sampler_of_edm(home):
    """Heun's rows are the loop of Karras et al., Algorithm 1 without noise, from 80 times normal noise, with labels after it."""

    class Denoiser(torch.nn.Module):
        img_channels, img_resolution, label_dim = 3, 32, 10

        def __init__(self):
            super().__init__()
            self.shift = torch.nn.Parameter(torch.linspace(-1, 1, 10))

        def forward(self, x, sigma, class_labels=None):
            sigma = sigma.reshape(-1, 1, 1, 1).double()
            own = (class_labels.double() @ self.shift.double()).reshape(-1, 1, 1, 1)
            return (x.double() + sigma**2 * torch.tanh(own + x.double())) / (1 + sigma**2)

    from bdia_numerics.torch.networks.loading import Loaded

    D = Denoiser()
    config = ReproductionConfig(
        "table-3", ("",), reference=str(home / "stats.npz"), features="own_features:corners", images=3, piece=3
    )
    given._loaded.cache_clear()
    loaded = Loaded(D, schedules.edm(), "x0", (3, 32, 32), options={"time_scale": 1.0})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("bdia_numerics.torch.networks.loading.load", lambda *_, **__: loaded)
        found = REPRODUCTION.compute(
            config, {"protocol": "table-3", "steps": 18, "solver": "Heun", "seed": 1, "part": 0}
        )
    given._loaded.cache_clear()
    noise, labels = seeded(range(3, 6), (3, 32, 32), classes=10, dtype=torch.float64)
    told = torch.nn.functional.one_hot(torch.tensor(labels), 10)
    k = torch.arange(18, dtype=torch.float64)
    levels = [*((80 ** (1 / 7) + k / 17 * (0.002 ** (1 / 7) - 80 ** (1 / 7))) ** 7).tolist(), 0.0]
    x = noise * levels[0]
    with torch.no_grad():
        for here, there in itertools.pairwise(levels):
            slope = (x - D(x.float(), torch.tensor(here), told)) / here
            y = x + (there - here) * slope
            if there:
                slope = (slope + (y - D(y.float(), torch.tensor(there), told)) / there) / 2
            x = x + (there - here) * slope
    own = features_of(as_bytes(x), extractor("own_features:corners", "cpu"))
    assert found["nfe"] == 35 and np.allclose(found["mean"], own.mean(0), rtol=1e-5)


# What results decide


def results(folder, fids, *, table="table-3", data="CIFAR10", departs="", **changes):
    """Save results with given FIDs, a list for each steps and solver, as if they had been run."""
    config = ReproductionConfig(
        table, (changes.pop("variant", ""),), data, seeds=tuple(range(len(fids[0][0]))), **changes
    )
    made = []
    for cell in cells(REPRODUCTION, config):
        dims = REPRODUCTION.dims(config)
        at = [list(dims[name]).index(cell[name]) for name in ("steps", "solver", "seed")]
        figure = protocols.published(table, data, cell["steps"], cell["solver"])
        fid = fids[at[0]][at[1]][at[2]]
        values = {"fid": fid, "published": figure, "nfe": 35, "departs": departs, "status": "ok"}
        made.append((cell, {"status": "ValueError: planted"} if fid is None else values))
    folder.mkdir(exist_ok=True)
    save(assemble(REPRODUCTION, config, made), folder / "reproduction.nc")
    return folder


def near(figures, away=0.0):
    return [[[figure + away + jitter for jitter in (-0.02, 0.0, 0.02)] for figure in row] for row in figures]


THIRD = {data: [list(row) for row in own.values()] for data, own in protocols.FIGURES["table-3"].items()}


def test_all_figures_within_their_intervals_are_measured(tmp_path):
    folders = [results(tmp_path / data, near(own), data=data) for data, own in THIRD.items()]
    verdict, evidence, kind = measured.decided(folders)["table-3"]
    assert (verdict, kind) == ("measured", "measured") and evidence.startswith("under protocol table-3: ")
    own = "table-3, CIFAR10, 18 steps: Heun 1.85 (1.75 to 1.95), published 1.85, BDIAHeun 1.79 (1.69 to 1.89), published 1.79"
    assert own in evidence.removeprefix("under protocol table-3: ").split("; ")
    # A part of the table decides nothing, if it is met.
    verdict, evidence, kind = measured.decided(folders[:1])["table-3"]
    assert (verdict, kind) == ("open", "undecided") and "12 of 16 published figures" in evidence


def test_a_figure_outside_is_refuted_where_the_protocol_is_published(tmp_path):
    verdict, evidence, kind = measured.decided([results(tmp_path / "a", near(THIRD["CIFAR10"], 0.5))])["table-3"]
    assert (verdict, kind) == ("refuted", "refuted") and "2.35 (2.25 to 2.45), published 1.85" in evidence


def test_and_stays_open_where_it_is_not(tmp_path):
    own = [list(row) for row in protocols.FIGURES["table-2"]["CIFAR10"].values()]
    folder = results(tmp_path / "a", near(own, 2.0), table="table-2", variant="quad")
    verdict, evidence, kind = measured.decided([folder])["table-2"]
    assert (verdict, kind) == ("open", "not reproduced under protocol table-2:quad")
    assert evidence.startswith("the paper does not state its grid; ") and "16.38" in evidence
    # The same by another protocol, of which the figures are met, is undecided until CelebA is run.
    other = results(tmp_path / "b", near(own), table="table-2", variant="trailing")
    assert measured.decided([folder, other])["table-2"][::2] == ("open", "undecided")
    claims = json.loads(bdia("verify", "--only", "table-2", "--results", folder, "--json").stdout)["claims"]
    assert (claims[0]["verdict"], claims[0]["kind"]) == ("open", "not reproduced under protocol table-2:quad")


def test_one_run_and_stand_ins_decide_nothing(tmp_path):
    alone = results(tmp_path / "a", [[[9.0], [9.0]]] * 2)
    assert measured.decided([alone])["table-3"][::2] == ("open", "undecided")
    stand_in = results(tmp_path / "b", near(THIRD["CIFAR10"], 5.0), departs="10 images, not 50000")
    verdict, evidence, _ = measured.decided([stand_in])["table-3"]
    assert verdict == "needs-weights" and evidence.startswith("stand-ins decide nothing: 10 images, not 50000; ")


def test_two_runs_meet_no_figure(tmp_path):
    """Student's factor makes their interval so wide that nearly any figure is in it; what even that excludes is excluded."""
    two = {data: [[[f - 0.1, f + 0.1] for f in row] for row in own] for data, own in THIRD.items()}
    found = measured.decided([results(tmp_path / data, own, data=data) for data, own in two.items()])["table-3"]
    assert found[::2] == ("open", "undecided")
    assert found[1].startswith("16 of 16 published figures are in no interval of 3 or more runs under one protocol; ")
    far = [[[9.0, 9.01]] * 2] * 2
    assert measured.decided([results(tmp_path / "far", far)])["table-3"][0] == "refuted"


def test_a_figure_just_outside_its_own_interval_refutes_no_table(tmp_path):
    """0.3 away with half widths of 0.10: at 95% for each, one of 16 true figures is outside in every second table."""
    for away, verdict in ((0.3, "open"), (0.5, "refuted")):
        folder = results(tmp_path / str(away), near(THIRD["CIFAR10"], away))
        assert measured.decided([folder])["table-3"][0] == verdict
    # Student's factor for two degrees of freedom is (2 p - 1) / sqrt(2 p (1 - p)) at the quantile p.
    high, usual = ((2 * p - 1) / math.sqrt(2 * p * (1 - p)) for p in (1 - 0.025 / 16, 0.975))
    assert widened(3, 16) == pytest.approx(high / usual, rel=1e-9)


def test_evidence_of_a_protocol_has_its_figures_alone(tmp_path):
    folders = []
    for variant, away in (("quad", 2.0), ("trailing", 0.0)):
        for data, own in protocols.FIGURES["table-2"].items():
            fids = near([list(row) for row in own.values()], away)
            folders.append(results(tmp_path / f"{data}-{variant}", fids, table="table-2", data=data, variant=variant))
    verdict, evidence, _ = measured.decided(folders)["table-2"]
    assert verdict == "measured" and evidence.startswith("under protocol table-2:trailing: ")
    assert evidence.count("table-2:trailing, ") == 6 and "table-2:quad" not in evidence


def test_figures_under_several_protocols_are_no_table(tmp_path):
    """CIFAR-10 by one grid and CelebA by another meet all figures, and none of the two has all."""
    folders = []
    for data, variant in (("CIFAR10", "quad"), ("CelebA", "trailing")):
        own = [list(row) for row in protocols.FIGURES["table-2"][data].values()]
        folders.append(results(tmp_path / data, near(own), table="table-2", data=data, variant=variant))
    verdict, evidence, kind = measured.decided(folders)["table-2"]
    assert (verdict, kind) == ("open", "undecided")
    assert evidence.startswith("6 of 12 published figures are in no interval of 3 or more runs under one protocol")


def test_a_stand_in_whose_first_run_failed_is_still_one(tmp_path):
    fids = near(THIRD["CIFAR10"])
    fids[0][0] = [None] * 3
    folder = results(tmp_path / "a", fids, departs="10 images, not 50000")
    assert rows(load(folder / "reproduction.nc"))[0]["departs"] == "10 images, not 50000"
    assert measured.decided([folder])["table-3"][0] == "needs-weights"


def test_runs_that_failed_in_part_decide_nothing(tmp_path):
    fids = near(THIRD["CIFAR10"])
    fids[0][0][1] = None
    folder = results(tmp_path / "a", fids)
    first = rows(load(folder / "reproduction.nc"))[0]
    assert first["published"] == 1.85 and first["status"] == "ValueError: planted" and math.isnan(first["low"])
    assert measured.decided([folder])["table-3"][::2] == ("open", "undecided")


def test_the_interval_is_that_of_one_more_run():
    values = np.array([1.0, 2.0, 4.0])
    # Student's 4.303 for two degrees of freedom, from a printed table.
    assert half_width(values) == pytest.approx(4.303 * values.std(ddof=1) * math.sqrt(4 / 3), rel=1e-3)
    assert half_width(values, of_mean=True) == pytest.approx(4.303 * values.std(ddof=1) / math.sqrt(3), rel=1e-3)
    assert math.isnan(half_width(values[:1]))


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ("gone", "there is no such folder"),
        ("unfinished", "has no reproduction.nc: run the same `bdia reproduce` again until it ends"),
        ("version", "is of another version of bdia_numerics"),
        ("belm", "the ledger has no claim about that"),
    ],
)
def test_folders_that_decide_nothing_are_refused(tmp_path, how, words):
    folder = tmp_path / "results"
    if how == "unfinished":
        folder.mkdir()
    elif how == "belm":
        figures = [list(protocols.FIGURES["belm"]["CIFAR10"][10])]
        results(folder, near(figures), table="belm", variant="cifar10")
    elif how == "version":
        results(folder, near(THIRD["CIFAR10"]))
        known = load(folder / "reproduction.nc")
        entries = json.loads(known.attrs["config"]) | {"table": "table-9"}
        save(known.assign_attrs(config=json.dumps(entries)), folder / "reproduction.nc")
    found = bdia("verify", "--only", "table-3", "--results", folder)
    assert found.exit_code == 2 and words in found.stderr and found.stderr.count("\n") == 1


# Killed, resumed, shared

COMMAND = ["-m", "bdia_numerics", "reproduce", "table-2:quad", "--weights", "some.ckpt", "--reference", "stats.npz"]
COMMAND += ["--features", "own_features:corners", "--images", "12", "--piece", "3", "--steps", "10", "--seeds", "0,1"]


@pytest.mark.slow
@pytest.mark.posix
def test_killed_and_resumed_it_makes_the_same_table(home, tmp_path):
    whole = run(REPRODUCTION, config_of(home, images=12, piece=3))
    process = subprocess.Popen([sys.executable, *COMMAND, "--out", str(tmp_path / "out")], cwd=home, env=_environment())
    journal, end = tmp_path / "out" / "reproduction.sqlite", time.monotonic() + 120
    while not (journal.is_file() and len(_kept(tmp_path / "out")) >= 3):
        assert time.monotonic() < end and process.poll() is None, "it ended before it could be killed"
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    before = _kept(tmp_path / "out")
    assert 3 <= len(before) < 16 and not (tmp_path / "out" / "reproduction.nc").exists()
    done = subprocess.run(
        [sys.executable, *COMMAND, "--out", str(tmp_path / "out")],
        cwd=home,
        env=_environment(),
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = load(tmp_path / "out" / "reproduction.nc")
    assert found["fid"].equals(whole["fid"]) and {t.attempts for t in _kept(tmp_path / "out")} == {1}


def _kept(folder):
    try:
        return tasks(folder, REPRODUCTION)
    except Exception:  # noqa: BLE001  the journal is being made
        return []


def _environment():
    return os.environ | {"PYTHONPATH": os.pathsep.join([str(HERE.parent), str(HERE)]), "OMP_NUM_THREADS": "1"}


@pytest.mark.slow
def test_two_dask_workers_make_the_same_table(home, tmp_path, monkeypatch):
    distributed = pytest.importorskip("distributed", reason="needs the extra sweep")
    config = config_of(home)
    whole = run(REPRODUCTION, config)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(HERE.parent), str(home)]))
    with distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=":0") as local:
        found = run(REPRODUCTION, config, folder=tmp_path, pool=cluster(local.scheduler_address))
    assert found["fid"].equals(whole["fid"]) and rows(found)[0]["status"] == "ok"
    assert len({t.worker for t in tasks(tmp_path, REPRODUCTION)}) == 2
