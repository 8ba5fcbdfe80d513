// SPDX-License-Identifier: Apache-2.0
// From a buffer to its labels, and to what the mode makes of them.
#pragma once

#include <gst/video/video.h>

#include <cstdint>
#include <vector>

#include "../apps/painter.h"
#include "formats.h"
#include "labeler.h"
#include "settings.h"

namespace ovss {

struct Frames {
    GstVideoInfo in{};
    GstVideoInfo out{};

    // Segment `from`, and write what the mode wants into `to` (nullptr: the frame goes on as it
    // is). Returns whether the network saw it. Throws edge_ovss::Error.
    bool segment(Labeler& labeler, const Settings& settings, GstBuffer* from, GstBuffer* to);

private:
    apps::Plane<const std::uint8_t> shown_plane(const MappedFrame& mapped,
                                                const edge_ovss::Frame& frame);

    apps::Painter painter_;
    std::vector<std::uint8_t> rgb_;  // kept, so that the next overlay allocates nothing
};

}  // namespace ovss
