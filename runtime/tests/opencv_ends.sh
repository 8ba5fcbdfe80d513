#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# opencv_ends.sh FOLDER DATA: ovss-camera built with OpenCV reads video files, and wants a display.
set -eu
camera=$1/ovss-camera bundle=$2/things
. "$(dirname "$0")/expect.sh"

# Twelve gray frames of 48 x 64 at 20 frames per second.
head -c $((12 * 48 * 64)) /dev/zero | tr '\000' '\144' >gray.raw
raw='raw:gray.raw?format=GRAY8&size=48x64'
expect 0 '"frames": 12, "dropped": 0' "$camera" "$bundle" "$raw" --all --out v.y4m --fps 20 --alpha 0
expect 0 '"frames": 12, "dropped": 0' "$camera" "$bundle" v.y4m --all --out again.y4m --alpha 0
grep -aq 'W64 H48 ' again.y4m
# At its own pace a file takes as long as it lasts, and a fast network sees every frame but the odd
# one that another process held up.
before=$(date +%s%N)
expect 0 '"frames": ' "$camera" "$bundle" v.y4m
took=$((($(date +%s%N) - before) / 1000000))
[ "$took" -ge 550 ] || { echo "12 frames at 20 per second took $took ms"; exit 1; }
frames=$(sed -n 's/.*"frames": \([0-9]*\),.*/\1/p' output.txt)
[ "$frames" -ge 6 ] || { echo "only $frames of 12 frames were not dropped"; exit 1; }
expect 4 "'none.avi' does not exist" "$camera" "$bundle" none.avi
head -c 2000 /dev/zero >broken.avi
expect 4 "'broken.avi' cannot be opened" "$camera" "$bundle" broken.avi
# Several recordings, one after the other; the second is cut off.
{ cat v.y4m; } >whole.y4m
expect 0 '"frames": 24, "dropped": 0' "$camera" "$bundle" v.y4m whole.y4m --all
expect 2 'needs a display' env -u DISPLAY -u WAYLAND_DISPLAY -u QT_QPA_PLATFORM \
    "$camera" "$bundle" v.y4m --window
echo "opencv_ends: all held"
