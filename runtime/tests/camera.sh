#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# camera.sh FOLDER DATA FAKE OPENCV: ovss-camera with a pretended V4L2 driver (fake_v4l2.c).
set -eu
apps=$1 bundle=$2/things fake=$3 opencv=$4
. "$(dirname "$0")/expect.sh"

# camera STATUS WORDS [OPTIONS]: what ovss-camera must say of $FAKE_V4L2 and $FAKE_V4L2_FAIL.
camera() {
    wanted=$1 words=$2
    shift 2
    expect "$wanted" "$words" \
        env LD_PRELOAD="$fake" FAKE_V4L2="$FAKE_V4L2" FAKE_V4L2_FAIL="$FAKE_V4L2_FAIL" \
        "$apps/ovss-camera" "$bundle" /dev/video0 "$@"
}

FAKE_V4L2_FAIL=
# Asked for 480 x 640 the camera does 30 x 46, with longer rows; how many formats were asked for is
# the place of its own in the list.
for each in 1:YUYV:104 2:NV12:64 3:MJPG:46 4:GREY:50 5:RGB3:140 6:BGR3:138; do
    name=${each#*:}
    FAKE_V4L2=${name%:*}:30x46:${each##*:}
    camera 0 '"frames": 2' --limit 2 --alpha 0 --out v.y4m
    grep -q "fake_v4l2: ${each%%:*} formats" output.txt || { cat output.txt; exit 1; }
    grep -aq 'W46 H30 ' v.y4m
    # The last luma of the second frame: row 29 is gray 79, and never the 235 behind the row. RGB
    # and JPEG are full range: 79 becomes 84.
    luma=$(tail -c $((2 * 30 * 46 + 1)) v.y4m | head -c 1 | od -An -tu1 | tr -d ' ')
    case $name in YUYV* | NV12*) right=79 ;; *) right=84 ;; esac
    [ "$luma" = "$right" ] || { echo "$name: luma $luma, expected $right"; exit 1; }
done

FAKE_V4L2=YUYV:30x46:104
camera 0 '"key_frames": 2' --limit 4 --keyframe 2 --flow none
camera 0 '"key_frames": 2' --limit 2 --stabilize 150 --keyframe 1 --flow none
camera 0 '"frames": 9' --limit 9 --keyframe async --flow none
camera 0 '"frames": 9' --limit 9 --stabilize 150 --keyframe async --flow none
camera 2 "expected dis or none" --keyframe 2 --flow raft
# With OpenCV a camera's network runs in its own thread, and labels follow by default.
case $opencv in
    ON) camera 0 '"frames": 2' --flow none --limit 2 ;;
    *) camera 2 "without --stabilize" --flow none ;;
esac
camera 2 "keyframe" --keyframe 0 --flow none

# Another size than the one that the user asked for is said.
expect 0 'gives 30 x 46 pixels (height x width), not 48 x 64 as asked' \
    env LD_PRELOAD="$fake" FAKE_V4L2="$FAKE_V4L2" FAKE_V4L2_FAIL= \
    "$apps/ovss-camera" "$bundle" 'v4l2://0?size=48x64' --limit 1
camera 0 '"frames": ' --duration 0.3

FAKE_V4L2=H264:30x46:46
camera 4 'it offers none of YUYV, NV12, MJPG, GREY, RGB3, BGR3' --limit 1
FAKE_V4L2=YUYV:30x46:92
FAKE_V4L2_FAIL=used
camera 4 "Video source '/dev/video0' cannot be opened: it is in use." --limit 1
FAKE_V4L2_FAIL=busy
camera 4 'it gives no buffers: Device or resource busy' --limit 1
FAKE_V4L2_FAIL=deaf
camera 4 'it does not start' --limit 1
FAKE_V4L2_FAIL=silent
camera 4 'no frame for 0.3 seconds' --limit 1 --timeout 0.3
# A camera that stays away ends the program with its last words, after the summary.
FAKE_V4L2_FAIL=unplugged
camera 4 "'/dev/video0' ended, or was lost, and was not back within 1 s (2 tries)" --reconnect 1
grep -q '"frames": [1-3], .*"read": 3, .*"reconnects": 0, "error": "Video source' output.txt ||
    { cat output.txt; exit 1; }
