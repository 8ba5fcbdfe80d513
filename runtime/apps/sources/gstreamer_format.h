// SPDX-License-Identifier: Apache-2.0
// What the library calls the formats of GStreamer, for ovss-camera and the element.
#pragma once

#include <edge_ovss/edge_ovss.h>
#include <gst/video/video.h>

#include <cstdint>

namespace apps {

// -1 for one that the library does not read.
inline std::int32_t format_of(GstVideoFormat format) {
    switch (format) {
        case GST_VIDEO_FORMAT_RGB:
            return EDGE_OVSS_FORMAT_RGB8;
        case GST_VIDEO_FORMAT_BGR:
            return EDGE_OVSS_FORMAT_BGR8;
        case GST_VIDEO_FORMAT_RGBA:
        case GST_VIDEO_FORMAT_RGBx:
            return EDGE_OVSS_FORMAT_RGBA8;
        case GST_VIDEO_FORMAT_BGRA:
        case GST_VIDEO_FORMAT_BGRx:
            return EDGE_OVSS_FORMAT_BGRA8;
        case GST_VIDEO_FORMAT_GRAY8:
            return EDGE_OVSS_FORMAT_GRAY8;
        case GST_VIDEO_FORMAT_NV12:
            return EDGE_OVSS_FORMAT_NV12;
        case GST_VIDEO_FORMAT_YUY2:
            return EDGE_OVSS_FORMAT_YUYV;
        default:
            return -1;
    }
}

}  // namespace apps
