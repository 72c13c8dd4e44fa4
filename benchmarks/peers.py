"""Our time over that of others for the same work, side by side in one run: python benchmarks/peers.py [PEER ...].

Peers are diffusers, numpy (loops and products written by hand), jax (a loop written by hand, compiled), scipy (its DOP853 with a
right-hand side written by hand), and diffrax (its Dopri8, compiled by jax, against our Taylor steps, which heyoka compiles). What is
not installed is named and left out. A figure
below 1 is faster than the peer. Minutes; best on an idle machine.
"""

import sys
from importlib import import_module

import pytest
from timing import ROWS, shown

MEASURED = {
    "diffusers": {"test_scheduler": ("steps", "halves"), "test_network": ("whole_runs",)},
    "numpy": {
        "test_numpy_runs": {"step": (20_000, 65_536, 262_144), "whole": (2, 64)},
        "test_mixture": {"score": ("atoms", "variances")},
        "test_problems": ("data set", "float32 scores: K = 2,000", "float32 scores: K = 60,000"),
    },
    "jax": {"test_jax": ("compiled",)},
    "scipy": {"test_flow": ("speed",), "test_problems": ("DOP853: 1", "DOP853: 100", "DOP853: 10000")},
    "diffrax": {
        "test_problems": ("Taylor: plane, 1", "Taylor: 20-D, 1", "Taylor: 20-D, 100", "Taylor: 20-D, K = 10, 100")
    },
}
"""By peer and module: functions without arguments, functions with the arguments of each row, or rows of a module's ROWS."""


def figures(peer):
    """Yield {row: figure} of one peer; pytest's exception for a skipped test where the peer is absent."""
    for name, what in MEASURED[peer].items():
        module = import_module(name)
        if isinstance(what, dict):
            for function, arguments in what.items():
                yield from (getattr(module, function)(x) for x in arguments)
            continue
        rows = getattr(module, "ROWS", {})
        for one in what:
            yield {one: rows[one]()} if one in rows else getattr(module, one)()


def main(peers):
    unknown = set(peers) - set(MEASURED)
    if unknown:
        sys.exit(f"{', '.join(sorted(unknown))}: not a peer, use {', '.join(MEASURED)}")
    for peer in peers or MEASURED:
        print(f"\n{peer}")
        try:
            for found in figures(peer):
                for row, value in found.items():
                    print(f"  {ROWS[row]['what']}, over {ROWS[row]['against']}: {shown(row, value)}", flush=True)
        except (pytest.skip.Exception, ImportError) as absent:
            print(f"  left out: {absent}")


if __name__ == "__main__":
    main(sys.argv[1:])
