"""Measure diffusers' schedulers and write docs/findings/diffusers-orders.md: ``python experiments/diffusers_orders.py`` (two minutes)."""

from pathlib import Path

from bdia_numerics.studies.scheduler_orders import page

if __name__ == "__main__":
    path = Path(__file__).resolve().parent.parent / "docs/findings/diffusers-orders.md"
    path.write_text(page(), encoding="utf-8")
    print(path)
