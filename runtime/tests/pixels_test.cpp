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

std::uint8_t clip(int value) {
    return static_cast<std::uint8_t>(value < 0 ? 0 : (value > 255 ? 255 : value));
}

// The formula of edge_ovss.h, once more.
void append_formula(int y, int u, int v, Bytes& rgb) {
    const int luma = 298 * (y - 16) + 128;
    rgb.push_back(clip((luma + 409 * (v - 128)) >> 8));
    rgb.push_back(clip((luma - 100 * (u - 128) - 208 * (v - 128)) >> 8));
    rgb.push_back(clip((luma + 516 * (u - 128)) >> 8));
}

// Every Y, U and V: a row of 512 pixels has all Y twice, beside U and V.
void every_yuv_is_the_formula() {
    constexpr int kWidth = 512;
    Bytes luma(kWidth);
    Bytes uv(kWidth);
    Bytes yuyv(2 * kWidth);
    for (std::size_t x = 0; x < kWidth; ++x) {
        luma[x] = static_cast<std::uint8_t>(x);
    }
    for (int u = 0; u < 256; ++u) {
        for (int v = 0; v < 256; ++v) {
            Bytes expected;
            for (std::size_t x = 0; x < kWidth; ++x) {
                uv[x] = static_cast<std::uint8_t>(x % 2 == 0 ? u : v);
                yuyv[2 * x] = luma[x];
                yuyv[2 * x + 1] = uv[x];
                append_formula(luma[x], u, v, expected);
            }
            Bytes nv12 = luma;
            nv12.insert(nv12.end(), uv.begin(), uv.end());
            CHECK(convert(EDGE_OVSS_FORMAT_NV12, nv12, 1, kWidth) == expected);
            CHECK(convert(EDGE_OVSS_FORMAT_YUYV, yuyv, 1, kWidth) == expected);
        }
    }
}

// Vector instructions work on many pixels at once: no width may read or write outside, and the
// last pixels are no different. Chroma differs from pair to pair.
void every_width_is_the_formula() {
    for (int width = 1; width <= 70; ++width) {
        const auto pairs = static_cast<std::size_t>((width + 1) / 2);
        Bytes nv12;
        Bytes yuyv(4 * pairs);
        Bytes expected;
        for (std::size_t i = 0; i < yuyv.size(); ++i) {
            yuyv[i] = static_cast<std::uint8_t>(i * 37U + i / 7U * 91U);
        }
        for (std::size_t x = 0; x < static_cast<std::size_t>(width); ++x) {
            const std::size_t pair = x / 2 * 4;
            nv12.push_back(yuyv[2 * x]);
            append_formula(yuyv[2 * x], yuyv[pair + 1], yuyv[pair + 3], expected);
        }
        for (std::size_t pair = 0; pair < pairs; ++pair) {
            nv12.push_back(yuyv[4 * pair + 1]);
            nv12.push_back(yuyv[4 * pair + 3]);
        }
        CHECK(convert(EDGE_OVSS_FORMAT_NV12, nv12, 1, width) == expected);
        CHECK(convert(EDGE_OVSS_FORMAT_YUYV, yuyv, 1, width) == expected);
    }
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
    every_yuv_is_the_formula();
    every_width_is_the_formula();
    targets_are_checked();
    puts("pixels_test: all held");
    return 0;
}
