"""Error against model evaluations and processor time.

``python experiments/work_precision.py [--out FOLDER]`` writes FOLDER/work_precision.nc (five seconds of one core).
"""

from bdia_numerics.cli.experiment import main

if __name__ == "__main__":
    main("work_precision")
