"""The U-Net of DDIM (Ho et al. 2020, appendix B) from its description, small, so that its state dict has the names of its checkpoints."""

from __future__ import annotations

import math

import torch
from torch import nn
from torch.nn.functional import pad, silu


def norm(width):
    return nn.GroupNorm(32, width, eps=1e-6)


class Block(nn.Module):
    """Two convolutions, the time added between them, beside a way past both."""

    def __init__(self, before, after, told):
        super().__init__()
        self.norm1, self.conv1 = norm(before), nn.Conv2d(before, after, 3, padding=1)
        self.temb_proj = nn.Linear(told, after)
        self.norm2, self.conv2 = norm(after), nn.Conv2d(after, after, 3, padding=1)
        self.nin_shortcut = nn.Identity() if before == after else nn.Conv2d(before, after, 1)

    def forward(self, x, time):
        inside = self.conv1(silu(self.norm1(x))) + self.temb_proj(silu(time))[..., None, None]
        return self.nin_shortcut(x) + self.conv2(silu(self.norm2(inside)))


class Attention(nn.Module):
    """One head of self-attention over all pixels."""

    def __init__(self, width):
        super().__init__()
        self.norm = norm(width)
        self.q, self.k, self.v, self.proj_out = (nn.Conv2d(width, width, 1) for _ in range(4))

    def forward(self, x):
        q, k, v = (layer(self.norm(x)).flatten(2) for layer in (self.q, self.k, self.v))
        weights = torch.einsum("bci,bcj->bij", q, k).div(math.sqrt(x.shape[1])).softmax(-1)
        return x + self.proj_out(torch.einsum("bij,bcj->bci", weights, v).reshape(x.shape))


class Halved(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.conv = nn.Conv2d(width, width, 3, stride=2)

    def forward(self, x):
        return self.conv(pad(x, (0, 1, 0, 1)))


class Doubled(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.conv = nn.Conv2d(width, width, 3, padding=1)

    def forward(self, x):
        return self.conv(x.repeat_interleave(2, 2).repeat_interleave(2, 3))


class Level(nn.Module):
    def __init__(self, ends, told, attends, name="", change=None):
        super().__init__()
        self.block = nn.ModuleList(Block(before, after, told) for before, after in ends)
        self.attn = nn.ModuleList(Attention(after) for _, after in ends if attends)
        if change is not None:
            self.add_module(name, change)


class UNet(nn.Module):
    """Of images with `side` pixels, with attention where a level has 16."""

    def __init__(self, side, multipliers, width=32, blocks=1):
        super().__init__()
        told, self.width, widths = 4 * width, width, [width * m for m in multipliers]
        last = len(widths) - 1
        self.temb = nn.Module()
        self.temb.dense = nn.ModuleList([nn.Linear(width, told), nn.Linear(told, told)])
        self.conv_in = nn.Conv2d(3, width, 3, padding=1)
        kept, here, self.down = [width], width, nn.ModuleList()
        for k, wide in enumerate(widths):
            ends = [(here if j == 0 else wide, wide) for j in range(blocks)]
            kept, here = kept + [wide] * (blocks + (k < last)), wide
            self.down.append(Level(ends, told, side == 16 << k, "downsample", Halved(wide) if k < last else None))
        self.mid = nn.Module()
        self.mid.block_1, self.mid.attn_1, self.mid.block_2 = (
            Block(here, here, told),
            Attention(here),
            Block(here, here, told),
        )
        levels = []
        for k, wide in reversed(list(enumerate(widths))):
            ends = [((here if j == 0 else wide) + kept.pop(), wide) for j in range(blocks + 1)]
            here = wide
            levels.append(Level(ends, told, side == 16 << k, "upsample", Doubled(wide) if k else None))
        self.up = nn.ModuleList(reversed(levels))
        self.norm_out, self.conv_out = norm(here), nn.Conv2d(here, 3, 3, padding=1)

    def forward(self, x, t):
        half = self.width // 2
        angles = t.float()[:, None] * torch.exp(torch.arange(half) * (-math.log(10000) / (half - 1)))
        time = self.temb.dense[1](silu(self.temb.dense[0](torch.cat([angles.sin(), angles.cos()], 1))))

        def through(level, k, x):
            x = level.block[k](x, time)
            return level.attn[k](x) if len(level.attn) else x

        kept = [self.conv_in(x)]
        for level in self.down:
            for k in range(len(level.block)):
                kept.append(through(level, k, kept[-1]))
            if hasattr(level, "downsample"):
                kept.append(level.downsample(kept[-1]))
        x = self.mid.block_2(self.mid.attn_1(self.mid.block_1(kept[-1], time)), time)
        for level in reversed(self.up):
            for k in range(len(level.block)):
                x = through(level, k, torch.cat([x, kept.pop()], 1))
            if hasattr(level, "upsample"):
                x = level.upsample(x)
        return self.conv_out(silu(self.norm_out(x)))


def network(side=32, multipliers=(1, 1), blocks=1):
    """Return a network with weights that let every part be seen in its output."""
    torch.manual_seed(0)
    made = UNet(side, multipliers, blocks=blocks).eval()
    for weights in made.parameters():
        nn.init.normal_(weights, std=0.1)
    return made
