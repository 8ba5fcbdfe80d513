// SPDX-License-Identifier: Apache-2.0
// Motion between two frames in whole numbers; the rule is that of edge_ovss/motion/vectors.py.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace edge_ovss::internal {

struct Size {
    std::size_t height = 0;
    std::size_t width = 0;

    std::size_t pixels() const { return height * width; }
    bool operator==(const Size& other) const {
        return height == other.height && width == other.width;
    }
};

// Vectors on a grid over the frame; `valid` may be null.
struct Motion {
    const std::int16_t* vectors = nullptr;
    const std::uint8_t* valid = nullptr;
    Size grid;
};

// The pixel of the frame before that each pixel comes from, or its own place; and whether it can
// be trusted. The room is kept from frame to frame.
struct Sources {
    std::vector<std::uint32_t> index;
    std::vector<std::uint8_t> trusted;

    // Throws an input error where the grid has more rows or columns than the frame.
    void follow(const Motion& motion, const Size& frame);
    // Everything stays where it is.
    void stay(const Size& frame);
    // Where the pixels of a later frame were, one frame farther back.
    void then(const Sources& later);
    // The share of pixels that cannot be trusted, 0 to 1.
    double lost() const;
    // Whether a pixel of a frame of `width` columns moved at least so far along an axis.
    bool is_far(std::size_t at, std::size_t pixels, std::size_t width) const;

private:
    void follow_grid(const Motion& motion, const Size& frame);
};

}  // namespace edge_ovss::internal
