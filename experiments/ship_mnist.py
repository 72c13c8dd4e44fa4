"""Write the weights of a training folder into the package, and the model card with its figures into docs/.

python experiments/ship_mnist.py --data package/data --folder ../train_mnist [--folder ../second ...]
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from bdia_numerics import plots
from bdia_numerics.plots.loss import loss_curve
from bdia_numerics.plots.sheet import sheet
from bdia_numerics.torch.loading import load
from bdia_numerics.torch.shipping import card, losses, measured, samples, ship, ship_features

DOCS = Path(__file__).resolve().parent.parent / "docs"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with the four IDX files")
    parser.add_argument(
        "--folder",
        type=Path,
        required=True,
        action="append",
        help="the training folder; several for parts, in their order",
    )
    parser.add_argument("--count", type=int, default=2000, help="samples that are measured")
    parser.add_argument("--docs", type=Path, default=DOCS, help="where the card is written")
    arguments = parser.parse_args()
    parts = ship(arguments.folder)
    print(f"shipped after {' + '.join(str(part['steps']) for part in parts)} steps")
    ship_features(arguments.data)
    labels = np.arange(100) % 10
    (arguments.docs / "images").mkdir(parents=True, exist_ok=True)
    for name, figure in (
        ("samples", sheet(samples(load(), labels), columns=10, titles=[str(k) for k in range(10)])),
        ("loss", loss_curve(losses(arguments.folder[-1]))),
    ):
        (arguments.docs / "images" / f"mnist-{name}.png").write_bytes(plots.image(figure, format="png"))
    found = measured(arguments.data, count=arguments.count)
    (arguments.docs / "model-card.md").write_text(card(arguments.folder[-1], found))
    print(found)


if __name__ == "__main__":
    main()
