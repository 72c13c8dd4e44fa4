"""Tables of commands on any width: no line is longer, and no number or name is broken."""

from itertools import pairwise

import pytest

from bdia_numerics.cli import options
from bdia_numerics.cli.options import show_table
from bdia_numerics.studies.encoding import ENCODING

SOLVERS = ("ALF", "SymmetricMultistep(variable=angle)", "OBELM(variable=angle)")
NUMBERS = (
    "20",
    "0.0057",
    "0.00036 to 0.091",
    "0",
    "0.0035",
    "0.64",
    "2.2",
    "6e-07",
    "1.2e-15",
    "4e+03",
    "2e+01",
    "0.93",
    "0.81",
)
STATUS = "19 evaluations do not pay the start and a step, which five slots take: allow more"
ENCODED = [
    (target, grid, solver, *NUMBERS)
    for target in ("tight", "network, guidance 1")
    for grid in ("trailing", "log_snr:t_min=0")
    for solver in SOLVERS
]
TOLD = "the inverse enlarges errors 2200 times on this grid, and what it returns says nothing of the latent"
LINTED = [
    (f"rule-{k}", "timestep_spacing='leading', steps_offset=0", TOLD, "pass set_alpha_to_one=False", TOLD)
    for k in range(4)
]


@pytest.mark.parametrize("width", [200, 160, 120, 100, 80, 60])
@pytest.mark.parametrize(
    ("heads", "rows", "whole"),
    [
        (list(ENCODING.columns), ENCODED, list(ENCODING.columns)),
        (list(ENCODING.columns), ENCODED, ("solver",)),
        (
            [*ENCODING.columns, "status"],
            [*((*row, "ok") for row in ENCODED), (*ENCODED[0], STATUS)],
            [*ENCODING.columns],
        ),
        (("rule", "where", "what", "remedy", "cost"), LINTED, ("rule",)),
    ],
    ids=("whole", "numbers", "one sentence", "sentences"),
)
def test_no_line_is_longer_than_the_width_and_no_word_is_broken(width, heads, rows, whole, capsys):
    show_table(heads, [(*row, "")[: len(heads)] for row in rows], whole, width)
    printed = capsys.readouterr().out
    assert max(map(len, printed.splitlines())) <= width
    words = printed.replace(",", " ").split()
    for row in rows:
        assert {*" ".join(row).replace(",", " ").split()} <= {*words}
    assert {*" ".join(heads[: len(rows[0])]).split()} <= {*words}
    assert heads[0] == "rule" or printed.count("kurtosis") <= 4  # a table for each target and grid, not for each row


def test_parts_of_a_wide_table_repeat_the_solver_and_name_what_they_share(capsys):
    show_table(list(ENCODING.columns), ENCODED, list(ENCODING.columns), 80)
    printed = capsys.readouterr().out
    parts = printed.count("\nsolver ")
    assert printed.count("target tight, grid log_snr:t_min=0") == 1 and parts > 4
    assert all(printed.count(f"\n{solver} ") == parts for solver in SOLVERS)
    assert all("\nALF" in part for part in printed.split("\nsolver ")[1:])


def test_parts_of_a_short_table_tell_its_rows_apart(capsys):
    for rows in (ENCODED[:2], [ENCODED[0], ENCODED[1], ENCODED[6], ENCODED[7]]):
        show_table(list(ENCODING.columns), rows, list(ENCODING.columns), 100)
        lines = capsys.readouterr().out.splitlines()
        heads = [line for line, below in pairwise(lines) if below.startswith("──")]
        assert len(heads) > 1 and all("solver" in head.split() for head in heads)
        assert len(rows) > 2 or "target tight, grid trailing" in lines


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("pass trust_pickle=True if", "pass --trust-pickle if"),
        ("by ema=False, not", "by --no-ema, not"),
        ("or stable=None", "or --stable none"),
        ("ema(trust_pickle=True)", "ema(trust_pickle=True)"),
    ],
)
def test_what_python_passes_is_told_as_the_commands_options(said, told):
    token = options._OPTIONS.set({"trust_pickle": "--trust-pickle", "ema": "--ema", "stable": "--stable"})
    try:
        assert options.in_options(said) == told
    finally:
        options._OPTIONS.reset(token)
