"""What a step sees of a grid is one Protocol: whatever has its members is recorded on, and an index may be opaque."""

from dataclasses import dataclass
from fractions import Fraction
from types import SimpleNamespace

import pytest

from bdia_numerics import BDIA, DDIM, grids, spaces
from bdia_numerics.grids import Index, Levels, Point, Pointwise
from bdia_numerics.program import Recorder, Trace, record_steps
from bdia_numerics.program.ops import Held


@dataclass
class Halving:
    """The smallest grid that can be written: alpha = 1, and sigma doubles from index to index."""

    n: int
    space = spaces.FRACTION
    offset = 0
    is_reversed = False

    @property
    def entire(self) -> "Halving":
        return self

    def point(self, time: int) -> Point:
        return Point(Fraction(time), Fraction(1), Fraction(2) ** time)

    def level(self, index: int) -> tuple[Fraction, Fraction, Fraction]:
        return self.point(index)[:3]


def coefficients(grid: Levels) -> list:
    return [
        op.terms for segment in record_steps(BDIA(gamma=1), grid).segments for op in segment.ops if hasattr(op, "terms")
    ]


def test_a_step_is_recorded_on_whatever_has_levels():
    own = coefficients(Halving(3))
    values = [Fraction(k) for k in range(4)], [Fraction(1)] * 4, [Fraction(2) ** k for k in range(4)]
    assert own == coefficients(grids.from_values(*values))
    # z_{i-1} = z_{i+1} - (sigma_{i+1} - sigma_i) eps + (sigma_{i-1} - sigma_i) eps, eq. (27) for alpha = 1 and gamma = 1.
    assert [sorted(c for c, _ in terms) for terms in own] == [[Fraction(-6), 1], [Fraction(-3), 1]]


def test_a_grid_may_be_known_by_its_points_alone():
    grid = Halving(3)
    assert coefficients(Pointwise(grid.space, grid.point, n=3)) == coefficients(grid)


def recorded(step) -> Recorder:
    trace = Trace(Pointwise(spaces.FRACTION, lambda time: Point(Fraction(1), Fraction(1), Fraction(2))))
    s = Recorder(trace, Index(), {"z": Held(trace.new("z"), Index())}, solver=SimpleNamespace())
    step(s)
    return s


def test_an_opaque_index_is_moved_and_compared_with_its_like():
    assert recorded(DDIM().step).held["z"].time == Index(-1)
    assert Index(2) - 1 == 1 + Index() != Index()


@pytest.mark.parametrize(
    "look",
    [
        lambda i: i == 0, lambda i: i > 1, lambda i: i % 2, int, lambda i: 3 - i, bool,
        lambda i: i * 2, range, lambda i: i / 2,
    ],
)  # fmt: skip
def test_a_step_that_looks_at_an_opaque_index_is_refused(look):
    with pytest.raises(TypeError, match="depends on its index"):
        recorded(lambda s: look(s.i))
