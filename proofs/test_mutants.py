"""Every check fails on each of the errors that it declares."""

import pytest

from bdia_numerics.claims.ledger import Check, run_mutant, unique_checks

LONG = {"digits"}  # seconds for each mutant
PAIRS = [
    pytest.param(c, name, id=f"{c.ids[0]}: {name}", marks=[pytest.mark.slow] if c.slow or LONG & set(c.ids) else [])
    for c in unique_checks()
    for name in c.mutants
]


@pytest.mark.parametrize(("check", "mutant"), PAIRS)
def test_the_mutant_is_killed(check: Check, mutant: str) -> None:
    result = run_mutant(check, mutant)
    if result.skipped:
        pytest.skip(result.how)
    assert result.killed, result.how
