// SPDX-License-Identifier: Apache-2.0
#include "motion.h"

#include <algorithm>
#include <numeric>

#include "error.h"

namespace edge_ovss::internal {

namespace {

// Two cells that a pixel lies between, and the weight of the second of 256.
struct Between {
    std::size_t first;
    std::size_t second;
    std::int32_t part;
};

Between between(std::size_t pixel, std::size_t pixels, std::size_t cells) {
    const auto count = static_cast<std::int64_t>(cells);
    std::int64_t at = (2 * static_cast<std::int64_t>(pixel) + 1) * 256 * count /
                          (2 * static_cast<std::int64_t>(pixels)) -
                      128;
    at = std::min(std::max<std::int64_t>(at, 0), 256 * (count - 1));
    const std::int64_t first = at >> 8;
    return {static_cast<std::size_t>(first),
            static_cast<std::size_t>(std::min(first + 1, count - 1)),
            static_cast<std::int32_t>(at & 255)};
}

std::int32_t mixed(const Motion& motion, const Between& row, const Between& col, std::size_t axis) {
    const auto cell = [&](std::size_t y, std::size_t x) {
        return static_cast<std::int64_t>(motion.vectors[2 * (y * motion.grid.width + x) + axis]);
    };
    const std::int64_t a = row.part;
    const std::int64_t b = col.part;
    const std::int64_t left =
        cell(row.first, col.first) * (256 - a) + cell(row.second, col.first) * a;
    const std::int64_t right =
        cell(row.first, col.second) * (256 - a) + cell(row.second, col.second) * a;
    return static_cast<std::int32_t>((left * (256 - b) + right * b + 32768) >> 16);
}

}  // namespace

void Sources::follow(const Motion& motion, const Size& frame) {
    if (motion.grid.height > frame.height || motion.grid.width > frame.width) {
        throw frame_error(text("The motion has ", motion.grid.height, "x", motion.grid.width,
                               " vectors for a frame of ", frame.height, "x", frame.width,
                               " pixels; expected at most one for each pixel."),
                          "Give the vectors of this frame.");
    }
    follow_grid(motion, frame);
}

void Sources::follow_grid(const Motion& motion, const Size& frame) {
    index.resize(frame.pixels());
    trusted.resize(frame.pixels());
    const auto height = static_cast<std::int64_t>(frame.height);
    const auto width = static_cast<std::int64_t>(frame.width);
    std::vector<Between> columns(frame.width);
    for (std::size_t x = 0; x < frame.width; ++x) {
        columns[x] = between(x, frame.width, motion.grid.width);
    }
    std::size_t at = 0;
    for (std::size_t y = 0; y < frame.height; ++y) {
        const Between row = between(y, frame.height, motion.grid.height);
        const std::size_t cells = y * motion.grid.height / frame.height * motion.grid.width;
        for (std::size_t x = 0; x < frame.width; ++x, ++at) {
            const std::int64_t from_x =
                static_cast<std::int64_t>(x) + ((mixed(motion, row, columns[x], 0) + 16) >> 5);
            const std::int64_t from_y =
                static_cast<std::int64_t>(y) + ((mixed(motion, row, columns[x], 1) + 16) >> 5);
            const bool inside = from_x >= 0 && from_x < width && from_y >= 0 && from_y < height;
            const std::size_t cell = cells + x * motion.grid.width / frame.width;
            index[at] = static_cast<std::uint32_t>(inside ? from_y * width + from_x
                                                          : static_cast<std::int64_t>(at));
            trusted[at] = inside && (motion.valid == nullptr || motion.valid[cell] != 0) ? 1 : 0;
        }
    }
}

void Sources::stay(const Size& frame) {
    index.resize(frame.pixels());
    std::iota(index.begin(), index.end(), std::uint32_t{0});
    trusted.assign(frame.pixels(), 1);
}

void Sources::then(const Sources& later) {
    Sources both;
    both.index.resize(later.index.size());
    both.trusted.resize(later.index.size());
    for (std::size_t at = 0; at < later.index.size(); ++at) {
        const std::uint32_t from = later.index[at];
        both.index[at] = index[from];
        both.trusted[at] = later.trusted[at] != 0 && trusted[from] != 0 ? 1 : 0;
    }
    index.swap(both.index);
    trusted.swap(both.trusted);
}

bool Sources::is_far(std::size_t at, std::size_t pixels, std::size_t width) const {
    const auto away = [](std::size_t a, std::size_t b) { return a > b ? a - b : b - a; };
    const std::size_t from = index[at];
    return away(from / width, at / width) >= pixels || away(from % width, at % width) >= pixels;
}

double Sources::lost() const {
    const auto found = std::count(trusted.begin(), trusted.end(), std::uint8_t{1});
    return 1.0 - static_cast<double>(found) / static_cast<double>(trusted.size());
}

}  // namespace edge_ovss::internal
