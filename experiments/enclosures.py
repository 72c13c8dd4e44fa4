"""How enclosures grow, and what proofs cost: ``python experiments/enclosures.py [--out FOLDER]`` (half a minute of one core).

FOLDER/enclosures.nc has the radii, from which docs/images/enclosures.png is drawn; the costs of docs/findings/enclosures.md are printed.
"""

from fractions import Fraction
from pathlib import Path

from bdia_numerics.cli.experiment import main

IMAGE = Path(__file__).resolve().parent.parent / "docs/images/enclosures.png"
BOX = Fraction(1, 2), Fraction(3)
HALF = Fraction(1, 2)


def written(found):
    """Draw the dataset, and print what proofs cost."""
    from bdia_numerics.plots import image
    from bdia_numerics.plots.enclosures import growth
    from bdia_numerics.studies.enclosures import cost

    IMAGE.write_bytes(image(growth(found), format="png"))
    settings = [(n, BOX, HALF, 128, "mean value") for n in (5, 10, 20, 40)]
    settings += [(10, BOX, HALF, bits, "mean value") for bits in (53, 256)]
    settings += [(10, (Fraction(1), 1 + Fraction(1, k)), HALF, 128, "natural") for k in (512, 4096, 16384)]
    print("slots, interval, bits, form: verdict, pieces, looked at, evaluations, seconds, ratio")
    for n, box, factor, bits, form in settings:
        r = cost(n, box, factor=factor, prec=bits, form=form, budget=600)
        numbers = (r.verdict, len(r.pieces), r.evaluated, r.nfe, f"{r.seconds:.2f}", f"{r.ratio:.3f}")
        print(n, f"[{box[0]}, {box[1]}]", bits, form, *numbers)


if __name__ == "__main__":
    main("enclosures", written)
