"""The pictures of the pages on bit-exact runs, on inversions and on third-order BDIA.

``python experiments/findings.py`` draws them into docs/images (about a minute of one core).
"""

from functools import partial
from pathlib import Path

from bdia_numerics.plots import image
from bdia_numerics.plots.curves import Panel, draw
from bdia_numerics.studies import findings

IMAGES = Path(__file__).resolve().parent.parent / "docs" / "images"
LATTICE_STEPS, TRIP_STEPS, ORDER_STEPS = (10, 25, 50, 100, 200), (10, 20, 50), (20, 40, 80, 160, 320)


panel = partial(Panel, log="xy", legend=False)


def bit_exact():
    runs = findings.buffers(LATTICE_STEPS)
    kept = {label: (LATTICE_STEPS, [r.buffer_bits for r in own]) for label, own in runs.items()}
    bounds = {f"_{label}": (LATTICE_STEPS, [r.bound_bits for r in own]) for label, own in runs.items()}
    references = {"bound": bounds.pop(next(iter(bounds)))} | bounds
    far = {label: (LATTICE_STEPS, [r.distance / r.unit for r in own]) for label, own in runs.items()}
    return draw(
        panel("steps", "bits an element", kept, references, "remainder buffer, and its bound", ticks=LATTICE_STEPS),
        panel("steps", "units of 2⁻⁴⁰", far, title="distance of the data end from the float run", ticks=LATTICE_STEPS),
    )


def inversions():
    runs = findings.inversions(TRIP_STEPS)
    back, latent = ({label: ([r[0] for r in own], [r[k] for r in own]) for label, own in runs.items()} for k in (1, 2))
    x = "evaluations on the way to noise"
    return draw(
        panel(x, "root mean square", back, title="what does not come back"),
        panel(x, "", latent, title="distance of the latent from the ODE's"),
    )


def third_order():
    runs = findings.third_order(ORDER_STEPS)
    slopes = {
        f"slope {p}": (ORDER_STEPS[:3], [10.0**-c * (ORDER_STEPS[0] / n) ** p for n in ORDER_STEPS[:3]])
        for p, c in ((3, 4.5), (4, 5.5))
    }
    drawn = []
    for kind, own in runs.items():
        curves = {label: (ORDER_STEPS, errors) for label, errors in own.items()}
        drawn.append(panel("steps", "root mean square error", curves, slopes, f"{kind} grid", ticks=ORDER_STEPS))
    return draw(*drawn)


if __name__ == "__main__":
    for name, make in {"bit-exact": bit_exact, "inversions": inversions, "bdia3": third_order}.items():
        (IMAGES / f"{name}.png").write_bytes(image(make(), format="png"))
