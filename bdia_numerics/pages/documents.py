"""The pages of the documentation that are made, not typed: which files each is, and from what they are written."""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from bdia_numerics.pages.template import between, plots, rendered
from bdia_numerics.runs.files import write
from bdia_numerics.spaces.later import Later

claims = Later("bdia_numerics.claims")
pages = Later("bdia_numerics.pages")
studies = Later("bdia_numerics.studies")
steadiness = Later("bdia_numerics.torch.networks.steadiness")

Contents = Mapping[str, str | bytes]
"""Of files, by their paths in a checkout."""


@dataclass(frozen=True)
class Document:
    """A page of the documentation, or a part of one.

    Attributes
    ----------
    files
        What is written, for a list.
    source
        From what.
    make
        make(root, recompute) returns the contents, read from and for the checkout at `root`.
    minutes
        Of one core, of the runs that make it; 0 where saved data make it alone.
    saved
        Whether what the runs found is saved, so that the page is written without them, too.
    """

    files: str
    source: str
    make: Callable[[Path, bool], Contents]
    minutes: float = 0
    saved: bool = False

    def runs_first(self, recompute: bool) -> bool:
        """Say whether it is left as it is: it needs runs, and nobody asked for them."""
        return bool(self.minutes) and not self.saved and not recompute


def _figures(root: Path, recompute: bool) -> Contents:
    data = root / "paper_figs" / "data"
    found = {f"docs/{path}": content for path, content in pages.figures.documents(data).items()}
    return found | {"docs/images/misprints.png": _png(plots.orders.misprints(studies.load(data / "misprints.nc")))}


def _ledger(root: Path, recompute: bool) -> Contents:
    ledger, decided = pages.ledger, list(claims.decide(full=True))
    return {
        "docs/ledger.md": ledger.ledger(decided),
        "docs/findings/misprints.md": ledger.page(decided),
        "README.md": between(_text(root / "README.md"), {"ledger": ledger.head(decided)}),
    }


def _digits(root: Path, recompute: bool) -> Contents:
    drawn = plots.digits.overview(studies.digits.study())
    return {"docs/images/digits.png": plots.image(drawn, format="png", dpi=130)}


def _network_growth(root: Path, recompute: bool) -> Contents:
    place, kept = "docs/findings/network-growth.md", "docs/findings/network-round-trips.json"
    data = _text(root / kept)
    if recompute:
        found = json.loads(
            json.dumps(steadiness.shipped_trips()), parse_constant=lambda word: None
        )  # JSON has no infinity
        data = json.dumps(found, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    text = between(_text(root / place), {"round-trips": steadiness.markdown(json.loads(data)["round_trips"])})
    return {place: text, kept: data}


def _network_sampling(root: Path, recompute: bool) -> Contents:
    place, script = "docs/findings/network-sampling.md", _experiment(root, "network_sampling")
    return {place: between(_text(root / place), script.tables(root / "paper_figs" / "data"))}


def _study(script: str) -> Callable[[Path, bool], Contents]:
    """Return how a study of experiments/ makes its pictures, by `FIGURES`; where its page has a template, `table` fills that."""

    def make(root: Path, recompute: bool) -> Contents:
        module, page = _experiment(root, script), script.replace("_", "-")
        found: dict[str, str | bytes] = {
            f"docs/images/{name}.png": _png(draw()) for name, draw in module.FIGURES.items()
        }
        if (template := root / "experiments" / f"{page}.md.j2").is_file():
            found[f"docs/findings/{page}.md"] = rendered(template, table=module.table())
        return found

    return make


_ORDERS = "docs/findings/diffusers-orders.md and its picture"
DOCUMENTS: Mapping[str, Document] = {
    "figures": Document(
        "docs/figures.md, its pictures, that of docs/findings/misprints.md", "paper_figs/data", _figures
    ),
    "network-sampling": Document("tables of docs/findings/network-sampling.md", "paper_figs/data", _network_sampling),
    "network-growth": Document(
        "the table of docs/findings/network-growth.md",
        "docs/findings/network-round-trips.json",
        _network_growth,
        3,
        True,
    ),
    "ledger": Document("docs/ledger.md, docs/findings/misprints.md, the head in README.md", "all claims", _ledger, 2),
    "digits": Document("the picture of README.md", "the study of digits", _digits, 1),
    "defects": Document("docs/findings/defects.md and its picture", "experiments/defects.py", _study("defects"), 1),
    "diffusers-orders": Document(_ORDERS, "experiments/diffusers_orders.py", _study("diffusers_orders"), 2),
    "findings": Document(
        "pictures of bit-exact, inversions, bdia3, barrier", "experiments/findings.py", _study("findings"), 1
    ),
    "enclosures": Document(
        "the picture of docs/findings/enclosures.md", "experiments/enclosures.py", _study("enclosures"), 0.5
    ),
    "network-deviation": Document(
        "the picture of docs/findings/network-growth.md",
        "experiments/network_deviation.py",
        _study("network_deviation"),
        3,
    ),
}
"""By name, those from saved data first."""


def checkout() -> Path:
    """Return the top of the checkout that the package stands in.

    Raises
    ------
    ValueError
        If it is installed without one: the pages are the repository's.
    """
    root = Path(str(resources.files("bdia_numerics"))).parent
    if not (root / "docs" / "findings").is_dir() or not (root / "experiments").is_dir():
        raise ValueError(
            f"the pages are those of a checkout, and there is none around {root}: clone the repository, and run it there"
        )
    return root


def make(
    names: Sequence[str],
    *,
    root: Path,
    out: Path | None = None,
    recompute: bool = False,
    advance: Callable[[str], None] = lambda name: None,
    documents: Mapping[str, Document] = DOCUMENTS,
) -> dict[str, dict[str, str]]:
    """Write pages of the documentation.

    Parameters
    ----------
    names
        Of `documents`.
    root
        The checkout whose data and texts are read.
    out
        Where its files go, each under its path in a checkout; `root` by default.
    recompute
        Whether those that need runs are run. Others that need them are left as they are.
    advance
        Called with each name, before it is made.
    documents
        Those that can be made.

    Returns
    -------
    dict
        By name and path what happened to a file: "written", or "unchanged" where it stood there as it is.

    Raises
    ------
    OSError
        If a file cannot be written; those before it are.
    """
    found: dict[str, dict[str, str]] = {}
    for name in names:
        if documents[name].runs_first(recompute):
            continue
        advance(name)
        contents = documents[name].make(root, recompute)
        found[name] = {path: _put((out or root) / path, content) for path, content in contents.items()}
    return found


def _put(path: Path, content: str | bytes) -> str:
    made = content.encode() if isinstance(content, str) else content
    if path.is_file() and path.read_bytes() == made:
        return "unchanged"
    path.parent.mkdir(parents=True, exist_ok=True)
    write(path, made)
    return "written"


def _experiment(root: Path, name: str) -> Any:
    """Return a script of experiments/, with the other scripts of that folder on the path, since it may import them."""
    folder = root / "experiments"
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))
    module = importlib.import_module(name)
    if Path(str(module.__file__)).parent != folder:
        raise ValueError(f"{name} is {module.__file__} already, not the script in {folder}: take that off the path")
    return module


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def _png(figure: Any) -> bytes:
    return plots.image(figure, format="png")
