// SPDX-License-Identifier: Apache-2.0
// Video formats: what the element takes and gives, and frames of GStreamer as the library sees
// them.
#pragma once

#include <gst/video/video.h>

#include <edge_ovss/edge_ovss.hpp>
#include <initializer_list>

#include "../apps/painter.h"
#include "settings.h"

namespace ovss {

// Gray is apart from the others: sources that may choose take the first caps that they can give.
inline constexpr const char* kColored = "{ RGB, BGR, RGBx, BGRx, RGBA, BGRA, NV12, YUY2 }";
inline constexpr const char* kGray = "GRAY8";
// What comes out of the modes and may not come in.
inline constexpr const char* kWide = "GRAY16_LE";

// Caps of a pad for these formats, those before first. The caller owns them.
GstCaps* caps_of(std::initializer_list<const char*> formats);

// The same caps, those that may be in color first. The caller owns them.
GstCaps* gray_last(GstCaps* caps);

// Caps of the other pad; `label_bytes` is 0 while no bundle is open. The caller owns them.
GstCaps* other_caps(GstPadDirection direction, GstCaps* caps, Mode mode, int label_bytes);

// A GstVideoFrame that is unmapped at the end. Throws edge_ovss::Error.
class MappedFrame {
public:
    MappedFrame(const GstVideoInfo& info, GstBuffer* buffer, GstMapFlags flags);
    ~MappedFrame();
    MappedFrame(const MappedFrame&) = delete;
    MappedFrame& operator=(const MappedFrame&) = delete;

    // In place, with strides and planes as they are; for the formats that are taken.
    edge_ovss::Frame view() const;

    std::uint8_t* row(int y) const {
        return static_cast<std::uint8_t*>(frame_.data[0]) +
               static_cast<std::ptrdiff_t>(y) * frame_.info.stride[0];
    }
    const GstVideoInfo& info() const { return frame_.info; }
    int height() const { return GST_VIDEO_FRAME_HEIGHT(&frame_); }
    int width() const { return GST_VIDEO_FRAME_WIDTH(&frame_); }
    GstVideoFormat format() const { return GST_VIDEO_FRAME_FORMAT(&frame_); }

private:
    std::size_t readable(unsigned plane) const;

    GstVideoFrame frame_;
};

// The pixels of a frame in RGB, BGR, RGBx, BGRx, RGBA or BGRA.
apps::Plane<std::uint8_t> drawn_plane(const MappedFrame& frame);

// Whether the library's formula (BT.601, limited range) is that of these caps; it is for RGB.
bool has_our_colors(const GstVideoInfo& info);

}  // namespace ovss
