#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# header_example.sh HEADER: the example in the header's first comment compiles as C11.
set -eu
include=$(dirname "$(dirname "$1")")
sed -n '/^ \* EXAMPLE/,/^ \* OWNERSHIP/p' "$1" | sed -n 's/^ \*     \(.*\)/\1/p' >example.c
grep -q edge_ovss_segment example.c
cc -std=c11 -Wall -Wextra -Wpedantic -Werror -fsyntax-only -I"$include" example.c
echo "header_example: $(wc -l <example.c) lines compile"
