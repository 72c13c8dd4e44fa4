"""Images of the shipped network, sent to noise and back.

``python experiments/returns.py [--out FOLDER]`` writes FOLDER/returns.nc (a minute of one core).
"""

from bdia_numerics.cli.experiment import main

if __name__ == "__main__":
    main("returns")
