"""Editing of real images: to noise under one prompt or label, and back under others, by an exactly invertible solver or a baseline.

inv = invert(pipe, image, "a cat", solver=BDIA(), steps=40)
inv.edit("a dog").pil()[0].save("dog.png")
"""

from __future__ import annotations

from bdia_numerics.spaces.values import share
from bdia_numerics.torch.editing.inversion import Edited, Inversion, invert
from bdia_numerics.torch.editing.methods import BASELINES
from bdia_numerics.torch.editing.pipelines import drawn, open_pipeline
from bdia_numerics.torch.editing.report import Report, psnr

__all__ = ["BASELINES", "Edited", "Inversion", "Report", "drawn", "invert", "open_pipeline", "psnr"]

share(*map(globals().get, __all__))
