"""Every claim that has a check holds, on the solvers that run."""

import pytest

from bdia_numerics.claims.ledger import Check, Skipped, unique_checks

CHECKS = [pytest.param(c, id=c.ids[0], marks=[pytest.mark.slow] if c.slow else []) for c in unique_checks()]


@pytest.mark.parametrize("check", CHECKS)
def test_the_claim_holds(check: Check) -> None:
    try:
        assert check.run()
    except Skipped as error:
        pytest.skip(str(error))
