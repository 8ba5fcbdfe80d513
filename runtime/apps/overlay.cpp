// SPDX-License-Identifier: Apache-2.0
#include "overlay.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <memory>

namespace apps {

namespace {

constexpr double kBorder = 0.55;

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

// What the color of a class makes of every byte of a frame: [0] inside, [1] at a border. Tables,
// since computing it pixel after pixel would take most of an overlay's time.
using Bytes = std::array<std::array<std::uint8_t, 256>, 3>;
using Shade = std::array<Bytes, 2>;

std::unique_ptr<Shade> shade_of(const std::array<std::uint8_t, 3>& color, double alpha) {
    auto shade = std::make_unique<Shade>();
    for (std::size_t c = 0; c < 3; ++c) {
        for (std::size_t byte = 0; byte < 256; ++byte) {
            const double mixed = (1.0 - alpha) * static_cast<double>(byte) + alpha * color[c];
            const double dark = (alpha > 0.0 ? kBorder : 1.0) * mixed;
            (*shade)[0][c][byte] = static_cast<std::uint8_t>(mixed + 0.5);
            (*shade)[1][c][byte] = static_cast<std::uint8_t>(dark + 0.5);
        }
    }
    return shade;
}

// The tables of the labels that occur. Where a label is unknown, the frame stays as it is.
std::vector<std::unique_ptr<Shade>> shades_of(const edge_ovss::Result& result,
                                              const Palette& palette, double alpha) {
    const auto counts = counts_of(result);
    std::vector<std::unique_ptr<Shade>> shades(counts.size());
    for (std::size_t label = 0; label < counts.size(); ++label) {
        if (counts[label] > 0) {
            const bool is_known = label < palette.size();
            shades[label] = is_known ? shade_of(palette[label], alpha) : shade_of({}, 0.0);
        }
    }
    return shades;
}

void read_row(const edge_ovss::Result& result, std::size_t y, std::uint8_t* row) {
    const auto width = static_cast<std::size_t>(result.width);
    std::copy_n(result.labels.begin() + static_cast<std::ptrdiff_t>(y * width), width, row);
}

void read_row(const edge_ovss::Result& result, std::size_t y, std::uint16_t* row) {
    const auto width = static_cast<std::size_t>(result.width);
    const std::uint8_t* from = result.labels.data() + 2 * y * width;
    for (std::size_t x = 0; x < width; ++x) {
        std::memcpy(row + x, from + 2 * x, sizeof *row);
    }
}

template <typename Label>
void blend_labels(std::uint8_t* rgb, const edge_ovss::Result& result,
                  const std::vector<std::unique_ptr<Shade>>& shades) {
    const auto width = static_cast<std::size_t>(result.width);
    const auto height = static_cast<std::size_t>(result.height);
    // This row and the one below, aligned; what is right of the last pixel is no other class.
    std::vector<Label> rows(2 * (width + 1));
    Label* here = rows.data();
    Label* below = rows.data() + width + 1;
    read_row(result, 0, below);
    for (std::size_t y = 0; y < height; ++y) {
        std::swap(here, below);
        read_row(result, std::min(y + 1, height - 1), below);
        here[width] = here[width - 1];
        for (std::size_t x = 0; x < width; ++x, rgb += 3) {
            const bool is_border = (here[x + 1] != here[x]) | (below[x] != here[x]);
            const Bytes& table = (*shades[here[x]])[is_border ? 1 : 0];
            rgb[0] = table[0][rgb[0]];
            rgb[1] = table[1][rgb[1]];
            rgb[2] = table[2][rgb[2]];
        }
    }
}

double pixels_of(const edge_ovss::Result& result) {
    return static_cast<double>(result.height) * static_cast<double>(result.width);
}

}  // namespace

void blend(std::uint8_t* rgb, const edge_ovss::Result& result, const Palette& palette,
           double alpha) {
    if (result.height <= 0 || result.width <= 0) {
        return;
    }
    const auto shades = shades_of(result, palette, alpha);
    if (result.label_bytes == 1) {
        blend_labels<std::uint8_t>(rgb, result, shades);
    } else {
        blend_labels<std::uint16_t>(rgb, result, shades);
    }
}

std::vector<std::pair<int, double>> shares(const edge_ovss::Result& result, int outputs) {
    std::vector<std::pair<int, double>> found;
    const auto pixels = counts_of(result);
    for (int i = 0; i < outputs && i < static_cast<int>(pixels.size()); ++i) {
        const auto count = pixels[static_cast<std::size_t>(i)];
        if (count > 0) {
            found.emplace_back(i, static_cast<double>(count) / pixels_of(result));
        }
    }
    std::stable_sort(found.begin(), found.end(),
                     [](const auto& a, const auto& b) { return a.second > b.second; });
    return found;
}

double unknown_share(const edge_ovss::Result& result) {
    const double all = pixels_of(result);
    const auto count = static_cast<double>(counts_of(result).back());
    return all > 0.0 ? count / all : 0.0;
}

}  // namespace apps
