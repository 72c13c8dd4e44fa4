"""The paper's figures: drawn from saved data, alike each time, with a manifest that says what they rest on."""

import hashlib
import json
import re
import runpy
import tomllib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from json_checks import fits

pytest.importorskip("matplotlib", reason="needs the extra report")
pytest.importorskip("h5netcdf", reason="needs the extra sweep")

from figure_checks import faults
from typer.testing import CliRunner

from bdia_numerics import plots, studies
from bdia_numerics.cli import app
from bdia_numerics.pages import figures as gallery
from bdia_numerics.plots import rounding, tables
from bdia_numerics.plots.figures import FIGURES
from bdia_numerics.plots.pictures import Sheet, mosaic, sheets
from bdia_numerics.plots.style import line, looks
from bdia_numerics.studies.network_studies import GROWTH, GrowthConfig
from bdia_numerics.studies.network_table import NETWORK_TABLE, TableConfig
from bdia_numerics.studies.study import assemble, cells

ROOT = Path(__file__).resolve().parent.parent
DATA = gallery.shipped()
QUICK = ("fig3-interlaced", "gamma-best")


def marks(figure):
    """Return what in a figure says that something is missing."""
    return figure.findobj(lambda artist: artist.get_gid() == "missing")


def loaded(name):
    return [studies.load(DATA / f"{key}.nc") for key in FIGURES[name].data]


def invoked(*words):
    return CliRunner().invoke(app, ["figures", *map(str, words)])


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    folder = tmp_path_factory.mktemp("figures")
    manifest, missing = gallery.draw(QUICK, DATA, folder)
    assert missing == {}
    return folder, manifest


def test_the_files_are_what_they_are_called(out):
    folder, manifest = out
    assert list(manifest["figures"]) == list(QUICK)
    for name in QUICK:
        assert (folder / f"{name}.png").read_bytes().startswith(b"\x89PNG")
        pdf = (folder / f"{name}.pdf").read_bytes()
        assert (
            pdf.startswith(b"%PDF") and b"/CreationDate" not in pdf and b"/Type3" not in pdf and b"/Type42" not in pdf
        )
        assert b"/CIDFontType2" in pdf or b"/TrueType" in pdf


