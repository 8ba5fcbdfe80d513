#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Cross-compile the runtime for aarch64 (Jetson), run its tests in an emulator, and compare labels
# with those of a native build.
#
#   tools/check_aarch64.sh [FOLDER [BUNDLE PICTURE...]]     FOLDER is build/aarch64 by default
#
# Needs Debian, the package g++-aarch64-linux-gnu, pip in $PYTHON (default python3), and for the
# comparison a build of runtime/ci.sh. What it downloads goes into FOLDER; nothing is installed:
# Debian's arm64 packages make the root file system that a Jetson would give, ONNX Runtime's library
# comes from its aarch64 wheel, and the emulator from suite trixie (ONNX Runtime crashes in version
# 7.2 of bookworm, before main(), while it reads the host's /proc/cpuinfo).
set -eu

root=$(cd "$(dirname "$0")/.." && pwd)
folder=${1:-$root/../build/aarch64}
[ $# = 0 ] || shift
bundle=${1:-}
[ $# = 0 ] || shift
python=${PYTHON:-python3}
native=$root/../build/runtime
packages="libc6 libc6-dev linux-libc-dev libcrypt1 libcrypt-dev libgcc-s1 libstdc++6 libssl3
    libssl-dev libpng16-16 libpng-dev libjpeg62-turbo libjpeg62-turbo-dev libjpeg-dev zlib1g
    zlib1g-dev nlohmann-json3-dev libstb-dev"
# For the GStreamer element, with what its pkg-config files and libraries name.
gstreamer="libgstreamer1.0-0 libgstreamer1.0-dev libgstreamer-plugins-base1.0-0
    libgstreamer-plugins-base1.0-dev gstreamer1.0-tools libglib2.0-0 libglib2.0-dev libffi8 libffi-dev
    libpcre2-8-0 libpcre2-dev liborc-0.4-0 liborc-0.4-dev libunwind8 libunwind-dev libdw1 libdw-dev
    libelf1 libelf-dev liblzma5 liblzma-dev libbz2-1.0 libcap2"

say() { printf '%s\n' "check_aarch64: $*" >&2; }

. "$(dirname "$0")/mirror.sh"

# fetch SUITE ARCHITECTURE TARGET PACKAGE...: unpack packages into TARGET, with lists of its own.
fetch() {
    suite=$1 architecture=$2 target=$3
    shift 3
    [ ! -f "$target/ready" ] || return 0
    lists=$folder/apt-$suite-$architecture
    mkdir -p "$lists/lists/partial" "$lists/cache/archives/partial" "$lists/parts" "$lists/debs"
    : >"$lists/status"
    keys=/usr/share/keyrings/debian-archive-keyring.gpg
    printf 'deb [signed-by=%s] %s %s main\n' "$keys" "$(mirror)" "$suite" >"$lists/parts/it.list"
    (
        cd "$lists/debs"
        settings="-o APT::Architecture=$architecture -o APT::Architectures::=$architecture
            -o Dir::State::Lists=$lists/lists -o Dir::Cache=$lists/cache
            -o Dir::State::status=$lists/status -o Dir::Etc::SourceList=/dev/null
            -o Dir::Etc::SourceParts=$lists/parts -o APT::Sandbox::User=$(id -un)
            -o Acquire::Languages=none"
        # shellcheck disable=SC2086 (several options)
        apt-get $settings -qq update && apt-get $settings -qq download "$@"
    )
    for package in "$lists"/debs/*.deb; do
        dpkg -x "$package" "$target"
    done
    rm -rf "$lists"
    : >"$target/ready"
}

fetch_onnxruntime() {
    [ ! -f "$folder/onnxruntime/lib/libonnxruntime.so" ] || return 0
    "$root/tools/fetch_onnxruntime.sh" "$folder/onnxruntime"  # for its headers
    version=$("$python" -c 'import importlib.metadata as m; print(m.version("onnxruntime"))')
    "$python" -m pip download --quiet --no-deps --only-binary=:all: --dest "$folder/wheel" \
        --platform manylinux_2_28_aarch64 "onnxruntime==$version"
    rm -f "$folder"/onnxruntime/lib/*
    "$python" -m zipfile -e "$folder"/wheel/onnxruntime-*.whl "$folder/wheel"
    cp "$folder"/wheel/onnxruntime/capi/libonnxruntime.so.* "$folder/onnxruntime/lib/"
    cp "$folder"/wheel/onnxruntime/LICENSE "$folder"/wheel/onnxruntime/ThirdPartyNotices.txt \
        "$folder/onnxruntime/"
    rm -rf "$folder/wheel"
    (cd "$folder/onnxruntime/lib" && ln -s libonnxruntime.so.* libonnxruntime.so &&
        ln -s libonnxruntime.so libonnxruntime.so.1)
}

emulated() { "$folder/qemu/usr/bin/qemu-aarch64" -L "$folder/root" "$@"; }

# same PICTURE: the label maps of both processors are equal to the byte.
same() {
    emulated "$folder/build/apps/ovss-segment" "$bundle" "$1" --labels "$folder/there.png" >/dev/null
    "$native/release/apps/ovss-segment" "$bundle" "$1" --labels "$folder/here.png" >/dev/null
    cmp "$folder/there.png" "$folder/here.png"
    say "the same labels on both processors: $1"
}

command -v aarch64-linux-gnu-g++ >/dev/null || { say "needs g++-aarch64-linux-gnu"; exit 3; }
mkdir -p "$folder"
folder=$(cd "$folder" && pwd)
suite=$(. /etc/os-release && printf '%s' "$VERSION_CODENAME")
# shellcheck disable=SC2086 (several packages)
fetch "$suite" arm64 "$folder/root" $packages $gstreamer
fetch trixie "$(dpkg --print-architecture)" "$folder/qemu" qemu-user
fetch_onnxruntime

PKG_CONFIG_SYSROOT_DIR=$folder/root
PKG_CONFIG_LIBDIR=$folder/root/usr/lib/aarch64-linux-gnu/pkgconfig:$folder/root/usr/share/pkgconfig
export PKG_CONFIG_SYSROOT_DIR PKG_CONFIG_LIBDIR
cmake -S "$root" -B "$folder/build" -DCMAKE_TOOLCHAIN_FILE="$root/cmake/jetson-aarch64.cmake" \
    -DCMAKE_SYSROOT="$folder/root" -DONNXRuntime_ROOT="$folder/onnxruntime" -DEDGE_OVSS_WERROR=ON \
    -DCMAKE_INSTALL_PREFIX=/usr -DCMAKE_INSTALL_LIBDIR=lib/aarch64-linux-gnu \
    -DEDGE_OVSS_PACKAGE_ONNXRUNTIME=ON -DEDGE_OVSS_GSTREAMER_ELEMENT=ON
cmake --build "$folder/build" -j"$(nproc)"

data=$root/tests/data
# memory_test is left out: what it would measure is the emulator.
for each in c_abi wrapper_test bundle_test engine_cache_test threads_test pixels_test \
    late_answer_test; do
    emulated "$folder/build/tests/$each" "$data"
done
emulated "$folder/build/tests/stream_test" "$root/../tests/data/streams.bin"
emulated "$folder/build/tests/allocations_test" "$data" "$folder/onnxruntime/lib/libonnxruntime.so"
if [ -n "$bundle" ]; then
    emulated "$folder/build/apps/ovss-segment" "$bundle" --selftest
    for picture in "$@"; do
        same "$picture"
    done
fi

# The packages, and what lies in them, run from a folder of its own.
(cd "$folder/build" && cpack -G 'DEB;TGZ' -B "$folder/packages" >"$folder/packages.log") ||
    { cat "$folder/packages.log" >&2; exit 1; }
deb=$(ls "$folder"/packages/edge-ovss_*_arm64.deb)
[ "$(dpkg-deb -f "$deb" Architecture)" = arm64 ]
rm -rf "$folder/installed"
dpkg-deb -x "$deb" "$folder/installed"
emulated "$folder/installed/usr/bin/ovss-segment" "$data/things" --selftest
GST_PLUGIN_SYSTEM_PATH=$folder/installed/usr/lib/aarch64-linux-gnu/gstreamer-1.0
GST_REGISTRY=$folder/registry.bin GST_REGISTRY_FORK=no
export GST_PLUGIN_SYSTEM_PATH GST_REGISTRY GST_REGISTRY_FORK
emulated "$folder/root/usr/bin/gst-inspect-1.0" edgeovss >"$folder/element.txt"
grep -q 'Open-vocabulary segmentation' "$folder/element.txt"
emulated "$folder/build/tests/gstreamer/element_frames_test" "$data" "$GST_PLUGIN_SYSTEM_PATH"
say "element: labels, overlays and metadata are the library's in every format"
say "packages: $(ls "$folder"/packages/edge-ovss*)"
say "all passed; the programs for aarch64 are in $folder/build/apps"
