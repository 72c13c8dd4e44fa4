"""Round trips, from both sides.

``python experiments/roundtrip.py [--out FOLDER]`` writes FOLDER/roundtrip.nc (ten seconds of one core).
"""

from bdia_numerics.cli.experiment import main

if __name__ == "__main__":
    main("roundtrip")
