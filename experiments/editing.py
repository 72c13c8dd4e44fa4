"""Round-trip editing on the shipped network.

``python experiments/editing.py [--out FOLDER]`` writes FOLDER/editing.nc (three minutes of one core).
"""

from bdia_numerics.cli.experiment import main

if __name__ == "__main__":
    main("editing")
