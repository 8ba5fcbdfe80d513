// SPDX-License-Identifier: Apache-2.0
// Small letters into a picture.
#pragma once

#include <cstdint>
#include <string>

namespace apps {

// Write upper-case letters, digits, blanks, '.' and '/' at the top left corner, white on black,
// as far as they fit. `rgb` is RGB8 without gaps.
void draw_text(std::uint8_t* rgb, int height, int width, const std::string& words);

}  // namespace apps
