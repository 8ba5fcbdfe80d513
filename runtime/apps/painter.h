// SPDX-License-Identifier: Apache-2.0
// Colors of a label map over its picture, one picture after the other.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <edge_ovss/edge_ovss.hpp>
#include <vector>

namespace apps {

using Palette = std::vector<std::array<std::uint8_t, 3>>;

// Where the bytes of a picture lie: channel c (red, green, blue) of pixel (y, x) at
// data[y * stride + x * step + at[c]]. With step 4 the fourth byte is opacity.
template <typename Byte>
struct Plane {
    Byte* data;
    std::ptrdiff_t stride;
    std::size_t step;
    std::array<std::size_t, 3> at;

    // The rows from `y` on.
    Plane row(int y) const { return {data + y * stride, stride, step, at}; }
};

// RGB without gaps.
template <typename Byte>
Plane<Byte> packed(Byte* rgb, int width) {
    return {rgb, 3 * static_cast<std::ptrdiff_t>(width), 3, {0, 1, 2}};
}

// What a color makes of a byte does not depend on the picture: it is looked up, since computing it
// for every pixel would take most of an overlay's time. The tables are kept from picture to
// picture.
class Painter {
public:
    // Mix these colors in with weight `alpha`, borders darker. Costs nothing where both are as they
    // were.
    void use(const Palette& palette, double alpha);

    // Write `from` with the colors of the labels to `to`; both have the size of the result. The two
    // may be the same picture. Where a label is unknown, `from` stays as it is.
    void paint(const Plane<const std::uint8_t>& from, const edge_ovss::Result& result,
               const Plane<std::uint8_t>& to);

private:
    // Where the row of each channel begins in `made_`.
    using Rows = std::array<std::uint32_t, 3>;

    template <typename Label>
    void paint_labels(const Plane<const std::uint8_t>& from, const edge_ovss::Result& result,
                      const Plane<std::uint8_t>& to);
    void paint_row(Plane<const std::uint8_t> from, Plane<std::uint8_t> to, std::size_t width) const;
    void make_table(double alpha);
    void find_rows(const Palette& palette);

    Palette palette_;
    double alpha_ = -1.0;
    // Row c: what 256 bytes become inside of a class whose color has c there; row 256 + c: at its
    // border; row 512: the bytes as they are.
    std::vector<std::uint8_t> made_;
    std::vector<Rows> rows_;            // of label k: [2 k] inside, [2 k + 1] at a border
    std::vector<std::uint32_t> which_;  // of `rows_`, for the pixels of one row of the picture
};

}  // namespace apps
