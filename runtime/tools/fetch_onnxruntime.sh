#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Put ONNX Runtime's headers and library into one folder: FOLDER/include and FOLDER/lib.
#
#   tools/fetch_onnxruntime.sh FOLDER
#
# Headers: Debian's package libonnxruntime-dev. Where the machine's own sources do not have it
# (Debian before 13), it is looked up in suite `trixie` of the mirror that the machine uses, with
# package lists of its own: the machine's lists and packages are left alone, nothing is installed.
# Library: the one inside the Python package onnxruntime of $PYTHON (default python3). The header
# may be older than the library: the interface between them is versioned.
set -eu

folder=${1:?"usage: fetch_onnxruntime.sh FOLDER"}
python=${PYTHON:-python3}
mkdir -p "$folder/include" "$folder/lib" "$folder/package"
folder=$(cd "$folder" && pwd)

say() { printf '%s\n' "fetch_onnxruntime: $*" >&2; }

. "$(dirname "$0")/mirror.sh"

# Download the package from the sources in $folder/apt, or from the machine's if there are none.
download() (
    cd "$folder/package"
    if [ "${1:-}" = trixie ]; then
        lists=$folder/apt
        mkdir -p "$lists/lists/partial" "$lists/cache/archives/partial" "$lists/parts"
        keys=/usr/share/keyrings/debian-archive-keyring.gpg
        printf 'deb [signed-by=%s] %s trixie main\n' "$keys" "$(mirror)" >"$lists/parts/t.list"
        set -- -o Dir::State::Lists="$lists/lists" -o Dir::Cache="$lists/cache" \
            -o Dir::Etc::SourceList=/dev/null -o Dir::Etc::SourceParts="$lists/parts" \
            -o APT::Sandbox::User="$(id -un)" -o Acquire::Languages=none
        apt-get "$@" -qq update
    else
        set -- -o APT::Sandbox::User="$(id -un)"
    fi
    apt-get "$@" -qq download libonnxruntime-dev
)

fetch_headers() {
    [ ! -f "$folder/include/onnxruntime_c_api.h" ] || return 0
    if [ -f /usr/include/onnxruntime/onnxruntime_c_api.h ]; then
        cp /usr/include/onnxruntime/*.h "$folder/include/"
        return
    fi
    command -v apt-get >/dev/null || { say "needs apt-get, or the header in $folder/include"; exit 3; }
    rm -f "$folder"/package/*.deb
    download 2>/dev/null || download trixie || { say "libonnxruntime-dev cannot be had"; exit 3; }
    dpkg -x "$folder"/package/libonnxruntime-dev_*.deb "$folder/package"
    find "$folder/package/usr/include" -name '*.h' -path '*onnxruntime*' \
        -exec cp {} "$folder/include/" \;
    rm -rf "$folder/apt" "$folder/package"
}

fetch_library() {
    library=$("$python" - <<'PY'
import importlib.util, pathlib
spec = importlib.util.find_spec("onnxruntime")
folder = pathlib.Path(spec.origin).parent / "capi" if spec else pathlib.Path("/nowhere")
print(next(iter(sorted(folder.glob("libonnxruntime.so.*"))), ""))
PY
    )
    [ -n "$library" ] || { say "$python has no package onnxruntime: pip install onnxruntime"; exit 3; }
    ln -sf "$library" "$folder/lib/libonnxruntime.so"
    ln -sf "$library" "$folder/lib/libonnxruntime.so.1"
    # Whoever passes the library on passes these on too.
    for each in LICENSE ThirdPartyNotices.txt; do
        text=$(dirname "$(dirname "$library")")/$each
        [ ! -f "$text" ] || cp "$text" "$folder/"
    done
}

fetch_headers
fetch_library
say "headers in $folder/include, library $(readlink -f "$folder/lib/libonnxruntime.so")"