def test_the_manifest_is_true(out):
    folder, manifest = out
    assert json.loads((folder / "manifest.json").read_text(encoding="utf-8")) == manifest
    for name, entry in manifest["figures"].items():
        for file, about in entry["files"].items():
            content = (folder / file).read_bytes()
            assert about == {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
        assert list(entry["data"]) == list(FIGURES[name].data)
        for key, about in entry["data"].items():
            dataset = studies.load(DATA / f"{key}.nc")
            assert about["hash"] == studies.data_hash(dataset)
            assert about["config"] == json.loads(dataset.attrs["config"]) and about["versions"]["numpy"]
        assert entry["command"] == f"bdia figures --only {name}"


def test_the_index_shows_every_figure(out):
    folder, manifest = out
    text = (folder / "index.html").read_text(encoding="utf-8")
    assert re.findall(r'<img src="([^"]+)"', text) == [f"{name}.png" for name in QUICK]
    assert all(entry["data"][key]["hash"] in text for entry in manifest["figures"].values() for key in entry["data"])


def test_a_second_run_gives_the_same_bytes_and_keeps_the_others(out):
    folder, manifest = out
    again, _ = gallery.draw(["fig3-interlaced"], DATA, folder)
    assert again == manifest


@pytest.mark.slow
@pytest.mark.parametrize("name", FIGURES)
def test_every_figure(name):
    """Of a width that a paper has, in every format alike each time, with words that can be read."""
    figure = FIGURES[name].draw(*loaded(name))
    assert 3 < figure.get_size_inches()[0] <= 7 and figure.get_size_inches()[1] < 9
    assert faults(figure) == []
    assert plots.image(figure, format="pdf").startswith(b"%PDF")
    # Drawn anew, since a layout is refined each time that its figure is drawn.
    assert len({plots.image(FIGURES[name].draw(*loaded(name)), format="png") for _ in range(2)}) == 1
    sizes = {
        text.get_fontsize()
        for text in figure.findobj(lambda artist: hasattr(artist, "get_fontsize"))
        if text.get_text()
    }
    assert min(sizes) >= 6 and max(sizes) <= 9


def test_places_do_not_hang_on_addresses_in_memory():
    """The solver behind a constrained layout orders its constraints by address: places came out 5.6e-17 apart, and pixels with them."""
    figures = [FIGURES["fig3-interlaced"].draw() for _ in range(2)]
    engine = figures[1].get_layout_engine()
    execute = engine.execute

    def noisy(figure):
        found = execute(figure)
        for ax in figure.axes:
            x, y, w, h = ax.get_position(original=True).bounds
            ax._set_position([x + 1e-12, y - 1e-12, w, h])  # as the engine does it
        return found

    engine.execute = noisy
    first, second = (plots.image(figure, format="png") for figure in figures)
    assert first == second
    places = [[ax.get_position(original=True).bounds for ax in figure.axes] for figure in figures]
    assert places[0] == places[1]


def test_every_figure_has_its_data():
    used = {key for spec in FIGURES.values() for key in spec.data}
    assert used == set(gallery.DATA)
    assert {path.stem for path in DATA.iterdir()} == used
    for key in used:
        path, recipe = DATA / f"{key}.nc", gallery.DATA[key]
        study, config = gallery.study_of(recipe)
        assert path.stat().st_size < 400_000
        attributes = studies.load(path).attrs
        assert attributes["study"] == study.name
        assert json.loads(attributes["config"]) == json.loads(json.dumps(vars(config)))


@pytest.mark.parametrize("path", sorted((ROOT / "paper_figs").glob("[ft]*.py")), ids=lambda path: path.stem)
def test_a_script_draws_what_the_command_draws(path):
    (name,) = re.findall(r"--only ([\w-]+)`", path.read_text(encoding="utf-8"))
    space, spec = runpy.run_path(str(path)), FIGURES[name]
    if spec.data:
        assert any(value is spec.draw for value in space.values())
        assert f'/ "{spec.data[0]}.nc"' in path.read_text(encoding="utf-8") and len(spec.data) == 1
    else:
        assert plots.image(space["figure"](), format="png", dpi=50) == plots.image(spec.draw(), format="png", dpi=50)


def test_the_wheel_carries_the_data():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    carried = project["tool"]["hatch"]["build"]["targets"]["wheel"]["force-include"]
    assert carried["paper_figs/data"] == "bdia_numerics/plots/data"


def test_the_page_lists_every_figure():
    assert (ROOT / "docs/figures.md").read_text(encoding="utf-8") == gallery.page()
    pictures = {path.stem: path.stat().st_size for path in (ROOT / "docs/images/figures").iterdir()}
    assert set(pictures) == set(FIGURES) and sum(pictures.values()) < 1_500_000


def test_users_have_the_style():
    import matplotlib.pyplot as plt

    with plt.style.context("bdia_numerics.plots.bdia"):
        assert plt.rcParams["pdf.fonttype"] == 42 and plt.rcParams["font.size"] == 8


def test_a_number_that_is_missing_is_seen():
    from matplotlib.figure import Figure

    ax = Figure().subplots()
    line(ax, [1, 2, 3, 4], [1e-2, np.nan, np.inf, 0.0], color="k")
    (cross,) = marks(ax.figure)
    assert list(cross.get_xdata()) == [2, 3]
    assert np.isnan(ax.lines[0].get_ydata()).tolist() == [False, True, True, True]


def test_an_image_that_is_missing_is_seen():
    images = np.zeros((2, 3, 4, 4))
    images[1, 2] = np.nan
    assert len(marks(sheets([Sheet(images)]))) == 2  # a cross
    assert mosaic(images).shape == (2 * 6, 3 * 6)


@pytest.mark.parametrize(
    "name",
    ["gamma-best", *(pytest.param(k, marks=pytest.mark.slow) for k in ("convergence", "work-precision", "misprints"))],
)
def test_a_cell_that_failed_is_seen(name):
    (found,) = loaded(name)
    assert marks(FIGURES[name].draw(found)) == []
    broken = found.copy(deep=True)
    places = np.argwhere(np.isfinite(broken["error"].values))
    broken["error"].values[tuple(places[0])] = np.inf
    if name == "gamma-best":
        broken["error"].values[:1] = np.nan
    assert marks(FIGURES[name].draw(broken))


def test_a_region_is_called_empty_only_where_that_is_proved():
    (found,) = loaded("stability")
    beside = found.sel(direction=["invert"], solver=["BDIA", "EDICT"], real=slice(None, -0.1))  # not the line itself
    words = [[text.get_text() for text in ax.texts] for ax in rounding.regions(beside).axes]
    assert words == [["empty, or a line"], ["empty"]]


def table_of(broken=()):
    """Return a dataset of the network's table with made-up numbers, without those of some solvers."""
    config = TableConfig(
        solvers=("DDIM", "BDIA(gamma=1/2)", "BDIA(gamma=1)", "Heun", "BDIAHeun", "DPMSolverPP"), resamples=10
    )
    results = []
    for k, cell in enumerate(cells(NETWORK_TABLE, config)):
        numbers = dict.fromkeys(("distance", "uncertainty", "recognised", "steps", "nfe"), 1.0)
        found = {
            "frechet": 3.0 + k,
            "resampled": 3.0 + k + np.linspace(-0.1, 0.1, 10),
            "floor": 0.5,
            "status": "ok",
            **numbers,
        }
        results.append((cell, {"status": "it broke"} if cell["solver"] in broken else found))
    return assemble(NETWORK_TABLE, config, results)


def test_tables_are_labelled_and_whole():
    found = table_of(broken=("Heun",))
    one, two, three = tables.blocks(found)
    assert one.rows[0][0] == "BDIA, γ = 0.5" and one.rows[0][1][0] == (12.62, None, None, False)
    assert [row[1][0][0] for row in two.rows] == [14.38, 10.03, 7.51, 6.29, 4.95, 4.63]
    # DDIM is the first cell of the first grid, 10 evaluations. BDIA's number is made one larger on every resample.
    assert one.rows[1][1][one.published] == (3, None, None, True)
    assert one.rows[0][1][one.published] == pytest.approx((4, 1, 0, False))
    assert three.rows[0][1][three.published :] == (None,) * 4
    figure = tables.draw(found)
    assert len(marks(figure)) == 4 and faults(figure) == []
    words = [text.get_text() for text in figure.axes[0].texts]
    assert words.count("published: FID") == 3 and sum("Frechet" in word for word in words) == 3
    assert one.heads[: one.published + 1] == ("COCO 2014, SD V2", "leading") and "failed" in words


def test_only_what_a_paired_interval_decides_is_bold():
    found = table_of()
    assert {cell.best for _, cells in tables.blocks(found)[1].rows for cell in cells[:2]} == {
        False
    }  # no interval is published
    at = {"grid": "cut", "evaluations": 20}
    base, other = (found["resampled"].sel(solver=s, **at) for s in ("DDIM", "BDIA(gamma=1)"))

    def shown(spread):
        """The cells of DDIM and BDIA, one larger in the mean, with a difference that spreads so much over the resamples."""
        found["resampled"].loc[at | {"solver": "BDIA(gamma=1)"}] = (
            base.values + 1 + np.linspace(-spread, spread, base.size)
        )
        rows = dict(tables.blocks(found)[1].rows)
        column = tables.blocks(found)[1].heads.index("cut")
        return rows["DDIM, 20"][column], rows["BDIA, 20"][column]

    found["frechet"].loc[at | {"solver": "BDIA(gamma=1)"}] = float(found["frechet"].sel(solver="DDIM", **at)) + 1
    ddim, bdia = shown(0.1)
    assert ddim.best and not bdia.best and bdia.more == pytest.approx(1)
    assert bdia.half == pytest.approx(1.96 * np.linspace(-0.1, 0.1, other.size).std(ddof=1))
    assert [cell.best for cell in shown(1)] == [False, False]


def test_a_solver_has_one_look_in_every_figure():
    """However it is called, and whatever stands beside it."""
    one, other = looks(["Heun", "BDIA, gamma 1", "EDICT, p 0.93"]), looks(["DDIM", "EDICT", "BDIA, γ = 1", "a", "b"])
    assert one["BDIA, gamma 1"] == other["BDIA, γ = 1"] == looks(["BDIA"])["BDIA"] == looks(["γ = 1"])["γ = 1"]
    assert one["EDICT, p 0.93"] == other["EDICT"] != looks(["EDICT, exchanging"])["EDICT, exchanging"]
    assert looks(["BDIA, γ = 1/2"])["BDIA, γ = 1/2"] == looks(["γ = 0.5"])["γ = 0.5"]
    many = looks([*(f"curve {k}" for k in range(11)), "DDIM", "BDIA", "EDICT"])
    assert len({(look["color"], look["marker"]) for look in many.values()}) == 14


def test_formats_of_a_network_that_failed_are_seen():
    config = GrowthConfig(solvers=("BDIA(gamma=1)", "EDICT(p=1)"), dtypes=("float16", "float64"))
    results = []
    for cell in cells(GROWTH, config):
        found = {
            "error": np.nan
            if cell == {"solver": "EDICT(p=1)", "steps": 10, "dtype": "float16"}
            else 10.0 ** -len(results),
            "status": "ok",
        }
        if cell["dtype"] == "float64":
            found |= {name: np.full((2, 2), 30.0) for name in ("amplification", "predicted")} | {
                "bare": np.full(2, 0.2)
            }
        results.append((cell, found))
    figure = rounding.on_network(assemble(GROWTH, config, results))
    assert [mark.get_xdata().size for mark in marks(figure)] == [1, 0]
    assert faults(figure) == []


def test_the_command_lists():
    found = fits("figures --list", invoked("--list", "--json").stdout)["figures"]
    assert list(found) == list(FIGURES) and found["gamma-best"]["data"] == ["map"]


def test_a_figure_without_its_data_is_named(tmp_path):
    found = invoked(
        "--only", "fig3-interlaced,misprints", "--data", tmp_path, "--out", tmp_path / "x", "--formats", "svg", "--json"
    )
    assert found.exit_code == 1
    said = fits("figures", found.stdout)
    assert list(said["figures"]) == ["fig3-interlaced"] and list(said["missing"]) == ["misprints"]
    line = next(text for text in found.stderr.splitlines() if text.startswith("bdia:"))
    assert "misprints is not drawn" in line and "--recompute --only misprints" in line
    assert (tmp_path / "x" / "fig3-interlaced.svg").read_text(encoding="utf-8").startswith("<?xml")
    (tmp_path / "misprints.nc").write_bytes(
        (Path(__file__).resolve().parent.parent / "paper_figs" / "data" / "map.nc").read_bytes()
    )
    other = invoked("--only", "misprints", "--data", tmp_path, "--out", tmp_path / "x", "--formats", "svg")
    assert other.exit_code == 1 and "holds study map, but the figure draws misprints" in other.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--only", "fig9"], "--only=fig9 is none of"),
        (["--formats", "gif"], "--formats=gif is none of pdf, png, svg"),
        (["--data", "/nowhere"], "there is not a folder /nowhere of saved data"),
    ],
)
def test_the_command_refuses_in_one_line(words, said):
    found = invoked(*words)
    assert found.exit_code == 2 and said in found.stderr and found.stderr.count("\n") == 1, found.output


