// SPDX-License-Identifier: Apache-2.0
#include "overlay.h"

#include <algorithm>
#include <array>
#include <cstring>

namespace apps {

namespace {

std::vector<std::size_t> counts_of(const edge_ovss::Result& result) {
    if (result.label_bytes == 1) {
        // Four counters, so that equal neighbors do not wait for each other.
        std::array<std::array<std::size_t, 256>, 4> counts{};
        const std::size_t size = result.labels.size();
        for (std::size_t at = 0; at < size; ++at) {
            ++counts[at % 4][result.labels[at]];
        }
        std::vector<std::size_t> all(256);
        for (std::size_t label = 0; label < all.size(); ++label) {
            all[label] = counts[0][label] + counts[1][label] + counts[2][label] + counts[3][label];
        }
        return all;
    }
    std::vector<std::size_t> all(65536);
    for (std::size_t at = 0; at + 1 < result.labels.size(); at += 2) {
        std::uint16_t label = 0;
        std::memcpy(&label, result.labels.data() + at, sizeof label);
        ++all[label];
    }
    return all;
}

}  // namespace

void blend(std::uint8_t* rgb, const edge_ovss::Result& result, const Palette& palette,
           double alpha) {
    Painter painter;
    painter.use(palette, alpha);
    painter.paint(packed<const std::uint8_t>(rgb, result.width), result, packed(rgb, result.width));
}

Shares shares(const edge_ovss::Result& result, int outputs) {
    Shares found;
    const auto pixels = counts_of(result);
    const double all = static_cast<double>(result.height) * static_cast<double>(result.width);
    for (int i = 0; i < outputs && i < static_cast<int>(pixels.size()); ++i) {
        const auto count = pixels[static_cast<std::size_t>(i)];
        if (count > 0) {
            found.classes.emplace_back(i, static_cast<double>(count) / all);
        }
    }
    std::stable_sort(found.classes.begin(), found.classes.end(),
                     [](const auto& a, const auto& b) { return a.second > b.second; });
    found.unknown = all > 0.0 ? static_cast<double>(pixels.back()) / all : 0.0;
    return found;
}

}  // namespace apps
