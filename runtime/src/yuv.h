// SPDX-License-Identifier: Apache-2.0
// Rows of NV12 and YUYV to RGB8, with the vector instructions that every processor of its kind has
// (SSE2, NEON). They give the bytes of the formula in edge_ovss.h; a test compares all of them.
#pragma once

#include <cstddef>
#include <cstdint>

namespace edge_ovss::internal {

// `luma` has `width` bytes, `uv` as many rounded up to even; `rgb` takes 3 * `width`.
void row_of_nv12(const std::uint8_t* luma, const std::uint8_t* uv, std::uint8_t* rgb,
                 std::size_t width) noexcept;

// `from` has 2 * `width` bytes, rounded up to a multiple of 4.
void row_of_yuyv(const std::uint8_t* from, std::uint8_t* rgb, std::size_t width) noexcept;

}  // namespace edge_ovss::internal
