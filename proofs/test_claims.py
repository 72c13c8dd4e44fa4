"""Every claim that has a check holds, on the solvers that run."""

import pytest

from bdia_numerics.claims.ledger import Check, Skipped, fill, statements, unique_checks


def marks(check: Check) -> list[pytest.MarkDecorator]:
    """Return the marks of a check: the digits take ten seconds, and are decided by each run of `bdia verify` besides."""
    return [pytest.mark.slow] if check.slow or "digits" in check.ids else []


CHECKS = [pytest.param(c, id=c.ids[0], marks=marks(c)) for c in unique_checks()]


@pytest.mark.parametrize("check", CHECKS)
def test_the_claim_holds(check: Check) -> None:
    try:
        assert fill(statements()[check.ids[0]].evidence, check.run())
    except Skipped as error:
        pytest.skip(str(error))
