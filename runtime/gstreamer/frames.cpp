// SPDX-License-Identifier: Apache-2.0
#include "frames.h"

#include <cstring>

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
    painter_.use(labeler.palette(), settings.alpha);
    painter_.paint(shown_plane(mapped, frame), result, drawn_plane(drawn));
    return is_key;
}

// Of a frame in RGB its own bytes, of others what they are in RGB.
apps::Plane<const std::uint8_t> Frames::shown_plane(const MappedFrame& mapped,
                                                    const edge_ovss::Frame& frame) {
    if (GST_VIDEO_INFO_IS_RGB(&mapped.info())) {
        const auto plane = drawn_plane(mapped);
        return {plane.data, plane.stride, plane.step, plane.at};
    }
    rgb_.resize(3 * static_cast<std::size_t>(mapped.height()) *
                static_cast<std::size_t>(mapped.width()));
    edge_ovss::check(edge_ovss_to_rgb(&frame.c, rgb_.data(), 0, rgb_.size()));
    return apps::packed<const std::uint8_t>(rgb_.data(), mapped.width());
}

}  // namespace ovss
