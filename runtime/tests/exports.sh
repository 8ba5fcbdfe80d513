#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# exports.sh LIBRARY HEADER...: the library exports edge_ovss_* and nothing else, and all of them.
set -eu
exported=$(nm -D --defined-only "$1" | awk '{print $NF}' | sort)
shift
declared=$(sed -n 's/^EDGE_OVSS_API .*[ *]\(edge_ovss_[a-z_]*\)(.*/\1/p' "$@" | sort)
[ -n "$declared" ] || { echo "the header declares nothing?"; exit 1; }
if [ "$exported" != "$declared" ]; then
    echo "exported and declared differ:"
    printf '%s\n' "$exported" >exported.txt
    printf '%s\n' "$declared" | diff exported.txt - || true
    exit 1
fi
printf 'exports: %s functions, nothing else\n' "$(printf '%s\n' "$exported" | wc -l)"
