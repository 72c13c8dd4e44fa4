"""Draw how enclosures grow, and print what proofs cost: ``python experiments/enclosures.py`` (two minutes)."""

from fractions import Fraction
from pathlib import Path

from bdia_numerics.plots import image
from bdia_numerics.plots.enclosures import growth as drawn
from bdia_numerics.studies.enclosures import cost, growth

ROOT = Path(__file__).resolve().parent.parent
WIDTHS = [Fraction(1, 2**k) for k in range(1, 21)]
BOX = Fraction(1, 2), Fraction(3)
HALF = Fraction(1, 2)


def main() -> None:
    panels = [growth(n, WIDTHS) for n in (10, 40)]
    (ROOT / "docs/images/enclosures.png").write_bytes(image(drawn(panels), format="png"))
    for panel in panels:
        rows = zip(panel.widths, panel.sampled, panel.radii["natural"], panel.radii["mean value"], strict=True)
        print(f"{panel.slots} slots: half-width, sampled, balls alone, mean value")
        for row in rows:
            print("  " + " ".join(f"{x:9.2e}" for x in row))
    settings = [(n, BOX, HALF, 128, "mean value") for n in (5, 10, 20, 40)]
    settings += [(10, BOX, HALF, bits, "mean value") for bits in (53, 256)]
    settings += [(10, (Fraction(1), 1 + Fraction(1, k)), HALF, 128, "natural") for k in (512, 4096, 16384)]
    print("slots, interval, bits, form: verdict, pieces, looked at, evaluations, seconds, ratio")
    for n, box, factor, bits, form in settings:
        r = cost(n, box, factor=factor, prec=bits, form=form, budget=600)
        interval = f"[{box[0]}, {box[1]}]"
        print(
            n, interval, bits, form, r.verdict, len(r.pieces), r.evaluated, r.nfe, f"{r.seconds:.2f}", f"{r.ratio:.3f}"
        )


if __name__ == "__main__":
    main()
