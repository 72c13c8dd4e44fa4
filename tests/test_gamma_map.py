"""The map of gamma, grid and steps, and the distances between samples."""

import json

import numpy as np
import pytest
from scipy.stats import norm
from typer.testing import CliRunner

from bdia_numerics import BDIA, cli, schedules, solve
from bdia_numerics.names import distribution
from bdia_numerics.plots.gamma_map import curves, last_slot, table
from bdia_numerics.studies import gamma_map as quality, records, run
from bdia_numerics.studies.gamma_map import GRIDS, MAP, MapConfig, best, of_bdia
from bdia_numerics.studies.study import to_clean

SMALL = MapConfig(grids=("leading", "quad"), gammas=(0.0, 0.5, 1.0), steps=(10, 20), states=64, quality=True)


@pytest.fixture(scope="module")
def found():
    calls = []
    result = run(MAP, SMALL, advance=lambda: calls.append(1))
    assert len(calls) == len(records.records(MAP, result)) == 2 * 2 * 5
    return result


def test_a_cell_is_what_solve_gives(found):
    schedule, law = schedules.ddpm_linear(), distribution("modes")
    grid = to_clean("quad", schedule, 20)
    z = norm.ppf((np.arange(64) + 0.5) / 64)[:, None]
    end = solve(BDIA(0.5), law.model(schedule), grid, z).z
    exact = law.flow(z, grid.t[20], grid.t[0], schedule)
    said = [c for c in records.data(MAP, found)["cells"] if (c["grid"], c["steps"]) == ("quad", 20)]
    cell = next(c for c in said if c["gamma"] == 0.5)
    assert cell["error"] == pytest.approx(np.linalg.norm(end - exact) / 8, rel=1e-12, abs=0)
    assert cell["nfe"] == 20 and type(cell["nfe"]) is int
    assert [c["solver"] for c in said] == ["DDIM", "BDIA", "BDIA", "O-BELM", "EDICT"]
    assert next(c for c in said if c["solver"] == "EDICT")["nfe"] == 40


def test_the_best_cell(found):
    part = of_bdia(found).sel(grid="leading", steps=10)
    assert best(part, "error") == 0.5
    assert float(part["error"].sel(gamma=0.5)) == part["error"].values.min()
    caption, heads, rows = records.table(MAP, found)
    assert caption == "distribution modes, schedule ddpm"
    assert (rows[0][heads.index("best gamma")], len(rows)) == ("0.5", 4 * 4)
    assert rows[0][heads.index("draws themselves")] == ""  # the exact flow has no such floor


def test_grids_end_where_they_say():
    schedule = schedules.ddpm_linear()
    for name in GRIDS:
        grid = to_clean(name, schedule, 10)
        assert grid.t[0] == (0 if name in ("cut", "leading+1") else -1), name
    np.testing.assert_array_equal(to_clean("leading", schedule, 10).t[1:], 100 * np.arange(10))
    np.testing.assert_array_equal(to_clean("cut", schedule, 10).t, 100 * np.arange(10))
    assert list(to_clean("quad", schedule, 10).t)[-2:] == [632, 800]


def test_frechet_distance_of_gaussians():
    # N(0, 1) and N(3, 4) in one dimension: 9 + (2 - 1)^2.
    x = norm.ppf((np.arange(4000) + 0.5) / 4000)[:, None]
    assert quality.frechet_distance(x, 3 + 2 * x) == pytest.approx(10, rel=1e-2)
    assert quality.frechet_distance(x, x) == pytest.approx(0, abs=1e-6)


def test_distances_of_shifted_samples():
    x = np.random.default_rng(0).standard_normal((400, 1))
    assert quality.sliced_wasserstein(x, x + 0.5) == pytest.approx(0.5, rel=1e-12, abs=0)
    assert quality.energy(x, x) == pytest.approx(0, abs=1e-12)
    # Two atoms at distance d: 2d - 0 - 0.
    assert quality.energy(np.zeros((3, 2)), np.full((2, 2), 3.0)) == pytest.approx(2 * np.sqrt(18))
    # In many dimensions a shift of length 1 has the mean |cos| of a random direction, 2/pi in the plane.
    y = np.random.default_rng(1).standard_normal((200, 2))
    assert quality.sliced_wasserstein(y, y + np.array([1.0, 0.0])) == pytest.approx(2 / np.pi, rel=0.1)


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"distribution": "normal"}, "distribution='normal'"),
        ({"schedule": "flow"}, "schedule='flow' has no training steps"),
        ({"grids": ("even",)}, "grid='even'"),
        ({"gammas": (2.0,)}, "gammas="),
        ({"steps": (1,)}, "steps="),
        ({"states": 1}, "states=1"),
    ],
)
def test_bad_input(values, says):
    with pytest.raises(ValueError, match=says):
        MapConfig(**values)


def test_figures(found):
    assert len(curves(found, "error").axes) == 2
    whole, without = (table(part, "frechet").axes[0] for part in (found, found.sel(gamma=[0.5, 1.0])))
    assert len(whole.texts) == 4 and "x" in whole.texts[0].get_text() and "DDIM" in whole.get_title()
    assert without.get_title() == "best gamma" and {text.get_text() for text in without.texts} <= {"0.5", "1"}
    assert [a.get_ylabel() for a in last_slot(found, found).axes] == [
        "Frechet distance of moments",
        "rms distance to the exact flow",
    ]


def test_the_command(tmp_path):
    path = tmp_path / "map.png"
    small = [
        "map",
        "--grid",
        "leading,quad",
        "--solver",
        "bdia:gamma=0",
        "--solver",
        "bdia:gamma=1",
        "--steps",
        "10",
        "--states",
        "32",
    ]
    done = CliRunner().invoke(cli.app, [*small, "--figure", str(path)])
    assert done.exit_code == 0, done.stderr
    assert "leading" in done.stdout
    assert path.read_bytes().startswith(b"\x89PNG")
    done = CliRunner().invoke(cli.app, [*small, "--json"])
    assert len(json.loads(done.stdout)["cells"]) == 2 * 4
    done = CliRunner().invoke(cli.app, ["map", "--solver", "bdia:gamma=x"])
    assert (done.exit_code, done.stderr.count("\n")) == (2, 1)
