"""Round trips on the shipped network: the table of docs/findings/network-growth.md.

``python experiments/network_growth.py`` runs them and keeps them in docs/findings/network-round-trips.json (three minutes); with
``--page`` it writes the page's table from there alone. experiments/network_deviation.py makes the page's other numbers and its figure.
"""

import argparse
import json
from pathlib import Path

from bdia_numerics.cli.show import as_text, progress
from bdia_numerics.torch.round_trips import markdown, shipped_trips

DOCS = Path(__file__).resolve().parent.parent / "docs"
PAGE, KEPT = DOCS / "findings/network-growth.md", DOCS / "findings/network-round-trips.json"
BEGIN, END = "<!-- round-trips:begin -->", "<!-- round-trips:end -->"


def written(text, kept):
    """Return the page with its table from what was kept."""
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n{markdown(kept['round_trips'])}\n{END}{after}"


def main():
    """Run the round trips unless only the page is asked for, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--page", action="store_true")
    if not parser.parse_args().page:
        with progress() as bar:
            task = bar.add_task("", total=None)
            found = shipped_trips(watch=lambda what: bar.update(task, description=what, advance=1))
        KEPT.write_text(as_text(found) + "\n", encoding="utf-8")
    kept = json.loads(KEPT.read_text(encoding="utf-8"))
    PAGE.write_text(written(PAGE.read_text(encoding="utf-8"), kept), encoding="utf-8")


if __name__ == "__main__":
    main()
