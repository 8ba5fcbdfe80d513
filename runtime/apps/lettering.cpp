// SPDX-License-Identifier: Apache-2.0
#include "lettering.h"

#include <algorithm>
#include <cstring>

namespace apps {

namespace {

constexpr int kRows = 5;
constexpr int kColumns = 3;

// 3 x 5 dots: the highest of 15 bits is the top left one, row by row.
struct Letter {
    char name;
    unsigned dots;
};

constexpr Letter kLetters[] = {
    {'0', 0x7B6F}, {'1', 0x2C97}, {'2', 0x73E7}, {'3', 0x72CF}, {'4', 0x5BC9}, {'5', 0x79CF},
    {'6', 0x79EF}, {'7', 0x7292}, {'8', 0x7BEF}, {'9', 0x7BCF}, {'A', 0x2BED}, {'D', 0x6B6E},
    {'E', 0x79A7}, {'F', 0x79A4}, {'M', 0x5FED}, {'O', 0x7B6F}, {'P', 0x7BE4}, {'R', 0x6BAD},
    {'S', 0x79CF}, {'.', 0x0002}, {'/', 0x12A4},
};

unsigned dots_of(char name) {
    for (const Letter& letter : kLetters) {
        if (letter.name == name) {
            return letter.dots;
        }
    }
    return 0;
}

}  // namespace

void draw_text(std::uint8_t* rgb, int height, int width, const std::string& words) {
    const int scale = std::max(1, height / 160);
    const int bottom = std::min(height, (kRows + 2) * scale);
    const int cell = (kColumns + 1) * scale;
    const int right = std::min(width, cell * static_cast<int>(words.size()) + scale);
    for (int y = 0; y < bottom; ++y) {
        for (int x = 0; x < right; ++x) {
            const int row = y / scale - 1;
            const int column = (x - scale) / scale % (kColumns + 1);
            bool on = false;
            if (x >= scale && row >= 0 && row < kRows && column < kColumns) {
                const auto at = static_cast<std::size_t>((x - scale) / cell);
                const int bit = kRows * kColumns - 1 - (row * kColumns + column);
                on = at < words.size() && ((dots_of(words[at]) >> bit) & 1U) != 0;
            }
            std::memset(rgb + (static_cast<std::size_t>(y) * static_cast<std::size_t>(width) +
                               static_cast<std::size_t>(x)) *
                                  3,
                        on ? 255 : 0, 3);
        }
    }
}

}  // namespace apps
