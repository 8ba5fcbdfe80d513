#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# network.sh FOLDER DATA PYTHON READER: ovss-camera built with OpenCV or GStreamer reads a pretended camera
# on the network, which is lost and comes back.
set -eu
camera=$1/ovss-camera bundle=$2/things python=$3
here=$(cd "$(dirname "$0")" && pwd)
if [ "$4" = GStreamer ] && ! gst-inspect-1.0 --exists souphttpsrc; then
    echo "LEFT OUT: gstreamer1.0-plugins-good, which reads http://, is not installed"
    exit 77
fi
. "$here/expect.sh"

# serve HOW...: start a camera, whose address is then $url.
serve() {
    rm -f port
    "$python" "$here/mjpeg_server.py" "$here/data/street.jpg" port "$@" &
    for _ in $(seq 100); do
        [ -f port ] && break
        sleep 0.1
    done
    url=http://me:s3cret@127.0.0.1:$(cat port)/live?token=s3cret
}

says() {
    grep -q -- "$1" output.txt || { echo "missing: $1"; cat output.txt; exit 1; }
    if grep -q s3cret output.txt; then cat output.txt; exit 1; fi
}

serve 1000
expect 0 '"frames": 5, ' "$camera" "$bundle" "$url" --limit 5 --out v.y4m --alpha 0
says '"reconnects": 0, "error": null'
head -n 1 v.y4m | grep -aq 'W64 H48 '
serve 30 away away 1000
expect 0 'is lost; trying to open it again' "$camera" "$bundle" "$url" --limit 60 --keyframe 1 --flow none
says 'warning: http://127.0.0.1:[0-9]*/live is back after '
says '"reconnects": 1, "error": null'
serve 30 away
expect 4 'ended, or was lost, and was not back within 2 s' "$camera" "$bundle" "$url" --reconnect 2
says '"segmented": [1-9]'
serve 30
expect 4 'ended, or was lost.' "$camera" "$bundle" "$url" --reconnect 0
serve stall
expect 0 ' stalls: nothing has come for ' "$camera" "$bundle" "$url" --limit 15 --keyframe 1 --flow none
says 'sends again after '
says '"stalls": 1, '
serve silent
expect 4 'Video source' "$camera" "$bundle" "$url" --timeout 1
expect 143 '"error": null' timeout --signal TERM --preserve-status 3 "$camera" "$bundle" \
    "raw:/dev/zero?format=GRAY8&size=4x6&fps=50" "$url"
serve away
expect 4 'Video source' "$camera" "$bundle" "$url" --timeout 2
expect 4 'Video source' "$camera" "$bundle" http://127.0.0.1:9/live --timeout 2
echo "network: all held"
