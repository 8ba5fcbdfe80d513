#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# consumer.sh BUILD SOURCE BUNDLE: install into a folder of its own, then use the library from
# outside of the tree, by find_package and by pkg-config.
set -eu
build=$1 source=$2 bundle=$3
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cmake --install "$build" --prefix "$work/prefix" >/dev/null
cmake -S "$source" -B "$work/build" -DCMAKE_PREFIX_PATH="$work/prefix" >/dev/null
cmake --build "$work/build" >/dev/null
"$work/build/consumer_c" "$bundle"
"$work/build/consumer_cpp" "$bundle"
"$work/prefix/bin/ovss-segment" "$bundle" --selftest
pc=$(dirname "$(find "$work/prefix" -name edge_ovss.pc)")
grep -q '^Version: [0-9]' "$pc/edge_ovss.pc"
flags=$(PKG_CONFIG_PATH=$pc pkg-config --define-variable=prefix="$work/prefix" --cflags --libs edge_ovss)
libdir=$(PKG_CONFIG_PATH=$pc pkg-config --define-variable=prefix="$work/prefix" --variable=libdir edge_ovss)
# shellcheck disable=SC2086 (flags are several words)
cc "$source/main.c" -o "$work/by_pkg_config" $flags -Wl,-rpath,"$libdir"
"$work/by_pkg_config" "$bundle"
