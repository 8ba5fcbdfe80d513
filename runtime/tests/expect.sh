# SPDX-License-Identifier: Apache-2.0
# To be sourced: moves to a folder that is removed at the end, and defines `expect`.
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

# expect STATUS WORDS COMMAND...: the status, and words that stdout or stderr must have.
expect() {
    wanted=$1 words=$2
    shift 2
    status=0
    "$@" >output.txt 2>&1 || status=$?
    if [ "$status" != "$wanted" ] || ! grep -qF -- "$words" output.txt; then
        echo "status $status (expected $wanted), words '$words' of: $*"
        cat output.txt
        exit 1
    fi
}
