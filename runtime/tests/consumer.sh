#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# consumer.sh BUILD EXAMPLES BUNDLE: install into a folder of its own, then build examples/c and
# examples/cpp from outside of the tree, by find_package and by pkg-config, and run them.
set -eu
build=$1 examples=$2 bundle=$3
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cmake --install "$build" --prefix "$work/prefix" >/dev/null
for language in c cpp; do
    cmake -S "$examples/$language" -B "$work/$language" -DCMAKE_PREFIX_PATH="$work/prefix" >/dev/null
    cmake --build "$work/$language" >/dev/null
    "$work/$language/example_$language" "$bundle"
done
"$work/prefix/bin/ovss-segment" "$bundle" --selftest
pc=$(dirname "$(find "$work/prefix" -name edge_ovss.pc)")
grep -q '^Version: [0-9]' "$pc/edge_ovss.pc"
flags=$(PKG_CONFIG_PATH=$pc pkg-config --define-variable=prefix="$work/prefix" --cflags --libs edge_ovss)
libdir=$(PKG_CONFIG_PATH=$pc pkg-config --define-variable=prefix="$work/prefix" --variable=libdir edge_ovss)
# shellcheck disable=SC2086 (flags are several words)
cc "$examples/c/main.c" -o "$work/by_pkg_config" $flags -Wl,-rpath,"$libdir"
"$work/by_pkg_config" "$bundle"
