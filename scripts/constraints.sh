#!/usr/bin/env bash
# Writes constraints-hashes.txt from constraints.txt: the digests that the package index gives, for `pip install --require-hashes -r constraints-hashes.txt`. Minutes.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv"
"$work/venv/bin/pip" install -q pip-tools
grep -v '^torch==' constraints.txt > "$work/pins.txt"
"$work/venv/bin/pip-compile" -q --generate-hashes --no-emit-index-url --no-emit-find-links --no-emit-trusted-host --no-header --no-annotate --allow-unsafe \
  --strip-extras -o "$work/hashes.txt" "$work/pins.txt"
{
  echo "# Made by scripts/constraints.sh from constraints.txt: the same versions with the digests of their files, for \`pip install --require-hashes -r\`. torch is not in it: what its file is"
  echo "# depends on where it is taken from (with CUDA or without); install it first."
  cat "$work/hashes.txt"
} > constraints-hashes.txt
