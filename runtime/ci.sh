#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Build and test the C++ runtime with one command:
#
#   runtime/ci.sh [--slow] [BUILD]     BUILD is build/runtime by default
#
# As root it installs the Debian packages that are missing; else it names them and stops.
# PYTHON is a Python with the package onnxruntime, whose library is used (default: the one of a
# virtual environment that is active or in .venv, then python3). --slow fuzzes for 60 s each.
# As root it installs GStreamer too, with which ovss-camera and the element edgeovss are built and
# tested; else they are left out where it is missing. Where Debian's libopencv-dev is installed,
# ovss-camera is built and tested with it as well.
# TensorRT_ROOT is a TensorRT to build against; without it that backend is left out, and it says so.
set -eu

packages="g++ make cmake pkg-config valgrind nlohmann-json3-dev libssl-dev libpng-dev libjpeg-dev
    libstb-dev"
gstreamer="libgstreamer-plugins-base1.0-dev gstreamer1.0-plugins-base gstreamer1.0-plugins-good
    gstreamer1.0-tools"
root=$(cd "$(dirname "$0")" && pwd)
seconds=3
if [ "${1:-}" = --slow ]; then
    seconds=60
    shift
fi
build=${1:-$root/../build/runtime}
jobs=$(nproc)

say() { printf '%s\n' "runtime: $*"; }

find_python() {
    for each in "${PYTHON:-}" "${VIRTUAL_ENV:+$VIRTUAL_ENV/bin/python}" "$root/../.venv/bin/python"; do
        if [ -n "$each" ] && command -v "$each" >/dev/null; then
            command -v "$each"
            return
        fi
    done
    command -v python3
}

# missing_of PACKAGE...: those that are not installed, each after a space.
missing_of() {
    for package in "$@"; do
        dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'install ok' ||
            printf ' %s' "$package"
    done
}

install_packages() {
    # shellcheck disable=SC2086 (several packages)
    missing=$(missing_of $packages)
    if [ "$(id -u)" = 0 ]; then
        # shellcheck disable=SC2086
        missing="$missing$(missing_of $gstreamer)"
    elif [ -n "$missing" ]; then
        say "these packages are missing: sudo apt-get install$missing"
        exit 3
    fi
    [ -n "$missing" ] || return 0
    say "installing$missing"
    apt-get -qq update
    # shellcheck disable=SC2086 (several packages)
    DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends $missing >/dev/null
}

# configure FOLDER OPTIONS...: warnings are errors in every build.
configure() {
    folder=$1
    shift
    cmake -S "$root" -B "$folder" -DONNXRuntime_ROOT="$build/onnxruntime" -DEDGE_OVSS_WERROR=ON \
        "$@" >"$folder.log" 2>&1 || { cat "$folder.log"; exit 1; }
}

# make_all FOLDER [TARGET]: build; prints the log only if it fails.
make_all() {
    cmake --build "$1" -j"$jobs" --target "${2:-all}" >"$1.log" 2>&1 || { cat "$1.log"; exit 1; }
}

run_tests() {
    folder=$1
    shift
    (cd "$folder" && ctest --output-on-failure --no-tests=error "$@")
}

# add_on NAME TESTS OPTIONS...: a release build with something more, and the tests that see it.
add_on() {
    name=$1 tests=$2
    shift 2
    configure "$build/$name" -DCMAKE_BUILD_TYPE=Release -DEDGE_OVSS_INSTALL=OFF "$@"
    make_all "$build/$name"
    run_tests "$build/$name" -R "^($tests)\$"
}

install_packages
mkdir -p "$build"
build=$(cd "$build" && pwd)
PYTHON=$(find_python)
export PYTHON
"$root/tools/fetch_onnxruntime.sh" "$build/onnxruntime"

camera= element=
if pkg-config --exists 'gstreamer-1.0 >= 1.20' gstreamer-app-1.0 gstreamer-video-1.0 \
    gstreamer-check-1.0 && gst-inspect-1.0 --exists videotestsrc 2>/dev/null; then
    say "GStreamer $(pkg-config --modversion gstreamer-1.0): ovss-camera and the element with it"
    camera=-DEDGE_OVSS_WITH_GSTREAMER=ON element=-DEDGE_OVSS_GSTREAMER_ELEMENT=ON
else
    say "LEFT OUT: the element edgeovss, ovss-camera with GStreamer (install $gstreamer)"
fi

say "release: library, programs, tests, packages, valgrind"
# shellcheck disable=SC2086 (no option, where it is empty)
configure "$build/release" -DCMAKE_BUILD_TYPE=Release $camera $element \
    -DCMAKE_INSTALL_PREFIX=/usr -DEDGE_OVSS_PACKAGE_ONNXRUNTIME=ON
make_all "$build/release"
run_tests "$build/release"

say "AddressSanitizer and UndefinedBehaviorSanitizer, and fuzzing for $seconds s each"
light="-DCMAKE_BUILD_TYPE=None -DCMAKE_CXX_FLAGS=-O1 -DEDGE_OVSS_INSTALL=OFF"
# shellcheck disable=SC2086 (several options)
configure "$build/asan" $light -DEDGE_OVSS_BUILD_APPS=ON -DEDGE_OVSS_SANITIZE=address,undefined \
    -DEDGE_OVSS_FUZZ=ON -DEDGE_OVSS_FUZZ_SECONDS="$seconds" $element
make_all "$build/asan"
run_tests "$build/asan" -j"$jobs"

say "ThreadSanitizer"
# shellcheck disable=SC2086
configure "$build/tsan" $light -DEDGE_OVSS_SANITIZE=thread -DEDGE_OVSS_BUILD_APPS=OFF
make_all "$build/tsan" threads_test
run_tests "$build/tsan" -R '^threads_test$'

if pkg-config --exists opencv4; then
    say "ovss-camera with OpenCV"
    add_on opencv 'programs|camera|opencv_ends|network' -DEDGE_OVSS_WITH_OPENCV=ON
else
    say "LEFT OUT: ovss-camera with OpenCV (Debian's libopencv-dev is not installed)"
fi

if [ -n "${TensorRT_ROOT:-}" ]; then
    say "TensorRT of $TensorRT_ROOT: compile, link, and refuse politely without a GPU"
    configure "$build/tensorrt" -DCMAKE_BUILD_TYPE=Release -DEDGE_OVSS_WITH_TENSORRT=ON \
        -DTensorRT_ROOT="$TensorRT_ROOT" -DEDGE_OVSS_INSTALL=OFF
    make_all "$build/tensorrt"
    run_tests "$build/tensorrt" -E '^(valgrind|memory_test|allocations_test)$'
else
    say "LEFT OUT: the TensorRT backend (set TensorRT_ROOT to a folder with include/ and lib/)"
fi

say "the same frames through C++ and Python"
EDGE_OVSS_NATIVE_LIBRARY=$build/release/libedge_ovss.so
export EDGE_OVSS_NATIVE_LIBRARY
if "$PYTHON" -c 'import pytest, numpy, edge_ovss' 2>/dev/null; then
    (cd "$root/.." && "$PYTHON" -m pytest -q tests/runtime/test_native*.py tests/emit/test_ros2_cpp_core.py \
        tests/emit/test_open_bundles.py)
else
    say "LEFT OUT: $PYTHON lacks pytest or edge_ovss (pip install -e '.[export,test]')"
fi

say "all passed; the library is $build/release/libedge_ovss.so; cpack there makes packages"
