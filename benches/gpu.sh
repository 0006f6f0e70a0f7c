#!/usr/bin/env bash
# Checks, then times, on a machine with a GPU: benches/gpu.sh [OUT], under ten minutes.
# Needs torch, triton, networkx, click, rich, numpy and pytest; wheels of what is missing may lie in wheels/.
set -uo pipefail
cd "$(dirname "$0")/.."
out=${1:-${OUT:-benches/results/gpu}}
python=${PYTHON:-python3}
mkdir -p "$out"
export PYTHONPATH=. PYTHONUNBUFFERED=1
[ -d wheels ] && "$python" -m pip install --quiet --no-index --find-links wheels wheels/*.whl
genoc() { "$python" -m genolang.cli.main "$@"; }
git rev-parse HEAD > "$out/commit.txt" 2>/dev/null || true
failed=0
step() {  # step SECONDS NAME COMMAND...: its output goes to NAME.txt; a step that fails does not end the run
  local limit=$1 name=$2; shift 2
  echo "== $name"
  timeout "$limit" "$@" 2>&1 | tee "$out/$name.txt"
  [ "${PIPESTATUS[0]}" = 0 ] || { echo "== $name failed"; failed=1; }
}
export -f genoc; export python
step 150 tests "$python" -m pytest -q -p no:cacheprovider tests/gpu
step 120 kernels bash -c 'genoc bench kernels --device cuda --rounds 15 -o "$0/kernels.json"' "$out"
step 120 supernet bash -c 'genoc bench supernet --device cuda --batch 64 --rounds 7 -o "$0/supernet.json"' "$out"
step 60 darts_v2 bash -c 'genoc bench darts/v2 --network cifar --device cuda --batch 1 --batch 96 --rounds 7 -o "$0/darts_v2.json"' "$out"
step 120 compiled bash -c 'genoc bench kernels --device cuda --rounds 9 --compiled -o "$0/compiled.json"' "$out"
exit $failed
