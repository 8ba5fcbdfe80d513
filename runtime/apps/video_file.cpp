// SPDX-License-Identifier: Apache-2.0
#include "video_file.h"

#include <cerrno>
#include <cstring>
#include <utility>

#include "arguments.h"

namespace apps {

VideoFile::VideoFile(const std::string& path, int fps)
    : path_(path), file_(path == "-" ? stdout : std::fopen(path.c_str(), "wb")), fps_(fps) {
    if (file_ == nullptr) {
        throw bad_input("'" + path + "' cannot be opened: " + std::strerror(errno) + ".");
    }
}

VideoFile::~VideoFile() {
    if (file_ != nullptr && file_ != stdout) {
        std::fclose(file_);
    }
}

void VideoFile::close() {
    if (file_ == nullptr) {
        return;
    }
    std::FILE* const file = std::exchange(file_, nullptr);
    const int status = file == stdout ? std::fflush(file) : std::fclose(file);
    if (status != 0) {
        fail();
    }
}

void VideoFile::write(const std::uint8_t* rgb, int height, int width) {
    const auto pixels = static_cast<std::size_t>(height) * static_cast<std::size_t>(width);
    if (height_ == 0) {
        height_ = height;
        width_ = width;
        planes_.resize(3 * pixels);
        const std::string header = "YUV4MPEG2 W" + std::to_string(width) + " H" +
                                   std::to_string(height) + " F" + std::to_string(fps_) +
                                   ":1 Ip A1:1 C444\n";
        put(header.data(), header.size());
    }
    if (height != height_ || width != width_) {
        throw bad_input("The frames changed their size; a video file cannot.");
    }
    std::uint8_t* const luma = planes_.data();
    for (std::size_t i = 0; i < pixels; ++i, rgb += 3) {
        // BT.601, limited range: the inverse of what edge_ovss.h says of NV12 and YUYV.
        const int r = rgb[0];
        const int g = rgb[1];
        const int b = rgb[2];
        luma[i] = static_cast<std::uint8_t>(((66 * r + 129 * g + 25 * b + 128) >> 8) + 16);
        luma[pixels + i] =
            static_cast<std::uint8_t>(((-38 * r - 74 * g + 112 * b + 128) >> 8) + 128);
        luma[2 * pixels + i] =
            static_cast<std::uint8_t>(((112 * r - 94 * g - 18 * b + 128) >> 8) + 128);
    }
    put("FRAME\n", 6);
    put(planes_.data(), planes_.size());
}

void VideoFile::put(const void* bytes, std::size_t count) {
    if (std::fwrite(bytes, 1, count, file_) != count) {
        fail();
    }
}

void VideoFile::fail() const {
    const bool is_full = errno == ENOSPC || errno == EDQUOT;
    throw edge_ovss::Error(EDGE_OVSS_ERROR_INPUT,
                           "'" + path_ + "' cannot be written: " + std::strerror(errno) + ".",
                           is_full ? "Free space on the disk. What was written before can be "
                                     "played."
                                   : "Check the folder and its permissions.");
}

}  // namespace apps
