"""`bdia pages`: pages that nobody types are those of the saved data, and one template environment makes all of them."""

import json
import re
from pathlib import Path

import pytest
from json_checks import fits

pytest.importorskip("matplotlib", reason="needs the extra report")
pytest.importorskip("h5netcdf", reason="needs the extra sweep")

import jinja2
import typer
from typer.testing import CliRunner

from bdia_numerics.cli import app, reference
from bdia_numerics.pages import documents
from bdia_numerics.pages.template import between, rendered

ROOT = Path(__file__).resolve().parent.parent
GROUP = typer.main.get_command(app)
TEMPLATES = ROOT / "bdia_numerics" / "pages" / "templates"


def bdia(*arguments):
    return CliRunner().invoke(app, ["pages", *map(str, arguments)])


def test_a_page_of_saved_data_is_the_datas(tmp_path):
    run = bdia("network-sampling", "--out", tmp_path, "--json")
    place = "docs/findings/network-sampling.md"
    made = fits("pages", run.stdout)
    assert made["pages"] == {"network-sampling": {place: "written"}} and made["left"] == {}
    text = (tmp_path / place).read_text(encoding="utf-8")
    assert text == (ROOT / place).read_text(encoding="utf-8") and text.count("| `EDICT` |") == 1
    again = bdia("network-sampling", "--out", tmp_path, "--json")
    assert json.loads(again.stdout)["pages"] == {"network-sampling": {place: "unchanged"}}


def test_a_table_that_was_changed_by_hand_is_written_anew(tmp_path, monkeypatch):
    """The text around it is left as it is."""
    place = Path("docs/findings/network-sampling.md")
    sound = (ROOT / place).read_text(encoding="utf-8")
    for folder in ("experiments", "paper_figs"):
        (tmp_path / folder).symlink_to(ROOT / folder)
    (tmp_path / place).parent.mkdir(parents=True)
    (tmp_path / place).write_text(sound.replace("| `EDICT` |", "| `EDICTS` |"), encoding="utf-8")
    monkeypatch.setattr(documents, "_experiment", lambda root, name: __import__(name))
    assert documents.make(["network-sampling"], root=tmp_path) == {"network-sampling": {place.as_posix(): "written"}}
    assert (tmp_path / place).read_text(encoding="utf-8") == sound


def test_the_table_of_round_trips_is_what_was_kept(tmp_path):
    pytest.importorskip("torch", reason="needs the extra torch")
    assert bdia("network-growth", "--out", tmp_path).exit_code == 0
    for name in ("network-growth.md", "network-round-trips.json"):
        assert (tmp_path / "docs/findings" / name).read_bytes() == (ROOT / "docs/findings" / name).read_bytes()


def test_the_page_of_defects_is_its_template_and_a_table():
    page = (ROOT / "docs/findings/defects.md").read_text(encoding="utf-8")
    table = "\n".join(line for line in page.splitlines() if line.startswith("|"))
    assert rendered(ROOT / "experiments/defects.md.j2", table=table) == page


def test_what_needs_runs_waits_until_it_is_asked_for():
    run = bdia("ledger")
    assert run.exit_code == 2 and "ledger is made from runs, about 2 min of one core: give --recompute" in run.stderr
    assert documents.make(["ledger", "defects"], root=ROOT) == {}


def test_bad_input_is_one_line(tmp_path, monkeypatch):
    run = bdia("ledgers")
    assert run.exit_code == 2 and run.stderr.startswith("bdia: ledgers is none of figures, ")
    (tmp_path / "docs").write_text("a file", encoding="utf-8")
    run = bdia("network-sampling", "--out", tmp_path)
    assert run.exit_code == 2 and "Not a directory" in run.stderr and len(run.stderr.splitlines()) == 1
    monkeypatch.setattr(documents.resources, "files", lambda package: tmp_path / package)
    run = bdia("network-sampling")
    assert run.exit_code == 2 and "the pages are those of a checkout" in run.stderr


