#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# subproject.sh TREE EXAMPLES ONNXRUNTIME BUNDLE: build examples/cmake_subproject, which takes the
# source tree in by add_subdirectory and links it statically; no shared library of ours may be needed.
set -eu
tree=$1 examples=$2 onnxruntime=$3 bundle=$4
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cmake -S "$examples/cmake_subproject" -B "$work" -DEDGE_OVSS_SOURCE="$tree" \
    -DCMAKE_BUILD_TYPE=Debug -DONNXRuntime_ROOT="$onnxruntime" -DEDGE_OVSS_WERROR=ON >"$work/log" || { cat "$work/log"; exit 1; }
cmake --build "$work" --parallel "$(nproc)" >"$work/log" 2>&1 || { cat "$work/log"; exit 1; }
test ! -e "$work/edge_ovss/apps" # programs and tests are for the top level
for program in static_c static_cpp; do
    "$work/$program" "$bundle"
    if ldd "$work/$program" | grep -q libedge_ovss; then
        echo "$program needs the shared library"
        exit 1
    fi
done
