"""Plant the defects and write docs/findings/defects.md and its figure: ``python experiments/defects.py``."""

from pathlib import Path

from bdia_numerics.plots import image
from bdia_numerics.plots.orders import convergence
from bdia_numerics.studies.defects import defects, table
from bdia_numerics.testing import order_of

DOCS = Path(__file__).resolve().parent.parent / "docs"
DRAWN = {
    "alpha of the next slot for that of the previous one": "alpha of the next slot",
    "the index of the step told for its time": "index told for the time",
    "a last stage that reads the first slope": "last stage reads the first slope",
    "stages that read the state, not the slope before": "stages read the state",
    "a step size left out of the sum": "a step size left out",
}
HEAD = """# Defects that a round trip does not see

Defects that samplers were shipped with, planted again (`bdia_numerics/studies/planted.py`) and run through
`bdia_numerics.testing`, on its default distribution and grids. "Plain round trip" is data to noise and back in 24 slots, within 1e-6. Of
each the right method passes the same assertion (`tests/test_defects.py`). Where a configuration shows the defect, the last
column names the rule of [`bdia lint`](../lint.md) that finds it. Written by `python experiments/defects.py`.

![Errors against steps of right methods and of the same with a defect](../images/defects.png)

"""


def figure() -> None:
    """Draw the errors of five defects that an order study sees, and of the right methods."""
    known = {defect.name: defect for defect in defects()}
    right = {"BDIA": known["alpha of the next slot for that of the previous one"], "RK4": known[list(DRAWN)[2]]}
    found = [(f"right, {name}", order_of(defect.right[0], max_steps=128)) for name, defect in right.items()]
    found += [(label, order_of(known[name].sample, max_steps=128)) for name, label in DRAWN.items()]
    (DOCS / "images/defects.png").write_bytes(image(convergence(found), format="png"))


if __name__ == "__main__":
    figure()
    path = DOCS / "findings/defects.md"
    path.write_text(HEAD + table() + "\n", encoding="utf-8")
    print(path)
