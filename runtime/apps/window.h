// SPDX-License-Identifier: Apache-2.0
// Windows, where built with OpenCV: one for each camera, with its name as the title.
#pragma once

#include <cstdint>
#include <string>

namespace apps {

// Open an empty window. Throws where there is no display: the toolkit would end the process.
void open_window(const std::string& name);

// Show RGB8 without gaps; false when the user wants to end (q, Escape, or the window closed).
bool show(const std::string& name, const std::uint8_t* rgb, int height, int width);

}  // namespace apps
