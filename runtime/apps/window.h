// SPDX-License-Identifier: Apache-2.0
// A window, where built with OpenCV.
#pragma once

#include <cstdint>

namespace apps {

// Show RGB8 without gaps; false when the user wants to end (q or Escape).
bool show(const std::uint8_t* rgb, int height, int width);

}  // namespace apps
