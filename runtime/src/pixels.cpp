// SPDX-License-Identifier: Apache-2.0
#include "pixels.h"

#include <cstring>

#include "error.h"
#include "yuv.h"

namespace edge_ovss::internal {

namespace {

constexpr std::size_t pairs(std::size_t count) {
    return (count + 1) / 2;
}

template <int Step, int Red>
void row_of_bytes(const std::uint8_t* from, std::uint8_t* rgb, std::size_t width) {
    for (std::size_t x = 0; x < width; ++x) {
        rgb[3 * x] = from[Step * x + Red];
        rgb[3 * x + 1] = from[Step * x + 1];
        rgb[3 * x + 2] = from[Step * x + (2 - Red)];
    }
}

void row_of_gray(const std::uint8_t* from, std::uint8_t* rgb, std::size_t width) {
    for (std::size_t x = 0; x < width; ++x) {
        rgb[3 * x] = rgb[3 * x + 1] = rgb[3 * x + 2] = from[x];
    }
}

void convert_row(const Pixels& frame, std::size_t y, std::uint8_t* rgb) noexcept {
    const std::uint8_t* from = frame.data + y * frame.stride;
    switch (frame.format) {
        case EDGE_OVSS_FORMAT_RGB8:
            std::memcpy(rgb, from, 3 * frame.width);
            break;
        case EDGE_OVSS_FORMAT_BGR8:
            row_of_bytes<3, 2>(from, rgb, frame.width);
            break;
        case EDGE_OVSS_FORMAT_RGBA8:
            row_of_bytes<4, 0>(from, rgb, frame.width);
            break;
        case EDGE_OVSS_FORMAT_BGRA8:
            row_of_bytes<4, 2>(from, rgb, frame.width);
            break;
        case EDGE_OVSS_FORMAT_GRAY8:
            row_of_gray(from, rgb, frame.width);
            break;
        case EDGE_OVSS_FORMAT_NV12:
            row_of_nv12(from, frame.chroma + y / 2 * frame.chroma_stride, rgb, frame.width);
            break;
        default:
            row_of_yuyv(from, rgb, frame.width);
            break;
    }
}

bool is_side(std::int32_t side) {
    return side >= 1 && side <= EDGE_OVSS_MAX_SIDE;
}

// Bytes from the first byte of the first row to the last byte of the last one.
std::size_t plane_bytes(std::size_t rows, std::size_t stride, std::size_t row) {
    return (rows - 1) * stride + row;
}

// What a plane may be wrong in. A stride of more than this is a mistake, and would overflow.
constexpr std::size_t kLongestStride = std::size_t{1} << 30;

void check_plane(const char* what, std::size_t rows, std::size_t stride, std::size_t row,
                 std::size_t size) {
    if (stride < row || stride > kLongestStride) {
        throw frame_error(
            text("The ", what, " stride of the frame is ", stride, " bytes; expected at least ",
                 row, " (and at most ", kLongestStride, ")."),
            "The stride is in bytes, from one row to the next; 0 is without gaps.");
    }
    const std::size_t needed = plane_bytes(rows, stride, row);
    if (size != 0 && size < needed) {
        throw frame_error(text("The ", what, " plane of the frame has ", size,
                               " bytes; expected at least ", needed, "."),
                          "Check height, width, stride and format against the camera's.");
    }
}

void check_chroma(const edge_ovss_frame& frame, Pixels& pixels) {
    const std::size_t row = 2 * pairs(pixels.width);
    const std::size_t rows = pairs(pixels.height);
    const bool follows = frame.chroma == nullptr;
    const std::size_t usual = follows ? 2 * pairs(pixels.stride) : row;
    pixels.chroma_stride = frame.chroma_stride == 0 ? usual : frame.chroma_stride;
    std::size_t room = frame.chroma_size;
    if (follows) {
        const std::size_t luma = pixels.stride * pixels.height;
        pixels.chroma = pixels.data + luma;
        if (frame.data_size != 0 && frame.data_size <= luma) {
            throw frame_error(text("The frame has ", frame.data_size, " bytes; its Y plane takes ",
                                   luma, ", and the UV plane follows."),
                              "Check height, width, stride and format against the camera's.");
        }
        room = frame.data_size == 0 ? 0 : frame.data_size - luma;
    } else {
        pixels.chroma = static_cast<const std::uint8_t*>(frame.chroma);
    }
    check_plane("UV", rows, pixels.chroma_stride, row, room);
}

}  // namespace

std::size_t row_bytes(std::int32_t format, std::size_t width) {
    switch (format) {
        case EDGE_OVSS_FORMAT_RGB8:
        case EDGE_OVSS_FORMAT_BGR8:
            return 3 * width;
        case EDGE_OVSS_FORMAT_RGBA8:
        case EDGE_OVSS_FORMAT_BGRA8:
            return 4 * width;
        case EDGE_OVSS_FORMAT_GRAY8:
        case EDGE_OVSS_FORMAT_NV12:
            return width;
        case EDGE_OVSS_FORMAT_YUYV:
            return 4 * pairs(width);
        default:
            return 0;
    }
}

std::size_t frame_bytes(std::int32_t format, std::int32_t height, std::int32_t width) {
    if (!is_side(height) || !is_side(width)) {
        return 0;
    }
    const auto rows = static_cast<std::size_t>(height);
    const auto columns = static_cast<std::size_t>(width);
    const std::size_t first = rows * row_bytes(format, columns);
    if (format != EDGE_OVSS_FORMAT_NV12) {
        return first;
    }
    return first + pairs(rows) * 2 * pairs(columns);
}

Pixels check_frame(const edge_ovss_frame& frame) {
    if (frame.data == nullptr) {
        throw usage_error("The frame's 'data' is a null pointer.");
    }
    if (!is_side(frame.height) || !is_side(frame.width)) {
        throw frame_error(text("The frame is ", frame.height, " x ", frame.width,
                               " (height x width); expected 1 to ", EDGE_OVSS_MAX_SIDE, " each."),
                          "Check the camera or the crop.");
    }
    Pixels pixels;
    pixels.data = static_cast<const std::uint8_t*>(frame.data);
    pixels.height = static_cast<std::size_t>(frame.height);
    pixels.width = static_cast<std::size_t>(frame.width);
    pixels.format = frame.format;
    const std::size_t row = row_bytes(frame.format, pixels.width);
    if (row == 0) {
        throw frame_error(
            text("The frame's format is ", frame.format, "; expected one of EDGE_OVSS_FORMAT_..."));
    }
    pixels.stride = frame.stride == 0 ? row : frame.stride;
    check_plane(frame.format == EDGE_OVSS_FORMAT_NV12 ? "Y" : "pixel", pixels.height, pixels.stride,
                row, frame.data_size);
    if (frame.format == EDGE_OVSS_FORMAT_NV12) {
        check_chroma(frame, pixels);
    }
    return pixels;
}

void to_rgb(const Pixels& frame, std::uint8_t* rgb, std::size_t stride) noexcept {
    for (std::size_t y = 0; y < frame.height; ++y) {
        convert_row(frame, y, rgb + y * stride);
    }
}

}  // namespace edge_ovss::internal
