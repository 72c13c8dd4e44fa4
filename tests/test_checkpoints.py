"""Checkpoints of the U-Net of DDIM: the network that diffusers makes of them, and what is refused."""

import pytest

pytest.importorskip("torch", reason="needs the extra torch")
pytest.importorskip("diffusers", reason="needs the extra torch")

import torch
from ddim_checkpoints import network
from safetensors.torch import save_file

from bdia_numerics import schedules
from bdia_numerics.torch import load

KEY = "down.0.block.0.conv2.weight"


@pytest.fixture(scope="module")
def weights():
    return network().state_dict()


@pytest.fixture
def saved(tmp_path, weights):
    """Give a function that saves what stands in for the weights, and returns the path."""

    def save(content=None, name="some.ckpt"):
        torch.save(weights if content is None else content, tmp_path / name)
        return tmp_path / name

    return save


@pytest.mark.parametrize(
    ("side", "multipliers", "blocks"),
    [(32, (1, 2), 1), pytest.param(64, (1, 2, 2, 4), 2, marks=pytest.mark.slow)],  # like CIFAR10's, like CelebA's
)
def test_the_network_is_that_of_the_checkpoint(saved, side, multipliers, blocks):
    own = network(side, multipliers, blocks)
    loaded = load(saved(own.state_dict()))
    assert loaded.shape == (3, side, side) and loaded.prediction == "eps" and loaded.labels == 0
    assert loaded.network.config.block_out_channels == tuple(32 * m for m in multipliers)
    times, ours = range(0, 1000, 111), schedules.ddpm_linear()
    assert [loaded.schedule.alpha(t) for t in times] == [ours.alpha(t) for t in times]
    x, t = torch.randn(2, 3, side, side, generator=torch.manual_seed(1)), torch.tensor([3, 700])
    with torch.no_grad():
        wanted, found = own(x, t), loaded.network(x, t).sample
    # Sums of up to 1,152 products in another order, on some ten layers: errors of float32 of a few hundred epsilons of the largest.
    assert torch.allclose(found, wanted, rtol=0, atol=300 * torch.finfo(torch.float32).eps * float(wanted.abs().max()))


def test_safetensors_and_the_lists_of_training(saved, tmp_path, weights):
    save_file(weights, tmp_path / "some.safetensors")
    training = [
        {f"module.{k}": v for k, v in weights.items()},
        {"state": {}},
        3,
        5,
        {k: 2 * v for k, v in weights.items()},
    ]
    plain, ema, raw = (
        load(path, ema=mean).network.state_dict()
        for path, mean in ((tmp_path / "some.safetensors", True), (saved(training), True), (saved(training), False))
    )
    assert all(torch.equal(plain[k], raw[k]) and torch.equal(2 * plain[k], ema[k]) for k in plain)


def altered(how, weights):
    """Return what stands in for the weights."""
    own = weights[KEY]
    return {
        "lacks": {key: value for key, value in weights.items() if key != KEY},
        "strange": {**weights, "strange.weight": own},
        "shape": {**weights, KEY: own[:, :5]},
        "integers": {**weights, KEY: own.int()},
        "nan": {**weights, KEY: own * float("nan")},
        "another": {"first.weight": torch.zeros(2, 3)},
        "code": {"layer": torch.nn.Linear(2, 2)},
        "number": 3,
        "no mean": [weights, {"state": {}}, 3, 5],
        "twice": {**weights, f"module.{KEY}": 2 * own},
        "sparse": {**weights, KEY: own.to_sparse()},
        "flat": {**weights, "conv_in.weight": own.flatten()},
        "no attention": {key: value for key, value in weights.items() if ".attn." not in key},
    }[how]


UNFIT = {
    "lacks": rf"lacks {KEY}, \(32, 32, 3, 3\) in the U-Net of DDIM with its other weights",
    "strange": r"has strange.weight, \(32, 32, 3, 3\), which is not in the U-Net of DDIM",
    "shape": rf"{KEY} has shape \(32, 5, 3, 3\), and \(32, 32, 3, 3\) in the U-Net",
    "integers": f"{KEY} holds torch.int32, and weights are floats",
    "nan": f"{KEY} holds NaN or infinite values",
    "another": r"lacks conv_in.weight.*; its first key is first.weight, \(2, 3\): give one of its checkpoints",
    "code": r"holds more than tensors \(torch.nn.modules.linear.Linear\), and is not opened",
    "number": "holds int, no state dict",
    "no mean": r"a list of training without the running mean of the weights: take .* by ema=False",
    "twice": r"has some weights twice, with and without the prefix module\.: save one set",
    "sparse": f"{KEY} is sparse, or has no values: save it as a plain tensor",
    "flat": r"conv_in.weight has shape \(\d+\), and two or more axes in the U-Net of DDIM",
    "no attention": "attention on 0 levels",
}


@pytest.mark.parametrize(("how", "words"), UNFIT.items(), ids=UNFIT)
def test_what_does_not_fit_is_said_in_one_line(saved, weights, how, words):
    with pytest.raises(ValueError, match=words) as error:
        load(saved(altered(how, weights)))
    assert "\n" not in str(error.value) and "some.ckpt" in str(error.value)


def test_one_set_of_weights_is_no_choice_of_two(saved, weights, tmp_path):
    with pytest.raises(ValueError, match="has one set of weights, and ema=False takes the network's own of two"):
        load(saved(weights), ema=False)
    for source in (None, tmp_path):
        with pytest.raises(ValueError, match="ema=False: only a checkpoint of DDIM's training has two sets of weights"):
            load(source, ema=False)


def test_files_that_are_none(tmp_path):
    with pytest.raises(ValueError, match=r"gone.ckpt': there is no such file"):
        load(tmp_path / "gone.ckpt")
    for name in ("text.pt", "text.safetensors"):
        (tmp_path / name).write_text("no weights", encoding="utf-8")
        with pytest.raises(
            ValueError, match=rf"{name}' is damaged, or no file of torch.save \(\w+: .*: download it again"
        ):
            load(tmp_path / name)
