// SPDX-License-Identifier: Apache-2.0
// A window, where built with OpenCV.
#pragma once

#include <cstdint>

namespace apps {

// Open an empty window. Throws where there is no display: the toolkit would end the process.
void open_window();

// Show RGB8 without gaps; false when the user wants to end (q, Escape, or the window closed).
bool show(const std::uint8_t* rgb, int height, int width);

}  // namespace apps
