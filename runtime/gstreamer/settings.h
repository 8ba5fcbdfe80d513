// SPDX-License-Identifier: Apache-2.0
// What the properties of the element say.
#pragma once

#include <cstdint>
#include <string>

namespace ovss {

enum class Mode { kOverlay, kLabels, kMeta };

struct Settings {
    // Another value of these means that the bundle is opened again.
    std::string bundle;
    std::string written;  // which manifest stood there when `bundle` was set
    std::string backend = "auto";
    std::string cache;  // "": `engines` in the bundle
    int threads = 0;
    int device = 0;

    // These hold from the next frame on.
    std::string unknown;  // "": as the bundle says
    bool stabilize = false;
    double hold_ms = 150.0;
    int keyframe = 1;
    Mode mode = Mode::kOverlay;
    double alpha = 0.55;
    bool message = true;
    std::uint64_t message_interval_ns = 0;

    bool opens_as(const Settings& other) const {
        return bundle == other.bundle && written == other.written && backend == other.backend &&
               cache == other.cache && threads == other.threads && device == other.device;
    }
    bool follows_as(const Settings& other) const {
        return stabilize == other.stabilize && hold_ms == other.hold_ms &&
               keyframe == other.keyframe;
    }
};

}  // namespace ovss
