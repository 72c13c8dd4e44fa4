#!/usr/bin/env bash
# Installs what pip cannot supply and Debian does: coq (kernel-checked proofs), chromium (opening the report and the documentation
# as a reader does) and make (`make docs`). All are optional; `debian-packages.sh coqc` installs the first alone. Without root or apt-get it changes nothing and says what is
# absent.
set -euo pipefail

declare -A package=([coqc]=coq [chromium]=chromium [make]=make)
absent=()
[ $# -gt 0 ] || set -- "${!package[@]}"
for command; do
  [ -n "${package[$command]:-}" ] || { echo "$command: unknown, use ${!package[*]}" >&2; exit 2; }
  command -v "$command" >/dev/null || absent+=("${package[$command]}")
done

if [ "${#absent[@]}" -eq 0 ]; then
  echo "installed: $*"
elif [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null; then
  echo "absent: ${absent[*]}; as root on Debian, run: apt-get install --no-install-recommends ${absent[*]}"
else
  export DEBIAN_FRONTEND=noninteractive
  apt-get update -qq
  apt-get install -y -qq --no-install-recommends "${absent[@]}"
fi
