"""What lets diffusers' schedulers run in float64."""

import torch


class Double:
    """torch whose float32 is float64, since the schedulers write float32 into their tables and states."""

    float32 = torch.float64

    def __getattr__(self, name):
        return getattr(torch, name)
