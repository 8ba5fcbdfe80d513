// SPDX-License-Identifier: Apache-2.0
// Text into a picture, with the letters of stb_easy_font.h (public domain, Debian's libstb-dev).
#pragma once

#include <array>
#include <cstdint>
#include <string>

namespace apps {

// RGB8 without gaps.
struct Canvas {
    std::uint8_t* rgb;
    int height;
    int width;
};

using Color = std::array<std::uint8_t, 3>;

// How many pixels a dot of a letter is wide, so that text can be read at this size.
int letter_scale(int height);

// Height of a line of text in dots.
constexpr int kLineDots = 12;

// Whether the font has every letter: printable ASCII.
bool can_draw(const std::string& words);

// Width of `words` in dots. Letters that the font lacks are question marks.
int text_dots(const std::string& words);

// Write `words` with the top left corner of the line at (left, top); what is outside is cut off.
void draw_text(const Canvas& canvas, int left, int top, int scale, const std::string& words,
               const Color& ink);

// Fill a rectangle; `weight` of 1 hides what is there, 0 leaves it. What is outside is cut off.
void fill(const Canvas& canvas, int left, int top, int right, int bottom, const Color& color,
          double weight = 1.0);

}  // namespace apps
