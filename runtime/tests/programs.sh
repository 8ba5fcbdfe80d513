#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# programs.sh FOLDER DATA OPENCV GSTREAMER: the programs do what their --help says, and end with the right status.
set -eu
apps=$1 bundle=$2/things
. "$(dirname "$0")/expect.sh"

# 2 x 3 pixels; the labels are (R + G + B) mod 3.
printf 'P6\n# a comment\n3 2\n255\n\001\001\001\001\001\002\001\001\003\001\001\004\001\001\005\001\001\006' >a.ppm
expect 0 '"height": 2, "width": 3' "$apps/ovss-segment" "$bundle" a.ppm --labels l.png --overlay o.png
expect 0 '"thing2": 0.333333' "$apps/ovss-segment" "$bundle" a.ppm --threads 1
expect 0 '"thing0"' "$apps/ovss-segment" "$bundle" o.png
expect 0 '"passed": true' "$apps/ovss-segment" "$bundle" --selftest
# ONNX Runtime leaves nothing in the home folder, from which it would report its use.
mkdir home
expect 0 '"passed": true' env HOME="$PWD/home" XDG_CACHE_HOME= "$apps/ovss-segment" "$bundle" --selftest
[ -z "$(ls -A home)" ]
expect 0 'PNG, JPEG or PPM' "$apps/ovss-segment" --help
expect 2 'Expected BUNDLE and IMAGE' "$apps/ovss-segment" "$bundle"
expect 2 "no option '--lables'" "$apps/ovss-segment" "$bundle" a.ppm --lables l.png
expect 2 'needs a value' "$apps/ovss-segment" "$bundle" a.ppm --labels
expect 2 "Option --threads is 'two'" "$apps/ovss-segment" "$bundle" a.ppm --threads two
expect 2 'There is no backend' "$apps/ovss-segment" "$bundle" a.ppm --backend none
expect 4 'cannot be opened' "$apps/ovss-segment" "$bundle" none.png
expect 4 'is not an image' "$apps/ovss-segment" "$bundle" output.txt
expect 5 'There is no bundle' "$apps/ovss-segment" none.ovss a.ppm
head -c 40 o.png >cut.png
expect 4 'PNG image' "$apps/ovss-segment" "$bundle" cut.png
printf '\377\330\377\340 no more' >cut.jpg
expect 4 'damaged JPEG image' "$apps/ovss-segment" "$bundle" cut.jpg
for jpeg in street street_progressive; do
    whole=$(dirname "$0")/data/$jpeg.jpg size=$(wc -c <"$(dirname "$0")/data/$jpeg.jpg")
    expect 0 '"height": 48, "width": 64' "$apps/ovss-segment" "$bundle" "$whole"
    head -c $((size - 2)) "$whole" >open.jpg # without its end marker, as some cameras write
    expect 0 '"height": 48, "width": 64' "$apps/ovss-segment" "$bundle" open.jpg
    for part in 70 80 90 99; do
        head -c $((size * part / 100)) "$whole" >cut.jpg
        expect 4 'damaged JPEG image' "$apps/ovss-segment" "$bundle" cut.jpg
        printf '\377\331' >>cut.jpg
        expect 4 'damaged JPEG image' "$apps/ovss-segment" "$bundle" cut.jpg
    done
done
head -c 20 a.ppm >cut.ppm
expect 4 'damaged PPM image' "$apps/ovss-segment" "$bundle" cut.ppm
printf 'P6\n99999 99999\n255\n' >huge.ppm
expect 4 '99999 x 99999' "$apps/ovss-segment" "$bundle" huge.ppm

for format in RGB8 BGR8 RGBA8 BGRA8 GRAY8 NV12 YUYV; do
    expect 0 "\"format\": \"$format\"" "$apps/ovss-bench" "$bundle" --size 31x47 --format $format --count 3
done
# The format is the picture's too: NV12 has other bytes, and takes a conversion.
for format in RGB8 BGR8 RGBA8 BGRA8 GRAY8 NV12 YUYV; do
    expect 0 "\"format\": \"$format\"" "$apps/ovss-bench" "$bundle" a.ppm --format $format --count 2
done
expect 2 "The format 'NV21' is not known" "$apps/ovss-bench" "$bundle" a.ppm --format NV21
expect 2 'a picture has its own' "$apps/ovss-bench" "$bundle" a.ppm --size 4x6
expect 0 '"frames": 4' "$apps/ovss-bench" "$bundle" a.ppm --count 4 --warmup 0
expect 2 'The height in --size' "$apps/ovss-bench" "$bundle" --size wide

# Five frames of 4 x 6 in NV12: 36 bytes each.
head -c 180 /dev/zero >v.nv12
expect 0 '"frames": ' "$apps/ovss-camera" "$bundle" 'raw:v.nv12?format=NV12&size=4x6&fps=200' --out v.y4m
expect 0 '"frames": 5, "dropped": 0' "$apps/ovss-camera" "$bundle" 'raw:v.nv12?format=NV12&size=4x6&fps=1' --all
expect 0 '"frames": 2, "dropped": 0' "$apps/ovss-camera" "$bundle" 'raw:v.nv12?format=NV12&size=4x6&fps=1' --all --limit 2
expect 0 'C444' head -n 1 v.y4m
expect 0 '"frames": 1, ' "$apps/ovss-camera" "$bundle" 'raw:v.nv12?format=NV12&size=4x6' --limit 1
expect 0 ', "key_frames": 1, "stalls": 0, "sources": [{"source": "raw:v.nv12' \
    "$apps/ovss-camera" "$bundle" 'raw:v.nv12?format=NV12&size=4x6' --limit 1
