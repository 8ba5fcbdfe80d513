// SPDX-License-Identifier: Apache-2.0
#include "frames.h"

#include <cstring>

#include "formats.h"

namespace ovss {

namespace {

double seconds_of(GstClockTime time) {
    return GST_CLOCK_TIME_IS_VALID(time) ? static_cast<double>(time) / 1e9 : -1.0;
}

void write_labels(const edge_ovss::Result& result, const MappedFrame& to) {
    const auto row =
        static_cast<std::size_t>(result.width) * static_cast<std::size_t>(result.label_bytes);
    for (int y = 0; y < result.height; ++y) {
        std::memcpy(to.row(y), result.labels.data() + static_cast<std::size_t>(y) * row, row);
    }
}

}  // namespace

bool Frames::segment(Labeler& labeler, const Settings& settings, GstBuffer* from, GstBuffer* to) {
    const MappedFrame mapped(in, from, GST_MAP_READ);
    const edge_ovss::Frame frame = mapped.view();
    const bool is_key = labeler.segment(frame, seconds_of(GST_BUFFER_PTS(from)));
    if (to == nullptr) {
        return is_key;
    }
    const MappedFrame drawn(out, to, GST_MAP_WRITE);
    const edge_ovss::Result& result = labeler.result();
    if (settings.mode == Mode::kLabels) {
        write_labels(result, drawn);
        return is_key;
    }
    rgb_.resize(3 * static_cast<std::size_t>(result.height) *
                static_cast<std::size_t>(result.width));
    edge_ovss::check(edge_ovss_to_rgb(&frame.c, rgb_.data(), 0, rgb_.size()));
    apps::blend(rgb_.data(), result, labeler.palette(), settings.alpha);
    write_rgb(rgb_, drawn);
    return is_key;
}

}  // namespace ovss
