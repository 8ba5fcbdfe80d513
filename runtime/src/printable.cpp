// SPDX-License-Identifier: Apache-2.0
#include "printable.h"

#include <cstdint>
#include <cstdio>
#include <cstring>

namespace edge_ovss::internal {

namespace {

struct Character {
    std::uint32_t code;
    std::size_t bytes;
    bool is_valid;  // false: a byte that is no part of UTF-8
};

std::size_t bytes_after(unsigned first) {
    return first < 0xC2 ? 0 : first < 0xE0 ? 1 : first < 0xF0 ? 2 : first < 0xF5 ? 3 : 0;
}

// The character at `words`, which does not begin with the zero byte at the end.
Character decode(const char* words) {
    const auto* at = reinterpret_cast<const unsigned char*>(words);
    const unsigned first = at[0];
    const std::size_t more = bytes_after(first);
    if (more == 0) {
        return {first, 1, first < 0x80};
    }
    std::uint32_t code = first & (0x3FU >> more);
    for (std::size_t i = 1; i <= more; ++i) {
        if ((at[i] & 0xC0U) != 0x80U) {
            return {first, 1, false};
        }
        code = code << 6U | (at[i] & 0x3FU);
    }
    const bool is_long = (more == 2 && code < 0x800) || (more == 3 && code < 0x10000);
    const bool is_none = (code >= 0xD800 && code <= 0xDFFF) || code > 0x10FFFF;
    return is_long || is_none ? Character{first, 1, false} : Character{code, more + 1, true};
}

bool is_printable(const Character& character) {
    const std::uint32_t code = character.code;
    const bool is_control =
        (code < 0x20 && code != '\n' && code != '\t') || (code >= 0x7F && code < 0xA0);
    const bool ends_lines = code == 0x2028 || code == 0x2029;
    const bool turns = (code >= 0x202A && code <= 0x202E) || (code >= 0x2066 && code <= 0x2069) ||
                       code == 0x200E || code == 0x200F || code == 0x61C;
    return character.is_valid && !is_control && !ends_lines && !turns;
}

std::size_t escaped(std::uint32_t code, char* room, std::size_t size) {
    const auto number = static_cast<unsigned>(code);
    const int length = code < 0x100 ? std::snprintf(room, size, "\\x%02x", number)
                                    : std::snprintf(room, size, "\\u%04x", number);
    return static_cast<std::size_t>(length);
}

}  // namespace

void copy_printable(const char* words, char* room, std::size_t size) noexcept {
    std::size_t used = 0;
    while (*words != '\0') {
        const Character next = decode(words);
        char escape[12];
        const char* shown = words;
        std::size_t length = next.bytes;
        if (!is_printable(next)) {
            length = escaped(next.code, escape, sizeof escape);
            shown = escape;
        }
        if (used + length >= size) {
            break;
        }
        std::memcpy(room + used, shown, length);
        used += length;
        words += next.bytes;
    }
    room[used] = '\0';
}

}  // namespace edge_ovss::internal
