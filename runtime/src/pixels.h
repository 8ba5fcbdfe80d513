// SPDX-License-Identifier: Apache-2.0
// Frames: is a frame well-formed, and how does it become RGB8. The formulas are in edge_ovss.h.
#pragma once

#include <edge_ovss/edge_ovss.h>

#include <cstddef>
#include <cstdint>

namespace edge_ovss::internal {

// A frame whose every row may be read.
struct Pixels {
    const std::uint8_t* data = nullptr;
    const std::uint8_t* chroma = nullptr;  // NV12 only
    std::size_t stride = 0;
    std::size_t chroma_stride = 0;
    std::size_t height = 0;
    std::size_t width = 0;
    std::int32_t format = EDGE_OVSS_FORMAT_RGB8;
};

// Check a frame and fill in its defaults. Throws a usage error for a null pointer, and a frame
// error for everything else.
Pixels check_frame(const edge_ovss_frame& frame);

// Bytes of one row of the (first) plane; 0 for an unknown format.
std::size_t row_bytes(std::int32_t format, std::size_t width);

// Bytes of a frame without gaps; 0 for an unknown format or a size out of range.
std::size_t frame_bytes(std::int32_t format, std::int32_t height, std::int32_t width);

// Convert. Row y of the answer begins at rgb + y * stride.
void to_rgb(const Pixels& frame, std::uint8_t* rgb, std::size_t stride) noexcept;

}  // namespace edge_ovss::internal
