"""Plant the defects and write docs/findings/defects.md: ``python experiments/defects.py``."""

from pathlib import Path

from bdia_numerics.studies.defects import table

HEAD = """# Defects that a round trip does not see

Defects that samplers were shipped with, planted again (`bdia_numerics/studies/planted.py`) and run through
`bdia_numerics.testing`, on its default law and grids. "Plain round trip" is data to noise and back in 24 slots, within 1e-6. Of
each the right method passes the same assertion (`tests/test_defects.py`). Where a configuration shows the defect, the last
column names the rule of [`bdia lint`](../lint.md) that finds it. Written by `python experiments/defects.py`.

"""

if __name__ == "__main__":
    path = Path(__file__).resolve().parent.parent / "docs/findings/defects.md"
    path.write_text(HEAD + table() + "\n", encoding="utf-8")
    print(path)
