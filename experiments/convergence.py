"""Errors by the number of steps and observed orders.

``python experiments/convergence.py [--out FOLDER]`` writes FOLDER/convergence.nc (a quarter of a minute of one core).
"""

from bdia_numerics.cli.experiment import main

if __name__ == "__main__":
    main("convergence")
