// SPDX-License-Identifier: Apache-2.0
// Conversion to RGB: known colors, odd sizes, strides, planes; the full comparison with an
// independent implementation is in tests/runtime/test_native.py.
#include <array>
#include <cstdint>
#include <vector>

#include "check.h"

namespace {

using Bytes = std::vector<std::uint8_t>;

Bytes convert(int format, const Bytes& bytes, int height, int width, std::size_t stride = 0) {
    edge_ovss_frame frame = edge_ovss_frame_default();
    frame.format = format;
    frame.data = bytes.data();
    frame.data_size = bytes.size();
    frame.height = height;
    frame.width = width;
    frame.stride = stride;
    Bytes rgb(static_cast<std::size_t>(3 * height * width));
    CHECK(edge_ovss_to_rgb(&frame, rgb.data(), 0, rgb.size()) == EDGE_OVSS_OK);
    return rgb;
}

void bytes_are_reordered() {
    CHECK(convert(EDGE_OVSS_FORMAT_RGB8, {1, 2, 3}, 1, 1) == Bytes({1, 2, 3}));
    CHECK(convert(EDGE_OVSS_FORMAT_BGR8, {1, 2, 3}, 1, 1) == Bytes({3, 2, 1}));
    CHECK(convert(EDGE_OVSS_FORMAT_RGBA8, {1, 2, 3, 4}, 1, 1) == Bytes({1, 2, 3}));
    CHECK(convert(EDGE_OVSS_FORMAT_BGRA8, {1, 2, 3, 4}, 1, 1) == Bytes({3, 2, 1}));
    CHECK(convert(EDGE_OVSS_FORMAT_GRAY8, {7, 9}, 1, 2) == Bytes({7, 7, 7, 9, 9, 9}));
}

void strides_are_stepped_over() {
    const Bytes gaps{1, 2, 3, 99, 99, 4, 5, 6};
    CHECK(convert(EDGE_OVSS_FORMAT_RGB8, gaps, 2, 1, 5) == Bytes({1, 2, 3, 4, 5, 6}));
}

void yuv_has_known_colors() {
    // Black, white, and the most saturated red and blue of BT.601.
    const Bytes yuyv{16, 128, 235, 128, 81, 90, 81, 240, 41, 240, 41, 110};
    const Bytes rgb = convert(EDGE_OVSS_FORMAT_YUYV, yuyv, 1, 6);
    CHECK(Bytes(rgb.begin(), rgb.begin() + 6) == Bytes({0, 0, 0, 255, 255, 255}));
    CHECK(rgb[6] >= 254 && rgb[7] <= 1 && rgb[8] <= 1);
    CHECK(rgb[12] <= 1 && rgb[13] <= 1 && rgb[14] >= 254);
}

void odd_sizes_share_the_last_chroma() {
    // 3 x 3: Y, then two rows of two UV pairs.
    const Bytes nv12{81, 81, 41, 81, 81, 41, 16, 16, 235, 90, 240, 240, 110, 128, 128, 128, 128};
    const Bytes rgb = convert(EDGE_OVSS_FORMAT_NV12, nv12, 3, 3);
    CHECK(rgb[0] >= 254 && rgb[3] >= 254 && rgb[8] >= 254 && rgb[17] >= 254);
    CHECK(Bytes(rgb.begin() + 18, rgb.end()) == Bytes({0, 0, 0, 0, 0, 0, 255, 255, 255}));
}

void targets_are_checked() {
    const Bytes one{1, 2, 3};
    edge_ovss_frame frame = edge_ovss_frame_default();
    frame.data = one.data();
    frame.height = frame.width = 1;
    std::array<std::uint8_t, 3> rgb{};
    CHECK_FAILS(edge_ovss_to_rgb(&frame, rgb.data(), 0, 2), EDGE_OVSS_ERROR_CAPACITY, "2 bytes");
    CHECK_FAILS(edge_ovss_to_rgb(&frame, rgb.data(), 2, 3), EDGE_OVSS_ERROR_USAGE, "'stride' is 2");
    CHECK_FAILS(edge_ovss_to_rgb(&frame, nullptr, 0, 3), EDGE_OVSS_ERROR_USAGE, "'rgb'");
    CHECK_FAILS(edge_ovss_to_rgb(nullptr, rgb.data(), 0, 3), EDGE_OVSS_ERROR_USAGE, "'frame'");
}

}  // namespace

int main() {
    bytes_are_reordered();
    strides_are_stepped_over();
    yuv_has_known_colors();
    odd_sizes_share_the_last_chroma();
    targets_are_checked();
    puts("pixels_test: all held");
    return 0;
}
