"""Studies of the shipped network: the table of solvers, and round-trip editing."""

import json
from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("torch", reason="needs the extra torch")
pytest.importorskip("diffusers", reason="needs the extra torch")

from typer.testing import CliRunner

from bdia_numerics.analysis.frechet import frechet_distance, frechet_of_moments, moments
from bdia_numerics.cli import app
from bdia_numerics.studies import run
from bdia_numerics.studies.network_studies import EDITING, EditConfig
from bdia_numerics.studies.network_table import NETWORK_TABLE, TableConfig
from bdia_numerics.studies.records import records, table
from bdia_numerics.studies.study import assemble, cells
from bdia_numerics.torch.networks import features


def test_moments_say_what_the_samples_say():
    x, y = np.random.default_rng(0).standard_normal((2, 50, 3))
    assert frechet_of_moments(moments(x), moments(y)) == frechet_distance(x, y)


def test_the_reference_set_is_of_digits():
    """Real images are near to it, noise is far."""
    reference, training = features.real()
    assert training.shape == (1000, 64)
    noise = features.features(np.random.default_rng(0).uniform(-1, 1, (200, 1, 28, 28)))
    near, far = (frechet_of_moments(moments(x), reference) for x in (training[:200], noise))
    assert far > 10 * near


def test_a_table_at_equal_evaluations():
    solvers = ("DDIM", "BDIA(gamma=0)", "EDICT", "BDIA(gamma=1e20, allow_any=True)")
    config = TableConfig(solvers, ("cut",), (6,), images=10, batch=10, paired=2, fine=4, resamples=10)
    found = run(NETWORK_TABLE, config)
    ddim, same, edict, failed = records(NETWORK_TABLE, found)
    # "cut" has one slot less than it is asked for.
    assert (ddim["steps"], ddim["nfe"], edict["steps"], edict["nfe"]) == (5, 5, 2, 4)
    assert same["gain"] == pytest.approx(0, abs=1e-3 * ddim["frechet"]) and ddim["gain"] == 0
    assert same["distance"] == pytest.approx(ddim["distance"], rel=1e-3)
    assert ddim["low"] < ddim["frechet"] < ddim["high"] and ddim["distance"] > 0 and ddim["status"] == "ok"
    # What was not measured is not a number, and least of all 0; the table has no text for it, and says why.
    assert failed["status"] != "ok" and np.isnan([failed[k] for k in ("frechet", "distance", "recognised")]).all()
    caption, heads, rows = table(NETWORK_TABLE, found)
    assert caption.startswith("10 samples; as many training images, 1,000 at most, are ")
    assert dict(zip(heads, rows[3], strict=True))["Frechet"] == "" and rows[3][-1] == failed["status"]
    config = replace(config, solvers=("BDIA3",), grids=("trailing",), evaluations=(12, 14), paired=0)
    few, enough = records(NETWORK_TABLE, run(NETWORK_TABLE, config))
    assert few["status"] == "12 evaluations pay for no step" and enough["nfe"] == 14, "its start takes nine more"


def test_edits_return_and_change():
    """Under its own label an image comes back, but for rounding; under another it does not."""
    found = run(EDITING, EditConfig(("BDIA(gamma=1)", "DDIM"), (1.0,), steps=8, images=4))
    exact, inexact = records(EDITING, found)
    # float32, and a network that magnifies what it is given.
    assert exact["returned"] < 1e-3 < inexact["returned"] and exact["distance"] > 0.05
    assert found["images"].shape == (1, 2, 4, 28, 28) and found["targets"].values.tolist() == [6, 7, 3, 8]


def test_words_of_the_figures_lie_apart():
    """On axes of less than a decade, where matplotlib's own ticks overlap, and below a single image."""
    pytest.importorskip("matplotlib", reason="needs the extra report")
    from figure_checks import faults

    from bdia_numerics.plots.network import bars
    from bdia_numerics.plots.pictures import sheet
    from bdia_numerics.plots.rounding import perturbations

    config = TableConfig(("DDIM", "BDIA(gamma=1/2)"), ("cut", "quad"), (6, 10), images=4, paired=0)
    numbers = {
        "floor": 750.0,
        "resampled": np.linspace(300, 1500, 100),
        "recognised": 4.0,
        "steps": 6,
        "nfe": 6,
        "status": "ok",
    }
    results = [(cell, numbers | {"frechet": 600.0 + 100 * k}) for k, cell in enumerate(cells(NETWORK_TABLE, config))]
    grown = {"slots": [3, 2, 1], "steps": [[2.3], [4.0], [5.9]], "total": [9.0]}
    trips = [{"dtype": name, "error": 1e-3, "predicted": 2e-3} for name in ("float16", "float32")]
    one = sheet(np.zeros((1, 1, 28, 28)), columns=1, caption="BDIA(gamma=1), 20 steps, guidance 2, trailing times")
    for figure in (
        bars(assemble(NETWORK_TABLE, config, results)),
        perturbations({"sample": grown, "invert": grown, "trips": trips}),
        one,
    ):
        assert not faults(figure)


def invoked(*words):
    return CliRunner().invoke(app, ["unet", *map(str, words)])


def test_the_commands(tmp_path):
    pytest.importorskip("matplotlib", reason="needs the extra report")
    small = "--grid", "cut", "--nfe", 6, "--images", 4, "--paired", 0
    found = invoked("table", "--solver", "DDIM,BDIA", *small, "--json", "--figure", tmp_path / "t.png")
    assert found.exit_code == 0, found.output
    assert [c["solver"] for c in json.loads(found.stdout)["cells"]] == ["DDIM", "BDIA"]
    assert (tmp_path / "t.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["table", "--grid", "odd"], "grid='odd' is unknown"),
        (["table", "--nfe", "a"], "not a whole number"),
        (["table", "--nfe", "2"], "6 or more"),
        (["table", "--images", "1"], "--images=1: give 2 or more"),
        (["table", "--solver", "bdai"], "BDIA"),
        (["edit", "--steps", "4"], "`bdia unet edit` is now `bdia edit`"),
    ],
)
def test_the_commands_refuse_in_one_line(words, said):
    found = invoked(*words)
    assert found.exit_code == 2 and said in found.stderr and found.stderr.count("\n") == 1, found.output
