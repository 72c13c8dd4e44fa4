"""Coupled two-state solvers as relations between states and abstract increments, for any slot and over whole runs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from bdia_numerics.claims.formal import increments, vectors
from bdia_numerics.claims.ledger import require
from bdia_numerics.spaces import Vector


def relations(solver: Any, i: int) -> dict[str, dict[Any, Any]]:
    """Return the step of a coupled solver as a relation between states and increments."""
    return increments(solver, i, {"z": i, "y": i})


Z, Y = ("z", "z"), ("z", "y")


def source(terms: dict[Any, Any]) -> frozenset[Any]:
    """Return the name of what an increment is taken at."""
    return frozenset(terms.items())


def coupled_run(solver: Any, n: int) -> Iterator[tuple[int, Vector, Vector]]:
    """Expand a CBDIA run from z_N = y_N into abstract increments; yield (i, z_i, y_i) from N down.

    An increment's basis element is named by its two ends and by the state it is taken at, as a combination of the old
    ones that equals a new register: "y_i" or "z_i".
    """
    (start,) = vectors("y_N")
    z = y = start
    yield n, z, y
    for i in range(n, 0, -1):
        relation = relations(solver, i)
        named = {source({Z: 1}): f"z_{i}", source({Y: 1}): f"y_{i}"}
        named |= {source(relation[name]): f"{name}_{i - 1}" for name in ("z", "y")}
        basis = {Z: z, Y: y}
        for terms in list(relation.values()):
            for key in terms:
                if key not in basis:
                    require(
                        key[2] in named, f"an increment is taken at {dict(key[2])}, which is not a state of the run"
                    )
                    basis[key] = Vector.basis(f"Delta({key[0]} -> {key[1]} | {named[key[2]]})")
        z, y = (sum((c * basis[key] for key, c in relation[name].items()), Vector({})) for name in ("z", "y"))
        yield i - 1, z, y


def delta(j: int, k: int, state: str) -> Vector:
    """Return the basis element of Delta(t_j -> t_k | state_j)."""
    return Vector.basis(f"Delta({j} -> {k} | {state}_{j})")


@dataclass(frozen=True)
class CoupledStep:
    """Coefficients of a new register in a step: of z_i, y_i, Delta(t_i -> t_{i-1}|y_i) and Delta(t_{i-1} -> t_i|w)."""

    z: Any
    y: Any
    forward: Any
    backward: Any


def coupled_steps(solver: Any) -> dict[str, CoupledStep]:
    """Return the coefficients of both new registers."""
    got = relations(solver, 1)
    forward = (1, 0, source({Y: 1}))
    backward = (0, 1, source({Z: 1, forward: 1}))
    for name, terms in got.items():
        strangers = set(terms) - {Z, Y, forward, backward}
        require(not strangers, f"{name} is not a combination of z, y and the two increments: {strangers}")
    return {name: CoupledStep(*(terms.get(key, 0) for key in (Z, Y, forward, backward))) for name, terms in got.items()}
