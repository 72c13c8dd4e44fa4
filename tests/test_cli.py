"""The command `bdia`."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

import bdia_numerics
from bdia_numerics import SOLVERS, cli, plots
from bdia_numerics.claims import ledger
from bdia_numerics.pages import template
from bdia_numerics.studies import digits
from bdia_numerics.studies.digits import Choice, Config
from bdia_numerics.studies.records import records

ROOT = Path(__file__).resolve().parent.parent
runner = CliRunner()
SMALL = Config(steps=(5, 10), images=2, dtypes=("float64",), spacings=("trailing",))


def run(*arguments: str):
    result = runner.invoke(cli.app, arguments)
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def quick_ledger(monkeypatch) -> Iterator[None]:
    """Stand two checks and the study of a few images in for the whole ledger."""

    def holds(*, planted: bool = False) -> None:
        ledger.require(not planted, "noticed")

    known = ("planted", {"planted": lambda: True})
    good = ledger.Check(("eq-1",), "proved", holds, dict([known]), slow=False)
    results, runs = digits.study(SMALL), digits.portraits(SMALL)
    shows = {"results": lambda: results, "runs": lambda: runs, "choices": lambda: (Choice("atoms", "some", 0.3),)}
    real = ledger.Check(("digits",), "measured", lambda: {"what": "measured"}, {}, slow=False, shows=shows)
    monkeypatch.setattr(ledger, "checks", lambda: {"eq-1": good, "digits": real})
    known_statements = ledger.statements()
    for name, text in {"eq-1": "found $x^2$ and [brackets]", "digits": "{what} it"}.items():
        known_statements[name] = replace(known_statements[name], evidence=text)
    monkeypatch.setattr(ledger, "statements", lambda: known_statements)
    monkeypatch.setattr(digits, "study", lambda: results)


def test_version_and_help():
    assert run("--version").stdout == f"bdia_numerics {bdia_numerics.__version__}\n"
    assert "verify" in run("--help").stdout


def test_help_loads_nothing_heavy():
    code = (
        "import sys; sys.argv = ['bdia', '--help']\n"
        "from bdia_numerics.cli import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "print([m for m in ('sympy', 'matplotlib', 'torch', 'jinja2') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.splitlines()[-1] == "[]"


def test_proofs_of_the_paper_as_json(folder):
    result = run("verify", "--only", "prop-1,eq-33,prop-2", "--json")
    assert result.exit_code == 0
    data = json.loads(result.stdout)
    assert [c["id"] for c in data["claims"]] == ["prop-1", "eq-33", "prop-2"]
    for claim in data["claims"]:
        assert set(claim) == {"id", "statement", "verdict", "kind", "evidence", "seconds"}
        assert claim["verdict"] == "proved"
        assert claim["evidence"]
        assert claim["seconds"] >= 0
    assert [c["kind"] for c in data["claims"]] == ["proved", *["formula right, text wrong"] * 2]
    assert data["real_input"] == []
    assert data["versions"]["bdia_numerics"]
    assert list(folder.iterdir()) == []


@pytest.mark.usefixtures("quick_ledger")
def test_the_whole_ledger_writes_a_report(folder):
    result = run("verify", "--all")
    assert result.exit_code == 0
    words = " ".join(result.stdout.split())
    assert re.search(r"The paper: 1 proved; .*Our own: 1 measured; ", words)
    assert "found $x^2$ and [brackets]" in result.stdout
    page = (folder / "report.html").read_text(encoding="utf-8")
    for statement in ledger.statements():
        assert f'id="{statement}"' in page
    assert page.count("data:image/svg+xml;base64,") == 2
    assert "http" not in page.replace("http://www.w3.org", "")
    assert plots.MISSING not in page


def test_a_summary_names_what_does_not_simply_hold_and_shows_a_failed_check_whole(monkeypatch, folder):
    def broken():
        raise AssertionError("the order is 1, and 2 is claimed")

    right = ledger.Check(("eq-33",), "proved", lambda: {"inverse": "so it is"}, {}, slow=False)
    wrong = ledger.Check(("eq-2",), "proved", broken, {}, slow=False)
    monkeypatch.setattr(ledger, "checks", lambda: {"eq-33": right, "eq-2": wrong})
    result = run("verify")
    rows = [re.split(r"  +", line.strip()) for line in result.stdout.splitlines()]
    (corrected,) = (row for row in rows if row[:2] == ["The paper", "formula right, text wrong"])
    assert "eq-33," in corrected[-1].split()
    assert ["The paper", "check failed", "1", "eq-2"] in rows
    (plain,) = (row for row in rows if row[:2] == ["The paper", "definition"])
    assert len(plain) == 3  # how many there are, and no names
    assert "the order is 1, and 2 is claimed" in " ".join(result.stdout.split())
    assert result.exit_code == 1


@pytest.mark.usefixtures("quick_ledger")
def test_json_of_the_whole_ledger_has_the_real_input(folder):
    result = run("verify", "--json", "--html", "page.html")
    data = json.loads(result.stdout)
    assert len(data["claims"]) == len(ledger.statements())
    assert len(data["real_input"]) == len(records(digits.DIGITS, digits.study()))
    assert {"solver", "dtype", "steps", "nfe", "error", "latent_distance", "latent_std"} <= set(data["real_input"][0])
    assert (folder / "page.html").exists()
    assert not (folder / "report.html").exists()


def test_the_ledger_is_written_as_a_page_in_markdown(folder):
    assert run("verify", "--only", "eq-33", "--markdown", "page.md").exit_code == 0
    page = (folder / "page.md").read_text(encoding="utf-8")
    assert "\n(eq-33)=\neq-33 **Exact inverse of BDIA-DDIM**" in page
    assert re.search(r"^Evidence: \S", page, re.MULTILINE)
    assert not (folder / "report.html").exists()


@pytest.mark.usefixtures("quick_ledger")
def test_without_matplotlib_the_figures_are_skipped_and_it_is_said(monkeypatch, folder):
    monkeypatch.setattr(plots, "available", lambda: False)
    result = run("verify")
    assert result.exit_code == 0
    assert plots.MISSING in result.stderr
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert "bdia_numerics[report]" in page
    assert "data:image" not in page


@pytest.mark.usefixtures("quick_ledger")
def test_without_jinja2_there_is_no_page_and_it_is_said_before_the_work(monkeypatch, folder):
    monkeypatch.setattr(template, "find_spec", lambda name: None if name == "jinja2" else name)
    result = run("verify")
    assert result.exit_code == 0
    assert result.stderr.splitlines()[0] == template.MISSING
    assert "The paper proved 1" in " ".join(result.stdout.split())
    for asked in (
        ["verify", "--only", "eq-33", "--html", "x.html"],
        ["verify", "--only", "eq-33", "--markdown", "x.md"],
        ["datasheet", "ddim", "--proved-only", "--html", "x.html"],
    ):
        result = run(*asked)
        assert result.exit_code == 2
        assert result.stdout == ""
        assert template.MISSING in result.stderr
    assert list(folder.iterdir()) == []


def test_the_study_runs_only_if_asked(monkeypatch):
    monkeypatch.setattr(digits, "study", lambda: pytest.fail("the study ran"))
    assert json.loads(run("verify", "--only", "eq-33", "--json").stdout)["real_input"] == []


def test_a_broken_check_is_a_failed_claim(monkeypatch):
    broken = ledger.Check(("eq-1",), "proved", lambda: 1 / 0, {}, slow=False)
    monkeypatch.setattr(ledger, "checks", lambda: {"eq-1": broken})
    result = run("verify", "--only", "eq-1", "--json")
    assert result.exit_code == 1
    (claim,) = json.loads(result.stdout)["claims"]
    assert claim["verdict"] == "failed"
    assert "ZeroDivisionError" in claim["evidence"]


@pytest.mark.usefixtures("quick_ledger")
def test_mutants_are_listed():
    result = run("verify", "--mutants", "--json")
    assert result.exit_code == 0
    assert json.loads(result.stdout)["mutants"] == [
        {"claims": ["eq-1"], "mutant": "planted", "killed": True, "skipped": False, "how": "noticed"}
    ]
    assert "1 of 1 mutants killed" in run("verify", "--mutants").stdout


def test_a_surviving_mutant_is_an_error(monkeypatch):
    blind = ledger.Check(("eq-1",), "proved", lambda **_: None, {"planted": {}}, slow=False)
    monkeypatch.setattr(ledger, "checks", lambda: {"eq-1": blind})
    result = run("verify", "--mutants")
    assert result.exit_code == 1
    assert "not noticed" in result.stdout


def test_a_skipped_mutant_is_no_error_and_not_killed(monkeypatch):
    def absent(**_):
        raise ledger.Skipped("a program is absent")

    check = ledger.Check(("eq-1",), "proved", absent, {"planted": {}}, slow=False)
    monkeypatch.setattr(ledger, "checks", lambda: {"eq-1": check})
    result = run("verify", "--mutants")
    assert result.exit_code == 0
    assert "0 of 1 mutants killed, 1 skipped" in result.stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--only", "prop-11"], ["'prop-11'", "prop-1"]),
        (["--only", "prop-11", "--mutants"], ["'prop-11'", "prop-1"]),
        (["--only", ","], ["--only", "prop-1,eq-33"]),
        (["--quick", "--full"], ["--quick", "--full"]),
        (["--html", "nowhere/page.html"], ["--html=nowhere/page.html", "make it first"]),
        (["--html", "."], ["--html=.", "folder"]),
        (["--mutants", "--html", "page.html"], ["--mutants", "--html"]),
        (["--markdown", "nowhere/page.md"], ["--markdown=nowhere/page.md", "make it first"]),
        (["--mutants", "--markdown", "page.md"], ["--mutants", "--markdown"]),
    ],
)
def test_usage_errors_are_one_line(arguments, words):
    result = run("verify", *arguments)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert len(result.stderr.splitlines()) == 1
    assert not [w for w in words if w not in result.stderr]


def test_an_unknown_option_is_a_usage_error():
    assert run("verify", "--slow").exit_code == 2


def test_list_names_every_solver(monkeypatch):
    solvers = {s["name"]: s for s in json.loads(run("list", "--json").stdout)["solvers"]}
    assert set(solvers) == {*SOLVERS, "StormerVerlet"}
    assert solvers["StormerVerlet"]["bit_exact"] == "yes" and "z''" in solvers["StormerVerlet"]["order"]
    assert all(
        s["bit_exact"] == ("yes" if s["invertible"] else "no") for s in solvers.values()
    )  # as their datasheets say
    assert solvers["BDIA"]["condition"] == "gamma != 0"
    assert solvers["BDIA"]["nfe"] == 1
    assert solvers["BDIA"]["registers"] == ["z_prev", "z"]
    assert not solvers["DDIM"]["invertible"]
    assert solvers["DDIM"]["reason"]
    monkeypatch.setattr("bdia_numerics.cli.solvers.row", lambda name, make: solvers[name])  # known by now
    short = run("list").stdout
    assert all(len(line.rstrip()) <= 80 for line in short.splitlines())
    (line,) = (line for line in short.splitlines() if line.startswith("BDIA "))
    assert line.split() == ["BDIA", "2/1", "1", "z_prev", "z", "gamma", "!=", "0", "yes"]
    one = run("list", "ddim").stdout
    assert "which the step has overwritten" in " ".join(one.split()) and "BDIA" not in one
    assert "name='bdai' is unknown: use BDIA" in run("list", "bdai").output
    shown = run("list", "--long").stdout
    assert "StormerVerlet solves z'' = a(z, t): its model gives a" in shown
    assert all(name in shown for name in SOLVERS)
    # No row is left to do: each says its order, its source, and why it is not exact, where it is not.
    for row in solvers.values():
        assert row["order"] and row["source"] and (row["condition"] or row["reason"]) and row["bit_exact"]


@pytest.mark.parametrize(
    ("error", "verdict", "kind"),
    [
        (None, "proved", "formula right, text wrong"),
        (ledger.CheckFailed("no"), "failed", "check failed"),
        (ledger.Skipped("flint is missing"), "skipped", "skipped"),
        (ledger.LeftOpen("in [-1.51, 4.60]"), "open", "undecided"),
        (ledger.LeftOpen("16.1, not 15.04", protocol="A"), "open", "not reproduced under protocol A"),
    ],
)
def test_the_kind_says_what_happened(error, verdict, kind, monkeypatch):
    def found():
        if error is not None:
            raise error
        return {"inverse": "so it is"}

    monkeypatch.setattr(ledger, "checks", lambda: {"eq-33": ledger.Check(("eq-33",), "proved", found, {}, slow=False)})
    (claim,) = json.loads(run("verify", "--only", "eq-33", "--json").stdout)["claims"]
    assert (claim["verdict"], claim["kind"]) == (verdict, kind)
    shown = run("verify", "--only", "eq-33")
    assert f"The paper: 1 {kind}" in " ".join(shown.stdout.split())
    assert shown.exit_code == (verdict == "failed")