def test_a_study_that_fails_leaves_the_file(tmp_path, monkeypatch):
    def broken(config, cell):
        raise RuntimeError("no network")

    study = replace(gallery.study_of(gallery.DATA["misprints"])[0], compute=broken)
    monkeypatch.setattr(gallery, "study_of", lambda recipe: (study, study.config(claims=("eq-61",))))
    (tmp_path / "misprints.nc").write_text("as it was", encoding="utf-8")
    found = invoked("--recompute", "--only", "misprints", "--data", tmp_path, "--out", tmp_path / "x")
    assert found.exit_code == 2 and "misprints: 2 cells failed" in found.stderr and "no network" in found.stderr
    assert (tmp_path / "misprints.nc").read_text(encoding="utf-8") == "as it was"


def test_a_file_in_place_of_the_folder_is_named(tmp_path):
    (tmp_path / "x").write_text("", encoding="utf-8")
    found = invoked("--only", "gamma-best", "--out", tmp_path / "x")
    assert found.exit_code == 2 and "--out=" in found.stderr and "another folder" in found.stderr


@pytest.mark.slow
def test_data_anew_are_the_same(tmp_path):
    found = invoked("--recompute", "--only", "misprints", "--out", tmp_path, "--formats", "svg")
    assert found.exit_code == 0, found.output
    anew, kept = (studies.load(folder / "misprints.nc") for folder in (tmp_path / "data", DATA))
    np.testing.assert_allclose(anew["error"], kept["error"], rtol=1e-6, atol=1e-13)
    assert [path.name for path in (tmp_path / "data").iterdir()] == ["misprints.nc"]


def test_words_over_one_another_or_cut_are_found():
    from matplotlib.figure import Figure

    figure = Figure(figsize=(2, 1))
    for x, word in ((0.1, "first"), (0.15, "second"), (0.9, "beyond the edge")):
        figure.text(x, 0.5, word)
    assert faults(figure) == [("first", "second"), "beyond the edge"]
    axes = figure.add_axes((0.3, 0.3, 0.5, 0.5))
    axes.set_axis_off()
    assert faults(figure) == [("first", "second"), "beyond the edge"]
