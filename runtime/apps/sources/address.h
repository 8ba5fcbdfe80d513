// SPDX-License-Identifier: Apache-2.0
// What a source may be, in words: the grammar of edge_ovss/frames/grammar.py, and raw:FILE.
// tests/data/camera_addresses.json holds both to the same meaning.
#pragma once

#include <string>
#include <vector>

namespace apps {

enum class Kind { kDevice, kNetwork, kPipeline, kRaw, kVideo, kPictures };

// Numbers are 0, and a format is empty, where the address leaves them to the camera.
struct Address {
    Kind kind = Kind::kVideo;
    std::string place;   // device, address with its password, pipeline, or file
    std::string label;   // how it is shown: without user name and password
    std::string format;  // V4L2: four letters such as "MJPG"; raw: a name such as "NV12"
    int height = 0;
    int width = 0;
    double fps = 0.0;
    bool is_size_asked = false;  // the user wrote height and width
    bool ends = false;           // an end is expected, so that it is not opened again
    std::vector<std::string> pictures;

    // Live sources are served in turn; recordings are read one after the other.
    bool is_live() const { return kind != Kind::kVideo && kind != Kind::kPictures; }
    // Whether nothing is lost if it has to wait.
    bool waits() const { return ends || !is_live(); }
};

// A camera: a number, a device, or an address of v4l2, csi, gst or a network. Nothing is opened.
// Throws a usage error for an option that is unknown or has a wrong value.
Address parse_camera(const std::string& words);

// raw:FILE?format=NV12&size=480x640&fps=30, frames without gaps: a camera for tests.
Address parse_raw(const std::string& words);

// What OpenCV and GStreamer are given for a pipeline: with an appsink that keeps one frame.
std::string with_appsink(const std::string& pipeline);

// "0", "12": a camera by number.
bool is_number(const std::string& words);

}  // namespace apps
