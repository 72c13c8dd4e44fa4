"""Draw the rooms of the package: python docs/images/rooms.py, from the top of the repository.

Which rooms there are, and in which order, is read from `tests/test_layers.py`; what is in each is a sentence here.
"""

import ast
from html import escape
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
INSIDE = {
    "cli": "reads the command line, prints results and sets the exit status.",
    "__main__": "starts the command for python -m bdia_numerics.",
    "pages": "writes pages: the ledger, datasheets, figures, and the tables of findings.",
    "claims": "holds the paper's statements and decides each by a proof or a measurement.",
    "studies": "computes data sets from a configuration, and runs sweeps.",
    "plots": "draws figures from data.",
    "testing": "asserts order, inverse, latent and cost of any sampler in any test suite.",
    "torch": "runs solvers on tensors and networks, and has the schedulers for diffusers.",
    "analysis": "derives and measures orders, stability, errors and the growth of rounding.",
    "runs": "runs a program against a model: solve, invert, encode, round_trip.",
    "names": "reads solvers, grids, schedules and distributions from a text.",
    "problems": "has distributions with exact scores and exact flows.",
    "configs": "reads scheduler configurations of other libraries.",
    "solvers": "has the step of each solver as a formula.",
    "program": "records a step, and derives its inverse, its cost and the plan of a run.",
    "schedules": "has the noise levels alpha and sigma as functions of the time.",
    "grids": "has the times of a run with their noise levels.",
    "models": "converts between predictions of noise, data and velocity.",
    "spaces": "has the number systems: floats, lattices, mpmath, balls, fractions, symbols.",
    "formulas": "writes formulas and numbers for pages.",
    "values": "gives public values equality, hashes, copies and pickles.",
    "files": "writes files completely or not at all.",
    "texts": "reads numbers and words from a text, within bounds.",
    "later": "names libraries that are slow to import, and loads them on first use.",
}
WIDTH, LEFT, LINE, PAD, GAP = 860, 56, 22, 8, 8


def rows() -> tuple[tuple[str, ...], ...]:
    """Return the rows of rooms, top to bottom."""
    for node in ast.parse((ROOT / "tests" / "test_layers.py").read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "ROWS":
            return ast.literal_eval(node.value)
    raise LookupError("tests/test_layers.py has no ROWS")


def drawn() -> str:
    """Return the picture as SVG."""
    parts, y = [], GAP
    for rooms in rows():
        height = LINE * len(rooms) + 2 * PAD
        parts.append(f'<g class="row"><rect x="{LEFT}" y="{y}" width="{WIDTH - LEFT - GAP}" height="{height}" rx="5"/>')
        for k, room in enumerate(rooms):
            at = y + PAD + LINE * k + 16
            parts.append(f'<text class="room" x="{LEFT + 14}" y="{at}">{room}</text>')
            parts.append(f'<text x="{LEFT + 130}" y="{at}">{escape(INSIDE[room], quote=False)}</text>')
        parts.append("</g>")
        y += height + GAP
    middle = y / 2
    style = (
        "text{font:15px sans-serif;fill:#222}.room{font:bold 15px monospace;fill:#0b4a6f}"
        "rect{fill:#eef4f8;stroke:#9db8c9}.down{fill:none;stroke:#555;stroke-width:2}"
    )
    return "\n".join((
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{y}" viewBox="0 0 {WIDTH} {y}">',
        f'<style>{style}</style><rect width="{WIDTH}" height="{y}" style="fill:#fff;stroke:none"/>',
        f'<path class="down" d="M40 {GAP} V{y - GAP} m-6 -10 l6 10 l6 -10"/>',
        f'<text transform="translate(26 {middle:g}) rotate(-90)" text-anchor="middle">imports go down only</text>',
        *parts,
        "</svg>\n",
    ))  # fmt: skip


if __name__ == "__main__":
    Path(__file__).with_name("rooms.svg").write_text(drawn(), encoding="utf-8")
