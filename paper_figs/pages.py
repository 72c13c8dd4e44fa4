"""Draw docs/figures.md and its pictures from the saved data: ``python paper_figs/pages.py``.

The figures themselves: ``bdia figures``; the data anew: ``bdia figures --recompute --data paper_figs/data``.
"""

from pathlib import Path

from bdia_numerics.gallery import shipped, write_page

if __name__ == "__main__":
    write_page(Path(__file__).resolve().parent.parent / "docs", shipped())
