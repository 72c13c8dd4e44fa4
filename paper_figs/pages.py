"""Pages from the saved data: ``python paper_figs/pages.py``.

It draws docs/figures.md with its pictures, and writes the tables of docs/findings/network-sampling.md.

The figures themselves: ``bdia figures``; the data anew: ``bdia figures --recompute --data paper_figs/data``.
"""

from pathlib import Path

from bdia_numerics.gallery import shipped, write_page
from bdia_numerics.studies.network_page import rewrite

DOCS = Path(__file__).resolve().parent.parent / "docs"

if __name__ == "__main__":
    write_page(DOCS, shipped())
    rewrite(DOCS / "findings" / "network-sampling.md", shipped())
