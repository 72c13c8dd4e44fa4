"""Write what shows the ledger: ``python experiments/ledger_pages.py``.

The head in README.md, docs/findings/misprints.md with its figure, and docs/ledger.md, which `bdia verify --full
--markdown docs/ledger.md` writes as well.
"""

from pathlib import Path

from bdia_numerics.claims import decide
from bdia_numerics.claims.as_printed import AS_PRINTED
from bdia_numerics.pages.ledger import head, ledger, page
from bdia_numerics.plots import image
from bdia_numerics.plots.misprints import Panel, panels

ROOT = Path(__file__).resolve().parent.parent
BEGIN, END = "<!-- ledger:begin -->", "<!-- ledger:end -->"


def main() -> None:
    """Decide the claims, then write the pages."""
    decided = list(decide(full=True))
    drawn = []
    for run in AS_PRINTED.values():
        errors = run.errors()
        drawn.append(Panel(run.label, run.what, run.steps, {"as printed": errors[True], "right": errors[False]}))
    (ROOT / "docs/images/misprints.png").write_bytes(image(panels(drawn), format="png"))
    (ROOT / "docs/findings/misprints.md").write_text(page(decided), encoding="utf-8")
    (ROOT / "docs/ledger.md").write_text(ledger(decided), encoding="utf-8")
    readme = ROOT / "README.md"
    before, _, rest = readme.read_text(encoding="utf-8").partition(BEGIN)
    _, _, after = rest.partition(END)
    readme.write_text(f"{before}{BEGIN}\n{head(decided)}\n{END}{after}", encoding="utf-8")


if __name__ == "__main__":
    main()
