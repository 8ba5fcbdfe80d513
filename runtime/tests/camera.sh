#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# camera.sh FOLDER DATA FAKE: ovss-camera with a pretended V4L2 driver (fake_v4l2.c).
set -eu
apps=$1 bundle=$2/things fake=$3
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
camera 0 '"key_frames": 2' --limit 2 --stabilize 150 --flow none
camera 0 '"frames": 9' --limit 9 --keyframe async --flow none
camera 0 '"frames": 9' --limit 9 --stabilize 150 --keyframe async --flow none
camera 2 "expected dis or none" --keyframe 2 --flow raft
camera 2 "without --stabilize" --flow none
camera 2 "keyframe" --keyframe 0 --flow none

FAKE_V4L2=H264:30x46:46
camera 3 'it offers none of YUYV, NV12, MJPG, GREY, RGB3, BGR3' --limit 1
FAKE_V4L2=YUYV:30x46:92
FAKE_V4L2_FAIL=busy
camera 3 'it gives no buffers: Device or resource busy' --limit 1
FAKE_V4L2_FAIL=deaf
camera 3 'it does not start' --limit 1
FAKE_V4L2_FAIL=silent
camera 3 'no frame for five seconds' --limit 1
FAKE_V4L2_FAIL=unplugged
camera 3 'it gives no more frames: No such device'
# Any character device is a camera, and a link to one; another source is shown without its password.
ln -s /dev/null usb-camera
expect 3 "'usb-camera': it offers none" "$apps/ovss-camera" "$bundle" usb-camera --limit 1
expect 2 '--all is for files' "$apps/ovss-camera" "$bundle" usb-camera --all
for address in "rtsp://me:s3cret@127.0.0.1:9/1?token=s3cret" \
    "rtspsrc location=rtsp://me:s3cret@127.0.0.1:9/1 ! appsink"; do
    "$apps/ovss-camera" "$bundle" "$address" >output.txt 2>&1 && exit 1
    grep -q 'rtsp://127.0.0.1:9/1' output.txt || { cat output.txt; exit 1; }
    if grep -q s3cret output.txt; then cat output.txt; exit 1; fi
done
echo "camera: all held"
