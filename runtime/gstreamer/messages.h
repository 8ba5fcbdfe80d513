// SPDX-License-Identifier: Apache-2.0
// What the element says of a bundle and of every frame: messages on the bus, and metadata.
#pragma once

#include <gst/gst.h>

#include "labeler.h"

namespace ovss {

inline constexpr const char* kMetaName = "EdgeOvssLabels";

// What is known of a frame that was segmented.
struct Facts {
    guint64 frame;  // number, from 0
    GstClockTime pts;
    GstClockTime running_time;
    double latency_ms;  // of the element: frame in, answer out
    bool is_key;        // the network saw it
};

// Structure "edge-ovss-bundle": what was opened. The caller owns it, as those below.
GstStructure* bundle_structure(const Labeler& labeler);

// Structure "edge-ovss-frame", with the share of every class that is there.
GstStructure* frame_structure(const Labeler& labeler, const Facts& facts);

// Make the metadata known to GStreamer; before it is used.
void register_meta();

// Attach the labels to `buffer`, which must be writable (its memory need not be).
void attach_labels(GstBuffer* buffer, const Labeler& labeler, const Facts& facts);

}  // namespace ovss
