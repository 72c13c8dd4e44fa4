"""The page of the figures from the saved data: ``python paper_figs/pages.py`` draws docs/figures.md with its pictures.

The figures themselves: ``bdia figures``; the data anew: ``bdia figures --recompute --data paper_figs/data``.
"""

from pathlib import Path

from bdia_numerics.pages.figures import shipped, write_page

DOCS = Path(__file__).resolve().parent.parent / "docs"

if __name__ == "__main__":
    write_page(DOCS, shipped())
