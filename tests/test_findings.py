"""What the pictures of the findings show holds."""

import math

import pytest

pytest.importorskip("matplotlib", reason="needs the extra report")

import findings
import numpy as np


def test_buffers_hold_little_more_than_the_bound():
    for label, runs in findings.buffers((10, 50)).items():
        for run in runs:
            assert run.differing_bits == 0, label
            assert run.bound_bits - 1e-9 <= run.buffer_bits + 1e-9 <= 1.01 * run.bound_bits + 8, label


def test_what_returns_and_at_which_cost():
    found = {label: runs[0] for label, runs in findings.returned((20,)).items()}
    assert found["DDIM, (10)"][0] == found["BDIA, gamma 1, exact"][0] == 20
    assert all(runs[0] > 20 for label, runs in found.items() if "(9)" in label or "defect" in label)
    returns = {label for label, runs in found.items() if runs[1] < 1e-12}
    assert returns == {"DDIM, (9), accelerated", "DDIM, defect correction", "BDIA, gamma 1, exact"}
    assert all(1e-2 < runs[2] < 0.1 for runs in found.values())  # none is far off, none is the ODE's own latent


@pytest.mark.slow
def test_orders_of_third_order_bdia():
    orders = {
        (kind, label): math.log2(errors[0] / errors[1])
        for kind, runs in findings.errors_by_steps((160, 320)).items()
        for label, errors in runs.items()
    }
    expected = {"DDIM": (1, 1), "BDIA, gamma 1": (2, 1), "BDIA3, 9/10, 3/5, 3/10": (3, 3), "BDIA3, 1, 1, 1": (4, 3)}
    for label, (smooth, alternating) in expected.items():
        assert abs(orders["smooth", label] - smooth) < 0.25, label
        assert abs(orders["alternating", label] - alternating) < 0.25, label


@pytest.mark.slow
def test_order_is_paid_for_in_growth():
    """What facts 24 and 25 allow: 1/(k - 1) at order 2, and more than 1/(k + 1 - p) at order p, which is approached."""
    for k, found in findings.least_growths().items():
        for order, exponent in found.items():
            bound = 1 / (k + 1 - order)
            assert exponent == pytest.approx(bound, rel=5e-3) and (order == 2 or exponent > bound), (k, order)
    traded = findings.growth_against_constant(20)
    for (name, (constants, exponents)), limit in zip(traded.items(), (1, 1 / 2), strict=True):
        assert (np.diff(constants) >= 0).all() and (np.diff(exponents) < 0).all(), name
        assert limit < exponents[-1] < 1.03 * limit, name
