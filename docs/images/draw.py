"""Draw the README's picture: python docs/images/draw.py, from the top of the repository."""

from pathlib import Path

from bdia_numerics.plots import digits as drawn
from bdia_numerics.plots import image
from bdia_numerics.studies import digits

if __name__ == "__main__":
    picture = drawn.overview(digits.study())
    Path(__file__).with_name("digits.png").write_bytes(image(picture, format="png", dpi=130))
