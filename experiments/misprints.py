"""Write docs/findings/misprints.md and its figure from the ledger: ``python experiments/misprints.py``."""

from pathlib import Path

from bdia_numerics.claims import decide
from bdia_numerics.claims.cbdia import STEPS, MisprintedCBDIA, misprint_errors
from bdia_numerics.claims.misprints import page
from bdia_numerics.plots import image
from bdia_numerics.plots.misprints import convergence
from bdia_numerics.solvers import CBDIA

DOCS = Path(__file__).resolve().parent.parent / "docs"


def main() -> None:
    """Decide the claims, then write both files."""
    errors = {
        "(61) as printed": misprint_errors(MisprintedCBDIA(0, 1), STEPS),
        "(61) right": misprint_errors(CBDIA(0, 1), STEPS),
    }
    (DOCS / "images" / "misprint-61.png").write_bytes(image(convergence(STEPS, errors), format="png"))
    (DOCS / "findings" / "misprints.md").write_text(page(decide()), encoding="utf-8")


if __name__ == "__main__":
    main()
