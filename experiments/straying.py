"""Why BDIA strays from a network's ODE: ``python experiments/straying.py [--out FOLDER]`` (three minutes).

FOLDER/straying.nc has the numbers of docs/findings/network-growth.md; its figure, docs/images/network-growth.png, is drawn from it.
"""

from pathlib import Path

from bdia_numerics.cli.experiment import main

IMAGE = Path(__file__).resolve().parent.parent / "docs" / "images" / "network-growth.png"


def draw(found):
    """Write the figure."""
    from bdia_numerics.plots import image
    from bdia_numerics.plots.network_growth import network_growth

    IMAGE.write_bytes(image(network_growth(found), format="png"))


if __name__ == "__main__":
    main("straying", draw)
