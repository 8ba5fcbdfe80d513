# SPDX-License-Identifier: Apache-2.0
# To be sourced: `mirror` prints the Debian mirror that this machine uses, or nothing.
mirror() {
    for list in /etc/apt/sources.list.d/debian.sources /etc/apt/sources.list; do
        [ -f "$list" ] || continue
        found=$(sed -n 's/^URIs: *\([^ ]*\).*/\1/p; s/^deb  *\(\[[^]]*\] *\)\{0,1\}\([^ ]*\).*/\2/p' \
            "$list" | head -n 1)
        [ -z "$found" ] || { printf '%s' "$found"; return; }
    done
}
