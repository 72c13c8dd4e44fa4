"""Edit a photograph with Stable Diffusion: python examples/edit_stable_diffusion.py photo.png "a cat on a sofa" "a dog on a sofa".

It downloads 4 GB of weights, and wants a GPU.
"""

import sys

import torch
from diffusers import StableDiffusionPipeline
from PIL import Image

from bdia_numerics import BDIA
from bdia_numerics.torch.editing import invert

name, device = "stable-diffusion-v1-5/stable-diffusion-v1-5", "cuda" if torch.cuda.is_available() else "cpu"
pipe = StableDiffusionPipeline.from_pretrained(name).to(device)
image = Image.open(sys.argv[1]).convert("RGB").resize((512, 512))
inv = invert(pipe, image, sys.argv[2], solver=BDIA(0.96), steps=40, guidance_scale=4.0)
for k, edit in enumerate(edits := inv.edit(sys.argv[3:])):
    edit.pil()[0].save(f"edit-{k}.png")
print("\n".join(inv.report(edits=edits).lines()))
