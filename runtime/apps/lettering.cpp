// SPDX-License-Identifier: Apache-2.0
#include "lettering.h"

#include <stb/stb_easy_font.h>

#include <algorithm>
#include <cstddef>
#include <vector>

namespace apps {

namespace {

// As stb_easy_font_print writes it: four of them are a rectangle, clockwise from the top left.
struct Vertex {
    float x;
    float y;
    float z;
    unsigned char color[4];
};
static_assert(sizeof(Vertex) == 16, "stb_easy_font.h writes 16 bytes for a vertex");

// More than any letter takes (270 bytes on average).
constexpr std::size_t kRoomForLetter = 1024;

bool is_drawn(char letter) {
    return letter >= ' ' && letter <= '~';
}

// The font reads outside its tables for any other letter.
std::string drawable(std::string words) {
    std::replace_if(words.begin(), words.end(), [](char letter) { return !is_drawn(letter); }, '?');
    return words;
}

}  // namespace

int letter_scale(int height) {
    return std::max(1, (height + 120) / 360);
}

bool can_draw(const std::string& words) {
    return std::all_of(words.begin(), words.end(), is_drawn);
}

int text_dots(const std::string& words) {
    std::string drawn = drawable(words);
    return stb_easy_font_width(drawn.data());
}

void draw_text(const Canvas& canvas, int left, int top, int scale, const std::string& words,
               const Color& ink) {
    std::string drawn = drawable(words);
    std::vector<Vertex> corners(drawn.size() * kRoomForLetter / sizeof(Vertex) + 4);
    const int count = stb_easy_font_print(0.0F, 0.0F, drawn.data(), nullptr, corners.data(),
                                          static_cast<int>(corners.size() * sizeof(Vertex)));
    // Moved a little down: the letters stand in the upper part of their line.
    const auto at = [scale](float dots, int offset) {
        return offset + scale * static_cast<int>(dots);
    };
    for (int i = 0; i < count; ++i) {
        const Vertex& first = corners[4 * static_cast<std::size_t>(i)];
        const Vertex& last = corners[4 * static_cast<std::size_t>(i) + 2];
        fill(canvas, at(first.x, left), at(first.y + 1, top), at(last.x, left), at(last.y + 1, top),
             ink);
    }
}

void fill(const Canvas& canvas, int left, int top, int right, int bottom, const Color& color,
          double weight) {
    left = std::max(left, 0);
    right = std::min(right, canvas.width);
    const int share = static_cast<int>(256.0 * weight);
    for (int y = std::max(top, 0); y < std::min(bottom, canvas.height); ++y) {
        std::uint8_t* pixel =
            canvas.rgb + 3 * (static_cast<std::ptrdiff_t>(y) * canvas.width + left);
        for (int x = left; x < right; ++x, pixel += 3) {
            for (std::size_t c = 0; c < 3; ++c) {
                pixel[c] =
                    static_cast<std::uint8_t>((share * color[c] + (256 - share) * pixel[c]) >> 8);
            }
        }
    }
}

}  // namespace apps