# A legend: where there is room for names, the upper left of a frame of one gray has more than gray.
head -c $((240 * 320)) /dev/zero | tr '\000' '\144' >gray.raw
for option in --no-legend --all; do
    expect 0 '"frames": 1, ' "$apps/ovss-camera" "$bundle" 'raw:gray.raw?format=GRAY8&size=240x320' \
        --limit 1 --alpha 0 --out l.y4m $option
    # Luma of row 20, below the banner: 160 pixels.
    head -c $((60 + 320 * 20 + 160)) l.y4m | tail -c 160 | od -An -v -tu1 -w1 | sort -u | wc -l >colors
    case $option in --no-legend) [ "$(cat colors)" = 1 ] ;; *) [ "$(cat colors)" -gt 1 ] ;; esac ||
        { echo "$option: $(cat colors) levels of gray below the banner"; exit 1; }
done
# Images: a file, a folder, a list, a pattern; all of them, in order.
mkdir day
cp a.ppm day/a.ppm
cp o.png day/b.png
printf 'day/b.png\nday/a.ppm\nday/b.png\n' >day.txt
expect 0 '"frames": 1, "dropped": 0' "$apps/ovss-camera" "$bundle" a.ppm --out a.y4m
expect 0 '"frames": 2, "dropped": 0' "$apps/ovss-camera" "$bundle" day
expect 0 '"frames": 3, "dropped": 0' "$apps/ovss-camera" "$bundle" day.txt
expect 0 '"frames": 5, "dropped": 0' "$apps/ovss-camera" "$bundle" 'day/*' day.txt
expect 0 '"frames": 2, "dropped": 0' "$apps/ovss-camera" "$bundle" day --limit 2 --all
cp cut.png day/c.png
expect 4 "1 of 3 images of 'day' could not be read" "$apps/ovss-camera" "$bundle" day a.ppm
grep -q "warning: 'day/c.png' is .* PNG image" output.txt || { cat output.txt; exit 1; }
grep -q '"frames": 3, ' output.txt || { cat output.txt; exit 1; }
expect 4 'PNG image' "$apps/ovss-camera" "$bundle" day/c.png
# A disk that is full.
expect 4 'No space left on device' "$apps/ovss-camera" "$bundle" day --out /dev/full
grep -q '"frames": ' output.txt || { cat output.txt; exit 1; }

expect 4 'cannot be opened' "$apps/ovss-camera" "$bundle" raw:none
expect 2 "raw: has no option 'speed'" "$apps/ovss-camera" "$bundle" 'raw:v.nv12?speed=2'
expect 4 "'none.avi' does not exist" "$apps/ovss-camera" "$bundle" none.avi
if [ "$3$4" = OFFOFF ]; then
    printf 'RIFF....AVI LIST' >v.avi
    for address in rtsp://me:s3cret@nowhere/1 http://nowhere/live csi://0 v.avi 'gst://videotestsrc'; do
        expect 3 '-DEDGE_OVSS_WITH_GSTREAMER=ON' "$apps/ovss-camera" "$bundle" "$address"
        grep -q 'has no GStreamer' output.txt || { cat output.txt; exit 1; }
    done
    expect 3 'no OpenCV' "$apps/ovss-camera" "$bundle" v.avi
    expect 3 'EDGE_OVSS_WITH_OPENCV' "$apps/ovss-camera" "$bundle" a.ppm --window
fi
expect 2 'number of the sensor' "$apps/ovss-camera" "$bundle" csi://left
expect 2 'Options: flip, fps, size' "$apps/ovss-camera" "$bundle" 'csi://0?format=NV12'
expect 2 'names no device' "$apps/ovss-camera" "$bundle" v4l2://dev/video0
expect 2 "Option 'fps' of 'v4l2:///dev/video0" "$apps/ovss-camera" "$bundle" 'v4l2:///dev/video0?fps=0'
expect 2 'Expected height x width in pixels' "$apps/ovss-camera" "$bundle" 'v4l2://0?size=480'
expect 2 'A source is one of:' "$apps/ovss-camera" "$bundle" ftp://nowhere
expect 2 '?size=1080x1920&fps=30 ' "$apps/ovss-camera" "$bundle"
expect 2 'edge-ovss run' "$apps/ovss-camera" "$bundle" 'bag://drive?topic=/camera'
expect 4 '/dev/video411' "$apps/ovss-camera" "$bundle" 411
expect 2 'a camera does not wait' "$apps/ovss-camera" "$bundle" /dev/video4711 --all
expect 4 "'/dev/video4711' cannot be opened: there is no such camera" \
    "$apps/ovss-camera" "$bundle" /dev/video4711
echo "programs: all held"
