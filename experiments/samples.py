"""Samples of the shipped network from one noise, by solver.

``python experiments/samples.py [--out FOLDER]`` writes FOLDER/samples.nc (a minute of one core).
"""

from bdia_numerics.cli.experiment import main

if __name__ == "__main__":
    main("samples")