grep -q 'The last try: .*there is no such camera' output.txt || { cat output.txt; exit 1; }
camera 4 'it gives no more frames: No such device' --reconnect 0
# One that comes back goes on.
FAKE_V4L2_FAIL=replugged
camera 0 'warning: /dev/video0 is lost; trying to open it again' --limit 8
grep -q '/dev/video0 is back after ' output.txt || { cat output.txt; exit 1; }
grep -q '"frames": 8, .*"reconnects": 1, "error": null' output.txt || { cat output.txt; exit 1; }
# One that sends nothing for a while is not lost.
FAKE_V4L2_FAIL=stalled
camera 0 'warning: /dev/video0 stalls: nothing has come for ' --limit 8
grep -q '/dev/video0 sends again after ' output.txt || { cat output.txt; exit 1; }
grep -q '"stalls": 1' output.txt || { cat output.txt; exit 1; }
# Signals end it cleanly, also while nothing comes.
for each in TERM:143 INT:130; do
    for fail in "" stalled; do
        FAKE_V4L2_FAIL=$fail
        expect "${each#*:}" '"sources": [{"source": "/dev/video0", "read": ' \
            env LD_PRELOAD="$fake" FAKE_V4L2="$FAKE_V4L2" FAKE_V4L2_FAIL="$fail" \
            timeout --preserve-status --signal "${each%:*}" 2 \
            "$apps/ovss-camera" "$bundle" /dev/video0
    done
done

FAKE_V4L2_FAIL=paced
# Two cameras in turn, with one session: each has a file of its own.
head -c $((60 * 4 * 6)) /dev/zero >two.raw
two='raw:two.raw?format=GRAY8&size=4x6&fps=100'
camera 0 '"source": "/dev/video0", ' "$two" --limit 20 --out two.y4m --keyframe 1 --flow none
grep -q '"frames": 20, ' output.txt
counts=$(sed -n 's/.*"segmented": \([0-9]*\), .*"segmented": \([0-9]*\), .*/\1 \2/p' output.txt)
[ "$(echo "$counts" | wc -w)" = 2 ] && [ "${counts#* }" -ge 5 ] && [ "${counts% *}" -ge 5 ] ||
    { echo "not in turn: $counts"; cat output.txt; exit 1; }
head -n 1 two.y4m | grep -aq 'W46 H30 '
head -n 1 two-2.y4m | grep -aq 'W6 H4 '
camera 2 'takes one source' "$two" --out -
camera 2 "'/dev/video0' is given twice" 0
printf 'P6 1 1 255 abc' >a.ppm
camera 2 "'/dev/video0' is live and 'a.ppm' is not" a.ppm

FAKE_V4L2_FAIL=
# Any character device is a camera, and a link to one; another source is shown without its password.
ln -s /dev/null usb-camera
expect 4 "'usb-camera': it offers none" "$apps/ovss-camera" "$bundle" usb-camera --limit 1
expect 2 '--all is for files' "$apps/ovss-camera" "$bundle" usb-camera --all
for address in "rtsp://me:s3cret@127.0.0.1:9/1?token=s3cret" \
    "gst://rtspsrc location=rtsp://me:s3cret@127.0.0.1:9/1 ! appsink"; do
    "$apps/ovss-camera" "$bundle" "$address" >output.txt 2>&1 && exit 1
    grep -q 'rtsp://127.0.0.1:9/1' output.txt || { cat output.txt; exit 1; }
    if grep -q s3cret output.txt; then cat output.txt; exit 1; fi
done
echo "camera: all held"
