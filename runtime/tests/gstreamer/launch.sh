#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# launch.sh DATA PLUGIN: the element as gst-launch-1.0 and gst-inspect-1.0 see it.
set -eu
data=$1
GST_PLUGIN_PATH=$2
GST_REGISTRY=$2/launch-registry.bin
export GST_PLUGIN_PATH GST_REGISTRY
. "$(dirname "$0")/../expect.sh"
trap 'rm -rf "$work" "$GST_REGISTRY"' EXIT

# The page is complete: every property has words, and both pads have caps.
gst-inspect-1.0 edgeovss >page.txt
for words in 'Open-vocabulary segmentation' 'Filter/Analyzer/Video' 'Apache 2.0' 'bundle  ' 'mode  ' \
    'unknown  ' 'stabilize  ' 'hold  ' 'keyframe  ' 'alpha  ' 'message  ' 'message-interval  ' \
    'backend  ' 'threads  ' 'device  ' 'cache  ' ': overlay' ': labels' ': meta' 'NV12' 'GRAY16_LE'; do
    grep -qF -- "$words" page.txt || { echo "gst-inspect-1.0 does not say: $words"; exit 1; }
done

test="videotestsrc num-buffers=5 pattern=colors ! video/x-raw,width=64,height=48"
element="edgeovss threads=1 bundle=$data/things"
expect 0 'edge-ovss-frame' gst-launch-1.0 -m $test ! $element mode=labels ! fakesink
grep -F 'edge-ovss-frame' output.txt | grep -qF 'name\=\(string\)thing1'
# Who may choose gives color, and no gray, whatever comes out.
for mode in overlay labels meta; do
    expect 0 'sink: caps' gst-launch-1.0 -v $test ! $element mode=$mode ! fakesink
    if grep 'edgeovss0.GstPad:sink: caps' output.txt | grep -q GRAY; then cat output.txt; exit 1; fi
done
expect 0 'EOS' gst-launch-1.0 $test,format=NV12,colorimetry=bt601 ! $element stabilize=true \
    unknown=off ! videoconvert ! fakesink
# gst-launch-1.0 prints errors, and has statuses of its own for when they come.
expect 255 "/nothing.ovss" gst-launch-1.0 $test ! edgeovss bundle=/nothing.ovss ! fakesink
grep -qF 'ERROR: from element /GstPipeline:pipeline0/EdgeOvss:edgeovss0' output.txt
expect 255 "'bundle' is not set" gst-launch-1.0 $test ! edgeovss ! fakesink
expect 1 'could not link' gst-launch-1.0 $test,format=I420 ! $element ! fakesink
expect 1 'could not link' gst-launch-1.0 $test ! $element mode=labels ! video/x-raw,format=RGB ! fakesink
expect 255 'before labels could be unknown' gst-launch-1.0 $test ! $element unknown=0.2 ! fakesink

# A file of raw frames: its labels are those of the same file in one buffer after the other.
gst-launch-1.0 -q $test,format=BGR ! filesink location=frames.bgr
size=$((64 * 48 * 3 * 5))
[ "$(wc -c <frames.bgr)" = $size ]
gst-launch-1.0 -q filesrc location=frames.bgr ! \
    rawvideoparse format=bgr width=64 height=48 framerate=30/1 ! $element mode=labels ! \
    filesink location=file.gray
[ "$(wc -c <file.gray)" = $((size / 3)) ]
# The bundle's label is (R + G + B) mod 3.
od -An -v -tu1 -w3 frames.bgr | awk '{ printf "%d\n", ($1 + $2 + $3) % 3 }' >right.txt
[ "$(sort -u right.txt | wc -l)" = 3 ]
od -An -v -tu1 -w1 file.gray | awk '{ printf "%d\n", $1 }' | cmp - right.txt
# A compressed file, if this GStreamer can write one.
if gst-inspect-1.0 --exists theoraenc && gst-inspect-1.0 --exists oggmux; then
    gst-launch-1.0 -q $test ! theoraenc ! oggmux ! filesink location=v.ogg
    gst-launch-1.0 -q filesrc location=v.ogg ! oggdemux ! theoradec ! videoconvert ! \
        $element mode=labels ! filesink location=v.gray
    [ "$(wc -c <v.gray)" = $((size / 3)) ]
fi
echo "launch: all held"
