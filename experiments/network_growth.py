"""Numbers, figure and table of docs/findings/network-growth.md.

``python experiments/network_growth.py [FOLDER OF A DIFFUSERS NETWORK]`` makes the figure and prints its numbers as JSON (a few minutes);
``--round-trips`` runs the shipped network's round trips instead, and keeps them in docs/findings/network-round-trips.json (three
minutes); ``--page`` writes the page's table from there.
"""

import argparse
import json
import sys
from functools import partial
from pathlib import Path

import numpy as np

from bdia_numerics import plots
from bdia_numerics.cli.show import as_text, progress
from bdia_numerics.plots.network_growth import network_growth
from bdia_numerics.torch.round_trips import markdown, shipped_trips
from bdia_numerics.torch.straying import straying

DOCS = Path(__file__).resolve().parent.parent / "docs"
IMAGE, PAGE = DOCS / "images/network-growth.png", DOCS / "findings/network-growth.md"
KEPT = DOCS / "findings/network-round-trips.json"
BEGIN, END = "<!-- round-trips:begin -->", "<!-- round-trips:end -->"


def written(text, kept):
    """Return the page with its table from what was kept."""
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n{markdown(kept['round_trips'])}\n{END}{after}"


def main():
    """Do what the arguments ask for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?")
    parser.add_argument("--round-trips", action="store_true")
    parser.add_argument("--page", action="store_true")
    arguments = parser.parse_args()
    if arguments.round_trips:
        with progress() as bar:
            task = bar.add_task("", total=None)
            found = shipped_trips(watch=lambda what: bar.update(task, description=what, advance=1))
        KEPT.write_text(as_text(found) + "\n", encoding="utf-8")
    if arguments.round_trips or arguments.page:
        PAGE.write_text(
            written(PAGE.read_text(encoding="utf-8"), json.loads(KEPT.read_text(encoding="utf-8"))), encoding="utf-8"
        )
        return
    found = straying(arguments.folder, watch=partial(print, file=sys.stderr))
    print(json.dumps(found, default=lambda x: np.asarray(x).tolist()))
    IMAGE.write_bytes(plots.image(network_growth(found), format="png"))


if __name__ == "__main__":
    main()
