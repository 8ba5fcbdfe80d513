// SPDX-License-Identifier: Apache-2.0
#include "overlay.h"

#include <algorithm>

namespace apps {

namespace {

constexpr double kBorder = 0.55;

bool is_border(const edge_ovss::Result& result, int y, int x) {
    const auto here = result.label(y, x);
    return (x + 1 < result.width && result.label(y, x + 1) != here) ||
           (y + 1 < result.height && result.label(y + 1, x) != here);
}

}  // namespace

void blend(std::uint8_t* rgb, const edge_ovss::Result& result, const Palette& palette,
           double alpha) {
    for (int y = 0; y < result.height; ++y) {
        for (int x = 0; x < result.width; ++x, rgb += 3) {
            const auto label = static_cast<std::size_t>(result.label(y, x));
            if (label >= palette.size()) {
                continue;  // unknown is not painted over
            }
            const auto& color = palette[label];
            const double light = alpha > 0.0 && is_border(result, y, x) ? kBorder : 1.0;
            for (std::size_t c = 0; c < 3; ++c) {
                const double mixed = (1.0 - alpha) * rgb[c] + alpha * color[c];
                rgb[c] = static_cast<std::uint8_t>(light * mixed + 0.5);
            }
        }
    }
}

std::vector<std::pair<int, double>> shares(const edge_ovss::Result& result, int outputs) {
    std::vector<std::pair<int, double>> found;
    std::vector<std::size_t> pixels(static_cast<std::size_t>(outputs));
    for (int y = 0; y < result.height; ++y) {
        for (int x = 0; x < result.width; ++x) {
            const auto label = static_cast<std::size_t>(result.label(y, x));
            if (label < pixels.size()) {
                ++pixels[label];
            }
        }
    }
    const double all = static_cast<double>(result.height) * static_cast<double>(result.width);
    for (int i = 0; i < outputs; ++i) {
        const auto count = pixels[static_cast<std::size_t>(i)];
        if (count > 0) {
            found.emplace_back(i, static_cast<double>(count) / all);
        }
    }
    std::stable_sort(found.begin(), found.end(),
                     [](const auto& a, const auto& b) { return a.second > b.second; });
    return found;
}

double unknown_share(const edge_ovss::Result& result) {
    const std::int32_t unknown = result.label_bytes == 1 ? 255 : 65535;
    std::size_t pixels = 0;
    for (int y = 0; y < result.height; ++y) {
        for (int x = 0; x < result.width; ++x) {
            pixels += result.label(y, x) == unknown ? 1 : 0;
        }
    }
    const double all = static_cast<double>(result.height) * static_cast<double>(result.width);
    return all > 0.0 ? static_cast<double>(pixels) / all : 0.0;
}

}  // namespace apps
