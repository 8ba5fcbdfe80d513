// SPDX-License-Identifier: Apache-2.0
#include "camera_formats.h"

#include <edge_ovss/edge_ovss.h>

#include <algorithm>
#include <array>
#include <cstddef>

#include "arguments.h"

namespace apps {

namespace {

constexpr const char* kFormats[] = {"RGB8", "BGR8", "RGBA8", "BGRA8", "GRAY8", "NV12", "YUYV"};
constexpr std::uint8_t kOpaque = 255;

using Bytes = std::vector<std::uint8_t>;
using Color = std::array<int, 3>;

std::uint8_t luma(const Color& c) {
    return static_cast<std::uint8_t>(((66 * c[0] + 129 * c[1] + 25 * c[2] + 128) >> 8) + 16);
}

std::array<std::uint8_t, 2> chroma(const Color& c) {
    return {static_cast<std::uint8_t>(((-38 * c[0] - 74 * c[1] + 112 * c[2] + 128) >> 8) + 128),
            static_cast<std::uint8_t>(((112 * c[0] - 94 * c[1] - 18 * c[2] + 128) >> 8) + 128)};
}

// A picture whose last row and column go on for ever.
class Pixels {
public:
    explicit Pixels(const Picture& picture) : picture_(picture) {}

    Color at(int y, int x) const {
        const auto row = static_cast<std::size_t>(std::min(y, picture_.height - 1));
        const auto column = static_cast<std::size_t>(std::min(x, picture_.width - 1));
        const std::uint8_t* pixel =
            picture_.rgb.data() + 3 * (row * static_cast<std::size_t>(picture_.width) + column);
        return {pixel[0], pixel[1], pixel[2]};
    }

    // Of `rows` x 2 pixels.
    Color mean(int y, int x, int rows) const {
        Color sum{0, 0, 0};
        for (int i = 0; i < 2 * rows; ++i) {
            const Color one = at(y + i / 2, x + i % 2);
            for (std::size_t c = 0; c < 3; ++c) {
                sum[c] += one[c];
            }
        }
        for (int& part : sum) {
            part = (part + rows) / (2 * rows);
        }
        return sum;
    }

private:
    const Picture& picture_;
};

Bytes nv12(const Picture& picture) {
    const Pixels pixels(picture);
    Bytes bytes;
    for (int y = 0; y < picture.height; ++y) {
        for (int x = 0; x < picture.width; ++x) {
            bytes.push_back(luma(pixels.at(y, x)));
        }
    }
    for (int y = 0; y < picture.height; y += 2) {
        for (int x = 0; x < picture.width; x += 2) {
            const auto uv = chroma(pixels.mean(y, x, 2));
            bytes.insert(bytes.end(), uv.begin(), uv.end());
        }
    }
    return bytes;
}

Bytes yuyv(const Picture& picture) {
    const Pixels pixels(picture);
    Bytes bytes;
    for (int y = 0; y < picture.height; ++y) {
        for (int x = 0; x < picture.width; x += 2) {
            const auto uv = chroma(pixels.mean(y, x, 1));
            bytes.insert(bytes.end(),
                         {luma(pixels.at(y, x)), uv[0], luma(pixels.at(y, x + 1)), uv[1]});
        }
    }
    return bytes;
}

Bytes interleaved(const Picture& picture, int format) {
    const bool swapped = format == EDGE_OVSS_FORMAT_BGR8 || format == EDGE_OVSS_FORMAT_BGRA8;
    const bool has_alpha = format == EDGE_OVSS_FORMAT_RGBA8 || format == EDGE_OVSS_FORMAT_BGRA8;
    Bytes bytes;
    for (std::size_t i = 0; i < picture.rgb.size(); i += 3) {
        const std::uint8_t* pixel = picture.rgb.data() + i;
        bytes.insert(bytes.end(), {pixel[swapped ? 2 : 0], pixel[1], pixel[swapped ? 0 : 2]});
        if (has_alpha) {
            bytes.push_back(kOpaque);
        }
    }
    return bytes;
}

// The luma of full range, as cameras without color give it.
Bytes gray(const Picture& picture) {
    Bytes bytes;
    for (std::size_t i = 0; i < picture.rgb.size(); i += 3) {
        const std::uint8_t* pixel = picture.rgb.data() + i;
        bytes.push_back(
            static_cast<std::uint8_t>((77 * pixel[0] + 150 * pixel[1] + 29 * pixel[2] + 128) >> 8));
    }
    return bytes;
}

}  // namespace

int parse_format(const std::string& name) {
    const auto* at = std::find(std::begin(kFormats), std::end(kFormats), name);
    if (at == std::end(kFormats)) {
        throw usage("The format '" + name +
                    "' is not known; expected RGB8, BGR8, RGBA8, BGRA8, GRAY8, NV12 or YUYV.");
    }
    return static_cast<int>(at - std::begin(kFormats));
}

const char* format_name(int format) {
    return kFormats[format];
}

std::vector<std::uint8_t> in_format(const Picture& picture, int format) {
    switch (format) {
        case EDGE_OVSS_FORMAT_RGB8:
            return picture.rgb;
        case EDGE_OVSS_FORMAT_GRAY8:
            return gray(picture);
        case EDGE_OVSS_FORMAT_NV12:
            return nv12(picture);
        case EDGE_OVSS_FORMAT_YUYV:
            return yuyv(picture);
        default:
            return interleaved(picture, format);
    }
}

}  // namespace apps
