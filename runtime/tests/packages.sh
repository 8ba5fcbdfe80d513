#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# packages.sh BUILD EXAMPLES BUNDLE: make the packages, unpack them into folders of their own, and use
# what lies there: programs, library, CMake and pkg-config files, the GStreamer element.
set -eu
build=$1 examples=$2 bundle=$3
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
(cd "$build" && cpack -G 'DEB;TGZ' -B "$work/made") >"$work/cpack.txt" 2>&1 ||
    { cat "$work/cpack.txt"; exit 1; }

# use PREFIX: nothing of the build or of the machine's own folders helps it.
use() {
    prefix=$1
    env -i PATH=/usr/bin:/bin HOME="$work" "$prefix/bin/ovss-segment" "$bundle" --selftest
    for each in "$prefix"/bin/* "$(find "$prefix" -name 'libedge_ovss.so.*' | head -n 1)"; do
        paths=$(readelf -d "$each" | sed -n 's/.*R[UN]*PATH.*\[\(.*\)\]/\1/p')
        case $paths in '$ORIGIN'*) ;; *) echo "$each looks in '$paths'"; exit 1 ;; esac
        case $paths in *:*) echo "$each looks in '$paths'"; exit 1 ;; esac
    done
    cmake -S "$examples/cpp" -B "$prefix-cpp" -DCMAKE_PREFIX_PATH="$prefix" >/dev/null
    cmake --build "$prefix-cpp" >/dev/null
    "$prefix-cpp/example_cpp" "$bundle"
    pc=$(dirname "$(find "$prefix" -name edge_ovss.pc)")
    flags=$(PKG_CONFIG_PATH=$pc pkg-config --cflags --libs edge_ovss)
    libdir=$(PKG_CONFIG_PATH=$pc pkg-config --variable=libdir edge_ovss)
    # shellcheck disable=SC2086 (flags are several words)
    cc "$examples/c/main.c" -o "$prefix-by_pkg_config" $flags -Wl,-rpath,"$libdir"
    "$prefix-by_pkg_config" "$bundle"
    plugin=$(find "$prefix" -name 'libgstedge_ovss.so')
    if [ -n "$plugin" ]; then
        GST_PLUGIN_PATH=$(dirname "$plugin") GST_REGISTRY=$work/registry.bin \
            gst-launch-1.0 -q videotestsrc num-buffers=2 ! edgeovss bundle="$bundle" ! fakesink
    fi
    [ -s "$(find "$prefix" -path '*doc/edge-ovss/onnxruntime/LICENSE')" ]
    [ -s "$(find "$prefix" -path '*doc/edge-ovss/copyright')" ]
}

mkdir "$work/tarball"
tar -xzf "$work"/made/edge-ovss-*.tar.gz -C "$work/tarball" --strip-components=1
use "$work/tarball"

deb=$(ls "$work"/made/edge-ovss_*.deb)
dpkg-deb -f "$deb" >"$work/control.txt"
grep -q '^Package: edge-ovss$' "$work/control.txt"
grep -q "^Architecture: $(dpkg --print-architecture)\$" "$work/control.txt"
grep -q '^Depends: .*libc6' "$work/control.txt"
if grep '^Depends' "$work/control.txt" | grep -i onnxruntime; then
    echo "ONNX Runtime is in the package"
    exit 1
fi
dpkg-deb -x "$deb" "$work/deb"
use "$work/deb/usr"
# ldconfig runs when it is installed.
dpkg-deb --ctrl-tarfile "$deb" | tar -xO ./postinst | grep -q ldconfig
if [ "$(id -u)" = 0 ]; then
    # What it depends on is what this machine has.
    dpkg --dry-run --install "$deb" >"$work/dry.txt" 2>&1 || { cat "$work/dry.txt"; exit 1; }
fi
echo "packages: all held"
