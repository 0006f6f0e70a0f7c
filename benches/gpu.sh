#!/usr/bin/env bash
# Checks, then times, on a machine with a GPU: benches/gpu.sh [OUT], under ten minutes.
# Needs torch, triton, networkx, click, rich, numpy and pytest; wheels of what is missing may lie in wheels/.
# OUT gets log.txt and, in the form of benches/results, one JSON a step; a step that ends early leaves the
# rows that it has, and the next one goes on. Exit 1 where a step failed.
set -uo pipefail
cd "$(dirname "$0")/.."
out=${1:-${OUT:-runs/gpu}}
python=${PYTHON:-python3}
mkdir -p "$out"
log=$out/log.txt
: > "$log"
export PYTHONPATH=$PWD PYTHONUNBUFFERED=1
commit=$(git rev-parse --short=10 HEAD 2>/dev/null) && export GENOLANG_COMMIT=${GENOLANG_COMMIT:-$commit}
compgen -G "wheels/*.whl" > /dev/null && "$python" -m pip install --quiet --no-index --find-links wheels wheels/*.whl
failed=0
begun=$SECONDS
step() {  # step SECONDS NAME COMMAND...
  local limit=$1 name=$2; shift 2
  local left=$((585 - SECONDS + begun))
  [ "$left" -lt "$limit" ] && limit=$left
  [ "$limit" -lt 10 ] && { echo "== $name: no time left" | tee -a "$log"; failed=1; return; }
  echo "== $name (at most $limit s)" | tee -a "$log"
  timeout -k 5 "$limit" "$@" 2>&1 | tee -a "$log"
  local status=${PIPESTATUS[0]}
  echo "== $name: exit $status, $((SECONDS - begun)) s so far" | tee -a "$log"
  [ "$status" = 0 ] || failed=1
}
bench() {  # bench SECONDS KIND ARGUMENTS...
  local limit=$1 kind=$2; shift 2
  step "$limit" "$kind" "$python" -m genolang.cli.main bench "$@" --device cuda -o "$out/$kind-gpu.json"
}
step 15 machine "$python" -c 'import torch, platform; print(torch.__version__, platform.python_version(),
torch.cuda.get_device_properties(0)); import triton; print("triton", triton.__version__)'
step 100 tests "$python" -m pytest -q -p no:cacheprovider -p no:xdist -W ignore tests/gpu
bench 90 kernels kernels --captured --rounds 15
bench 80 supernet supernet --batch 64 --captured --rounds 7
bench 60 discrete discrete --batch 1 --batch 32 --captured --rounds 9
bench 35 thresholds thresholds --rounds 9
compiled() {  # compiled SECONDS KIND WORD...: against torch.compile, its CUDA graphs and FlexAttention
  local limit=$1 kind=$2 words=(); shift 2
  for word in "$@"; do words+=(--only "$word"); done
  bench "$limit" "$kind" kernels --compiled --dtype bfloat16 --rounds 9 "${words[@]}"
}
compiled 75 compiled-attention "14x14" "28x28" "32x32, 8 heads of 20" "56x56, 8"
compiled 80 compiled-sums "14 candidates"
compiled 50 compiled-masks "mask" "recalibration"
"$python" -m benches.table "$out" | tee -a "$log"
exit $failed
