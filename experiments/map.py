"""Error over grid, steps and gamma.

``python experiments/map.py [--out FOLDER]`` writes FOLDER/map.nc (ten seconds of one core).
"""

from bdia_numerics.cli.experiment import main

if __name__ == "__main__":
    main("map")
