#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# All that a GPU has to prove, in at most 9 minutes; nothing is downloaded.
#
#   benchmarks/gpu_proof.sh OUT [--minutes N] [--models LIST] [--work BUNDLES] [--rehearse]
#   benchmarks/gpu_proof.sh OUT --work BUNDLES --prepare    the bundles only, on any machine
#
# $PYTHON (default python3) has torch, onnxruntime-gpu and what the extra `export` names. Optional:
# tensorrt, tensorrt-rtx, onnxruntime-ep-nv-tensorrt-rtx; and the C++ library, named by
# EDGE_OVSS_NATIVE_LIBRARY. What is missing is a row that says so. On a Jetson, tegrastats runs
# beside it (OUT/logs/tegrastats.txt): power, temperature and memory of the whole board.
set -eu

out=${1:?"usage: gpu_proof.sh OUT [options]"}
python=${PYTHON:-python3}
cd "$(dirname "$0")/.."
mkdir -p "$out/logs"
out=$(cd "$out" && pwd)

# CUDA and cuDNN that came as wheels are in no folder that the system's loader knows.
wheels=$("$python" - <<'PY'
import glob, importlib.util, os, pathlib
def folder(name):
    spec = importlib.util.find_spec(name)
    return [] if spec is None else [str(pathlib.Path(p)) for p in spec.submodule_search_locations or []]
found = [lib for root in folder("nvidia") for lib in sorted(glob.glob(f"{root}/*/lib"))]
found += [f"{root}/capi" for root in folder("onnxruntime")]
found += folder("tensorrt_rtx_libs") + folder("tensorrt_libs")
print(os.pathsep.join(found))
PY
)
export LD_LIBRARY_PATH="$wheels${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}"
export PYTHONPATH="$PWD${PYTHONPATH:+:$PYTHONPATH}" PYTHONUNBUFFERED=1

watcher=
if command -v tegrastats >/dev/null 2>&1; then
    tegrastats --interval 500 --logfile "$out/logs/tegrastats.txt" &
    watcher=$!
fi
shift
status=0
"$python" -m benchmarks.gpu.proof "$out" "$@" || status=$?
[ -z "$watcher" ] || kill "$watcher" 2>/dev/null || true
exit "$status"
