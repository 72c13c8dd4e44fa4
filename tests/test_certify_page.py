"""The page on certification runs as it is printed."""

import re
from pathlib import Path

import pytest

PAGE = Path(__file__).resolve().parent.parent / "docs" / "certify-your-sampler.md"
BLOCKS = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)


@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")
def test_the_blocks_run_in_turn():
    pytest.importorskip("diffusers")
    assert len(BLOCKS) == 4
    names = {}
    for block in BLOCKS:
        exec(compile(block, str(PAGE), "exec"), names)
