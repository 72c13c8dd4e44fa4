"""The ledger of claims: every numbered statement of the paper and of the toolkit's own facts, with its check."""

from __future__ import annotations

from bdia_numerics.claims.entries import Ledger
from bdia_numerics.claims.ledger import (
    CheckFailed,
    Decided,
    Statement,
    checks,
    decide,
    run_mutant,
    statements,
    unique_checks,
)
from bdia_numerics.spaces.values import share

__all__ = [
    "CheckFailed",
    "Decided",
    "Ledger",
    "Statement",
    "checks",
    "decide",
    "run_mutant",
    "statements",
    "unique_checks",
]

share(*map(globals().get, __all__))