def test_the_list_names_what_is_there():
    listed = json.loads(bdia("--list", "--json").stdout)["pages"]
    assert list(listed) == [*documents.DOCUMENTS, "commands", "json"]
    for about in listed.values():
        paths = re.findall(
            r"(?:docs|experiments|paper_figs)/[\w./-]+\w|README\.md", about["files"] + " " + about["source"]
        )
        assert all((ROOT / path).exists() for path in paths), paths
    assert "diffusers-orders" in bdia("--list").stdout


def test_the_page_of_the_commands_is_the_commands_own():
    """What each prints is kept; `bdia pages commands --recompute` runs them."""
    page = (ROOT / reference.PLACE).read_text(encoding="utf-8")
    assert reference.contents(GROUP, ROOT, False) == {reference.PLACE: page}
    known = dict(reference.commands(GROUP))
    assert known.keys() <= reference.EXAMPLES.keys() and len(known) >= 15
    for name, command in known.items():
        section = page.partition(f"### bdia {name}\n")[2].partition("\n### ")[0]
        words = [option for p in command.params for option in p.opts if option.startswith("--") and not p.hidden]
        assert all(f"`{word}" in section for word in words if word != "--help"), name
        assert re.search(rf"```text\n\$ bdia {name}\b.*\n.+", section), name


@pytest.mark.slow
def test_each_output_on_the_page_of_the_commands_is_what_is_printed():
    """Digits apart, which are times and the last places of what BLAS computes, and the kernels that this machine has."""
    page = (ROOT / reference.PLACE).read_text(encoding="utf-8")
    shapes = [
        re.sub(r"[\d.e+-]+|\s+", " ", re.sub("outputs? of (the network|one input).*", "", text))
        for text in (page, reference.contents(GROUP, ROOT, True)[reference.PLACE])
    ]
    assert shapes[0] == shapes[1]


def test_text_goes_between_its_marks():
    page = "a\n<!-- x:begin -->\nold\n<!-- x:end -->\nb <!-- y begin --><!-- y end -->"
    expected = "a\n<!-- x:begin -->\n1\n<!-- x:end -->\nb <!-- y begin -->\n2\n<!-- y end -->"
    assert between(page, {"x": "1", "y": "2"}) == expected
    for wrong in ("no marks", "<!-- x begin -->", page + page):
        with pytest.raises(ValueError, match="no single <!-- x begin -->"):
            between(wrong, {"x": "1"})


def test_a_template_escapes_html_and_misses_no_value(tmp_path):
    assert "<title>bdia_numerics: figures</title>" in rendered(
        "figures.html.j2", manifest={"drawn_with": {"<b>": "1"}, "figures": {}}, compact=str
    )
    assert "&lt;b&gt; 1" in rendered(
        "figures.html.j2", manifest={"drawn_with": {"<b>": "1"}, "figures": {}}, compact=str
    )
    page = tmp_path / "page.md.j2"
    page.write_text("{{ x }}", encoding="utf-8")
    assert rendered(page, x="<b>") == "<b>"
    with pytest.raises(jinja2.UndefinedError):
        rendered(page)


def test_there_is_one_environment_and_one_style_sheet():
    code = [path for folder in ("bdia_numerics", "experiments", "paper_figs") for path in (ROOT / folder).rglob("*.py")]
    assert [p.name for p in code if "Environment(" in p.read_text(encoding="utf-8")] == ["template.py"]
    # A ledger's own rules are its filter's, one for each verdict that it has; the explorer's are those of its controls and drawings.
    styled = {p.name for p in TEMPLATES.iterdir() if "<style>" in p.read_text(encoding="utf-8")}
    assert styled == {"page.html.j2", "claims.html.j2"}
    assert {p.name for p in TEMPLATES.glob("*.css")} == {"claims.css", "explorer.css", "style.css"}
