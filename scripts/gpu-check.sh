#!/usr/bin/env bash
# What needs a GPU, in under eight minutes: bash scripts/gpu-check.sh
#   DEVICE=cpu bash scripts/gpu-check.sh    the same without a GPU, to try the script: nothing is written to the page
# It measures benchmarks/gpu, `bdia unet`, `bdia edit` on the digits, growth and repeatability of the shipped network, and writes the
# figures with the date and the device to docs/benchmarks.md. Each stage is stopped after its time; the exit status is 1 if one failed.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit 1
device=${DEVICE:-cuda} work=$(mktemp -d) failed=0
trap 'rm -rf "$work"' EXIT

if [ "$device" = cuda ] && ! python -c 'import sys, torch; sys.exit(not torch.cuda.is_available())'; then
  echo "gpu-check: torch finds no CUDA device, and nothing is measured without one" >&2
  exit 2
fi

stage() {  # stage NAME SECONDS COMMAND...: what it prints on standard output is kept as NAME.json
  local name=$1 most=$2 started=$SECONDS
  shift 2
  if timeout "$most" "$@" >"$work/$name.json"; then
    printf '%s: %d s\n' "$name" $((SECONDS - started))
  else
    printf '%s: FAILED after %d s\n' "$name" $((SECONDS - started)) >&2
    failed=1
    rm -f "$work/$name.json"
  fi
}

growth='
import json, sys
import torch
from bdia_numerics import BDIA
from bdia_numerics.torch import load, noise, repeatability
from bdia_numerics.torch.networks.growth import growth

device = sys.argv[1]
network = load(device=device)
grid = network.grid(10, "trailing")
z = noise((2, *network.shape), grid, 0, dtype=torch.float32, device=device)
model = network.model([3, 1])
found = {way: max(growth(BDIA(), model, grid, z, direction=way).total) for way in ("sample", "invert")}
steady = repeatability(model, z, grid.t[5], device="cpu" if device == "cuda" else None)
found["probes"] = {name: [one.differing, one.largest] for name, one in steady.probes.items()}
print(json.dumps(found))
'

if [ "$device" = cuda ]; then
  stage benchmarks 210 bash -c 'pytest benchmarks/gpu -q --benchmark-json="$0" >&2 && cat "$0"' "$work/raw"
fi
stage unet 60 python -m bdia_numerics unet --device "$device" --count 4 --figure "$work/samples.png" --json
stage edit 90 python -m bdia_numerics edit --device "$device" --baselines ddim,edict --figure "$work/edited.png" --json
stage growth 90 python -c "$growth" "$device"

python - "$work" "$device" <<'PY' || failed=1
import datetime, json, pathlib, re, sys

import torch

work, device = pathlib.Path(sys.argv[1]), sys.argv[2]
read = {path.stem: json.loads(path.read_text()) for path in work.glob("*.json")}
rows = []
for one in read.get("benchmarks", {}).get("benchmarks", []):
    rows += [(f"`{one['name']}`: {key}", f"{value:.4g}") for key, value in one["extra_info"].items()]
if "unet" in read:
    found = read["unet"]
    rows.append((f"`bdia unet`, {found['steps']} steps, 4 digits: seconds there", f"{found['seconds']:.3g}"))
    rows.append(("the same: error of the noise that came back", f"{found['round_trip']:.2g}"))
for row in read.get("edit", {}).get("methods", []):
    what = f"`bdia edit`, 40 steps, {row['solver']}"
    rows.append((f"{what}: elements of the latents that differ", f"{row['differing']} of {row['elements']}"))
    rows.append((f"{what}: seconds there", f"{row['seconds']:.3g}"))
if "growth" in read:
    for way in ("sample", "invert"):
        rows.append((f"growth of a perturbation, 10 steps, {way}", f"{read['growth'][way]:.3g}"))
    for name, (differing, largest) in read["growth"]["probes"].items():
        rows.append((f"repeatability, {name}: elements that differ", f"{differing}, by {largest:.1g} at most"))
for what, figure in rows:
    print(f"{what}: {figure}")
if device != "cuda":
    print("not written: these are not figures of a GPU")
    sys.exit()
when = f"{datetime.date.today()}, {torch.cuda.get_device_name()}, torch {torch.__version__}"
table = "\n".join(["| what | figure |", "|---|---|", *(f"| {what} | {figure} |" for what, figure in rows)])
page = pathlib.Path("docs/benchmarks.md")
marks = "<!-- figures of a GPU: begin -->\n", "<!-- figures of a GPU: end -->"
text = page.read_text(encoding="utf-8").replace("**No figures from a GPU yet: none has been at hand.** ", "")
page.write_text(
    re.sub(f"{marks[0]}.*{marks[1]}", lambda _: f"{marks[0]}\n{when}:\n\n{table}\n\n{marks[1]}", text, flags=re.S), encoding="utf-8"
)
print(f"written to {page}")
PY
exit "$failed"
