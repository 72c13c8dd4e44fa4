"""Roots of the characteristic polynomials and stability regions.

``python experiments/stability.py [--out FOLDER]`` writes FOLDER/stability.nc (ten seconds of one core).
"""

from bdia_numerics.cli.experiment import main

if __name__ == "__main__":
    main("stability")
