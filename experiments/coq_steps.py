"""Write the generated part of the Coq development, proofs/coq/Steps.v: ``python experiments/coq_steps.py``."""

from pathlib import Path

from bdia_numerics.claims.coq.printer import steps

if __name__ == "__main__":
    path = Path(__file__).resolve().parent.parent / "proofs" / "coq" / "Steps.v"
    path.write_text(steps(), encoding="utf-8")
    print(path)
