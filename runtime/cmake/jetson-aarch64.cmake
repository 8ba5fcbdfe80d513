# SPDX-License-Identifier: Apache-2.0
# Toolchain file: build on an x86-64 computer for a Jetson (aarch64).
#
#   cmake -S runtime -B build/jetson \
#     -DCMAKE_TOOLCHAIN_FILE=runtime/cmake/jetson-aarch64.cmake -DCMAKE_SYSROOT=/path/to/rootfs
#
# Needs the packages g++-aarch64-linux-gnu, and a copy of the Jetson's root file system with the
# development packages of runtime/README.md in it (SDK Manager makes one as Linux_for_Tegra/rootfs).
# tools/check_aarch64.sh makes such a copy of Debian's packages and runs what it built under qemu.
# The compiler must not be newer than what the Jetson's libstdc++ knows: g++ 11 for JetPack 6,
# g++ 13 for JetPack 7. Building on the Jetson itself takes about three minutes and needs none of
# this.
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR aarch64)

set(triple aarch64-linux-gnu)
set(CMAKE_C_COMPILER ${triple}-gcc CACHE STRING "")
set(CMAKE_CXX_COMPILER ${triple}-g++ CACHE STRING "")
set(CMAKE_LIBRARY_ARCHITECTURE ${triple})

# Programs come from this computer, libraries and headers from the Jetson's.
set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)
set(CMAKE_FIND_ROOT_PATH_MODE_LIBRARY ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_INCLUDE ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_PACKAGE ONLY)
