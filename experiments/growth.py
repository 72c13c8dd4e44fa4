"""Growth of errors on the shipped network.

``python experiments/growth.py [--out FOLDER]`` writes FOLDER/growth.nc (four minutes of one core).
"""

from bdia_numerics.cli.experiment import main

if __name__ == "__main__":
    main("growth")
