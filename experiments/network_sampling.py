"""Solvers and round-trip editing on the shipped network: figures in docs/images/, numbers in a JSON file.

``OMP_NUM_THREADS=1 nice python experiments/network_sampling.py --json network.json`` takes about an hour of one core.
"""

import argparse
import json
from dataclasses import asdict
from pathlib import Path

from bdia_numerics.cli.show import progress
from bdia_numerics.plots import image
from bdia_numerics.plots.network import bars, contact_sheet
from bdia_numerics.studies import network_editing, network_table

IMAGES = Path(__file__).resolve().parent.parent / "docs/images"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, required=True)
    parser.add_argument("--images", type=int, default=256)
    arguments = parser.parse_args()
    config, edits = network_table.TableConfig(images=arguments.images), network_editing.EditConfig()
    with progress() as bar:
        task = bar.add_task("network", total=network_table.size(config) + len(edits.solvers) * len(edits.guidances))
        table = network_table.table(config, advance=lambda: bar.advance(task))
        edited = network_editing.editing(edits, advance=lambda: bar.advance(task))
    (IMAGES / "network-table.png").write_bytes(image(bars(table), format="png"))
    (IMAGES / "network-editing.png").write_bytes(image(contact_sheet(edited), format="png"))
    numbers = [{k: v for k, v in vars(e).items() if k != "images"} for e in edited.edits]
    found = {"floor": table.floor, "cells": [asdict(c) for c in table.cells], "edits": numbers}
    arguments.json.write_text(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
