#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# gstreamer_source.sh FOLDER DATA: ovss-camera built with GStreamer reads pipelines, files and streams.
set -eu
camera=$1/ovss-camera bundle=$2/things
. "$(dirname "$0")/expect.sh"

test="gst://videotestsrc pattern=white num-buffers=4 ! video/x-raw,width=46,height=30,framerate=50/1"
expect 0 '"frames": 4, "dropped": 0' "$camera" "$bundle" "$test" --all --alpha 0 --out v.y4m
grep -aq 'W46 H30 ' v.y4m
# White in RGB is luma 235.
[ "$(tail -c $((2 * 30 * 46 + 1)) v.y4m | head -c 1 | od -An -tu1 | tr -d ' ')" = 235 ]
# Every format, rows with gaps (46 pixels), planes, and an appsink of the user's own.
for format in RGB BGR RGBA BGRA RGBx BGRx GRAY8 NV12 YUY2; do
    expect 0 '"frames": 4, "dropped": 0' "$camera" "$bundle" "$test,format=$format ! appsink" \
        --all --alpha 0 --out $format.y4m
    luma=$(tail -c $((2 * 30 * 46 + 1)) $format.y4m | head -c 1 | od -An -tu1 | tr -d ' ')
    # White is 235 in gray too, which is full range for us and becomes 218.
    case $format in GRAY8) right=218 ;; *) right=235 ;; esac
    [ "$luma" = "$right" ] || { echo "$format: luma $luma, expected $right"; exit 1; }
done
expect 4 'frames in I420' "$camera" "$bundle" "$test,format=I420 ! appsink" --all
# At its own pace: four frames at 50 per second, of which some may be dropped.
expect 0 '"frames": ' "$camera" "$bundle" "$test"
expect 4 'does not understand' "$camera" "$bundle" 'gst://nosuchelement ! fakesink'
expect 4 "'none.avi' " "$camera" "$bundle" none.avi
expect 4 'sends no frame' "$camera" "$bundle" 'gst://appsrc ! video/x-raw,format=RGB,width=4,height=4'
"$camera" "$bundle" 'rtsp://me:s3cret@127.0.0.1:9/1' >output.txt 2>&1 && exit 1
if grep -q s3cret output.txt; then cat output.txt; exit 1; fi
# A video file, if there is a program to make one.
if command -v gst-launch-1.0 >/dev/null && gst-inspect-1.0 --exists avimux && gst-inspect-1.0 --exists jpegenc; then
    gst-launch-1.0 -q videotestsrc num-buffers=6 ! video/x-raw,width=64,height=48,framerate=30/1 ! \
        jpegenc ! avimux ! filesink location=v.avi
    expect 0 '"frames": 6, "dropped": 0' "$camera" "$bundle" v.avi --all
fi
echo "gstreamer_source: all held"
