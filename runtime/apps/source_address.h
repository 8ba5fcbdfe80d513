// SPDX-License-Identifier: Apache-2.0
// What a source may be, in words: the grammar of edge_ovss/frames/grammar.py as far as ovss-camera
// reads it, and raw:FILE.
#pragma once

#include <string>

namespace apps {

enum class Kind { kDevice, kRaw, kCsi, kNetwork, kPipeline, kFile };

// Numbers are 0 where the address leaves them to the camera.
struct Address {
    Kind kind = Kind::kFile;
    std::string place;   // device, file, address, pipeline, or the number of a CSI sensor
    std::string format;  // V4L2: four letters such as "MJPG"; raw: a name such as "NV12"
    int height = 0;
    int width = 0;
    double fps = 0.0;
    int flip = 0;
};

// Throws a usage error for an option that is unknown or has a wrong value. Nothing is opened.
Address parse_source(const std::string& words);

// The list of what a source may be, for messages.
extern const char* const kGrammar;

}  // namespace apps
