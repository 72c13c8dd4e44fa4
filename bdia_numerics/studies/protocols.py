"""How the published figures of image quality were made: grids, solvers, steps and data of each table, and the figures themselves.

docs/findings/protocols.md has the file and line of each fact. Where a paper leaves something open, each possibility is a protocol of its
own.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bdia_numerics.texts import one_of

SOURCES = "docs/findings/protocols.md"
IMAGES = 50_000


@dataclass(frozen=True)
class TableRow:
    """How the images of a row of a table are made.

    Attributes
    ----------
    solver
        As `bdia_numerics.names` reads it.
    grid
        Where it is not that of the protocol.
    last
        The solver of the last slot, where it is another.
    clipped
        Whether the row is diffusers' own DDIM pipeline, which clips the predicted data.
    """

    solver: str
    grid: str = ""
    last: str = ""
    clipped: bool = False

    def __str__(self) -> str:
        return self.solver + (", clipped" if self.clipped else "") + (f", last slot {self.last}" if self.last else "")


DDIM = TableRow("DDIM")
_TABLE_1 = (DDIM, TableRow("BDIA(gamma=1/2)"), TableRow("DPMSolverPP", grid="uniform:t_max=999,t_min=0", last="DDIM"))
_TABLE_2, _TABLE_3 = (DDIM, TableRow("BDIA(gamma=1)")), (TableRow("Heun"), TableRow("BDIAHeun"))
_BELM = (
    TableRow("DDIM", clipped=True), DDIM, *(TableRow(f"BDIA(gamma={gamma})") for gamma in ("1/10", "1/2", "1")),
    TableRow("EDICT(p=93/100)"), TableRow("OBELM"),
)  # fmt: skip

Figures = Mapping[str, Mapping[int, tuple[float, ...]]]
"""By data and number of steps, a figure for each row; NaN where there is none."""
FIGURES: Mapping[str, Figures] = {
    "table-1": {"COCO2014": {10: (15.04, 12.62, 16.06)}},
    "table-2": {
        "CIFAR10": {10: (14.38, 10.03), 20: (7.51, 6.29), 40: (4.95, 4.63)},
        "CelebA": {10: (13.41, 10.86), 20: (9.45, 8.86), 40: (6.93, 6.50)},
    },
    "table-3": {
        "CIFAR10": {18: (1.85, 1.79), 22: (1.85, 1.80)},
        "FFHQ": {20: (2.64, 2.54), 24: (2.55, 2.46)},
        "AFHQV2": {20: (2.08, 2.02), 24: (2.06, 2.01)},
        "ImageNet64": {20: (2.51, 2.38), 24: (2.44, 2.35)},
    },
    "belm": {"CIFAR10": {10: (17.41, 17.41, 12.27, 43.93, 106.37, 87.11, math.nan)}},
}


@dataclass(frozen=True)
class Images:
    """Images of a data set, and the network that is published for them.

    Attributes
    ----------
    side
        Rows and columns.
    widths
        Channels of the levels of its U-Net; () where they are not compared.
    labels
        How many classes the network was trained with.
    millions
        Of weights, to 2%; 0 where they are not compared. EDM's two architectures differ by less.
    """

    side: int
    widths: tuple[int, ...] = ()
    labels: int = 0
    millions: float = 0


_DDIM_UNETS = {"CIFAR10": Images(32, (128, 256, 256, 256)), "CelebA": Images(64, (128, 256, 256, 256, 512))}
_EDM = {
    "CIFAR10": Images(32, labels=10, millions=55.7),
    "FFHQ": Images(64, millions=61.8),
    "AFHQV2": Images(64, millions=61.8),
    "ImageNet64": Images(64, labels=1000, millions=295.9),
}


@dataclass(frozen=True)
class Protocol:
    """How a table was made.

    Attributes
    ----------
    grid
        As `bdia_numerics.names` reads it.
    rows
        Of the table.
    data
        What it was made for, by name.
    images
        Of a run.
    columns
        Of the features: 2048 of Inception v3, before its last layer.
    unpublished
        What nobody can know from the paper and its public code; empty where all is said, so that a figure can be refuted.
    told
        What is added to a grid's times before the network is told them.
    dtype
        Of the states.
    noise
        Whether the noise has the deviation sigma_N, and not 1.
    guidance
        Scale of classifier-free guidance.
    """

    grid: str
    rows: tuple[TableRow, ...]
    data: Mapping[str, Images]
    images: int = IMAGES
    columns: int = 2048
    unpublished: str = ""
    told: int = 0
    dtype: str = "float32"
    noise: bool = False
    guidance: float = 1.0


_NO_GRID = "the paper does not state its grid"
PROTOCOLS: Mapping[str, Mapping[str, Protocol]] = {
    "table-1": {
        "": Protocol(
            "leading+1", _TABLE_1, {"COCO2014": Images(512, millions=865.9)}, 20_000, guidance=9.0,
            unpublished="the paper does not list its prompts",
        )
    },
    "table-2": {
        **{name: Protocol(name, _TABLE_2, _DDIM_UNETS, unpublished=_NO_GRID) for name in ("quad", "cut", "trailing", "leading")},
        # Its runner reads levels one row of the table later than the time that it tells the network, and ends at the first row.
        "pndm": Protocol("leading+1", _TABLE_2, _DDIM_UNETS, unpublished=_NO_GRID, told=-1),
    },
    "table-3": {"": Protocol("karras:t_max=80,t_min=0.002,rho=7,append_zero=true", _TABLE_3, _EDM, dtype="float64", noise=True)},
    "belm": {"cifar10": Protocol("leading", _BELM, {"CIFAR10": _DDIM_UNETS["CIFAR10"]})},
}  # fmt: skip
"""By table and variant."""


def protocols(text: str) -> tuple[str, tuple[str, ...]]:
    """Return the table and the variants that a text like table-2 or table-2:quad names; ValueError for another."""
    known = {name(table, variant): (table, (variant,)) for table, own in PROTOCOLS.items() for variant in own}
    whole = {table: (table, tuple(own)) for table, own in PROTOCOLS.items()}
    return (known | whole)[one_of("protocol", text, [*whole, *known.keys() - whole.keys()])]


def name(table: str, variant: str) -> str:
    """Return how a protocol is written."""
    return f"{table}:{variant}" if variant else table


def published(table: str, data: str, steps: int, row: str) -> float:
    """Return the figure that is published for a row; NaN where there is none."""
    rows = [str(one) for one in next(iter(PROTOCOLS[table].values())).rows]
    return FIGURES[table].get(data, {}).get(steps, (math.nan,) * len(rows))[rows.index(row)]


def data_of(protocol: Protocol, side: int, labels: int, given: str = "") -> str:
    """Return which of a protocol's data a network is for, by the size of its images and its classes.

    Raises
    ------
    ValueError
        For a name that the protocol does not have, and a network that could be for several data.
    """
    if given:
        return str(one_of("data", given, protocol.data))
    fitting = [name for name, own in protocol.data.items() if (own.side, own.labels) == (side, labels)]
    if len(fitting) > 1:
        raise ValueError(f"data='': this network can be for {' or '.join(fitting)}: say which by --data")
    return (fitting or list(protocol.data))[0]


def departures(protocol: Protocol, data: str, found: Mapping[str, Any]) -> str:
    """Say where a run is not what is published; empty where it is.

    Parameters
    ----------
    protocol, data
        What is reproduced.
    found
        side, channels, widths, labels and millions of weights of the network, and whether they are the running mean; images, and
        columns of the features.
    """
    own = protocol.data[data]
    pairs = (
        (found["images"] == protocol.images, f"{found['images']} images, not {protocol.images}"),
        (found["columns"] == protocol.columns, f"{found['columns']} features, not {protocol.columns}"),
        (
            (found["channels"], found["side"]) == (3, own.side),
            f"images of {found['channels']}x{found['side']}x{found['side']}, not 3x{own.side}x{own.side}",
        ),
        (found["labels"] == own.labels, f"{found['labels']} labels, not {own.labels}"),
        (
            not own.widths or tuple(found["widths"]) == own.widths,
            f"a network of {' '.join(map(str, found['widths']))} channels, not {' '.join(map(str, own.widths))}",
        ),
        (
            not own.millions or abs(found["millions"] / own.millions - 1) < 0.02,
            f"a network of {found['millions']:.1f} million weights, not {own.millions}",
        ),
        (found["ema"], "weights by --no-ema, not their running mean"),
    )
    return ", ".join(said for same, said in pairs if not same)
