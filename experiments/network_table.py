"""Solvers at equal evaluations on the shipped network.

``python experiments/network_table.py [--out FOLDER]`` writes FOLDER/network_table.nc (forty minutes of one core).
"""

from bdia_numerics.cli.experiment import main

if __name__ == "__main__":
    main("network_table")
