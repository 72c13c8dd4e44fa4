"""The Stormer-Verlet method for z'' = a(z, t), an ancestor of the exactly invertible solvers."""

from __future__ import annotations

from dataclasses import dataclass

from bdia_numerics.program import Recorder


@dataclass(frozen=True)
class StormerVerlet:
    """Stormer-Verlet in its velocity form (kick, drift, kick) for z'' = a(z, t): the model gives a, in place of eps.

    w = v_i + h/2 a(z_i, t_i);      z_{i-1} = z_i + h w;      v_{i-1} = w + h/2 a(z_{i-1}, t_{i-1}),      h = t_{i-1} - t_i

    State     (v_i, z_i), each of shape (*batch, *data); v is the velocity z', and start={"v": ..., "z": ...} gives both
    Order     2, of z'' = a(z, t), in z and v, on any grid
    NFE       1 per step, both ways, and 1 in all
    Requires  nothing to invert; a plain callable a(z, t) as model
    Source    paper, sec. 5, [37]: Verlet, Phys. Rev. 159 (1967) 98; velocity form: Swope et al., J. Chem. Phys. 76 (1982) 637
    Same as   z_{i-1} = z_i + (h_i/h_{i+1}) (z_i - z_{i+1}) + h_i (h_i + h_{i+1})/2 a(z_i, t_i), Stormer's rule on equal steps;
              and the velocities w half-way leap over the states. Leapfrog, the midpoint rule, on the pair (z, z') is two
              of these with step 2 h, z at even and z' at odd indices, and the other way round

    Examples
    --------
    >>> from bdia_numerics import StormerVerlet, grids, solve
    >>> grid = grids.from_values([0, 0.5, 1], [1, 1, 1], [0, 1, 2])
    >>> solve(StormerVerlet(), lambda z, t: 0 * z, grid, [1.0], start={"v": [2.0], "z": [1.0]}).z
    array([-1.])
    """

    registers = ("v", "z")
    given = ("v",)

    def step(self, s: Recorder) -> None:
        """Record the step from t_i to t_{i-1}."""
        v, z = s.registers
        h = s.t(s.i - 1) - s.t(s.i)
        s.assign(v, v + h / 2 * s.eps(z))
        s.assign(z, z + h * v, at=s.i - 1)
        s.assign(v, v + h / 2 * s.eps(z), at=s.i - 1)
