// SPDX-License-Identifier: Apache-2.0
// Pictures on disk: PNG, JPEG and PPM in; PNG out.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace apps {

// RGB8 without gaps.
struct Picture {
    int height = 0;
    int width = 0;
    std::vector<std::uint8_t> rgb;
};

// Read a picture; gray becomes RGB, transparency and 16-bit precision are dropped. A rotation in
// the file's EXIF data is not applied. Throws an error of status EDGE_OVSS_ERROR_INPUT.
Picture read_picture(const std::string& path);

// What happens to a JPEG whose data are incomplete or damaged: it is an error; or, as for one frame
// of a live camera, what could be decoded is kept and the rest is gray.
enum class Damage { kRefused, kKept };

// Decode a JPEG in memory.
Picture decode_jpeg(const std::uint8_t* bytes, std::size_t size, const std::string& what,
                    Damage damage);

// Write gray or RGB pictures of 8 bits, or gray of 16 bits (native byte order in memory).
void write_png(const std::string& path, int height, int width, int channels, int bits,
               const std::uint8_t* pixels);

}  // namespace apps
