// SPDX-License-Identifier: Apache-2.0
// A video file in the uncompressed format YUV4MPEG2, which players and encoders read:
//
//     ovss-camera city.ovss /dev/video0 --out - | mpv -
//     ovss-camera city.ovss /dev/video0 --out - | ffmpeg -i - city.mp4
#pragma once

#include <cstdint>
#include <cstdio>
#include <string>
#include <vector>

namespace apps {

class VideoFile {
public:
    // "-" is stdout. Throws where it cannot be opened.
    VideoFile(const std::string& path, int fps);
    ~VideoFile();
    VideoFile(const VideoFile&) = delete;
    VideoFile& operator=(const VideoFile&) = delete;

    // Write RGB8 without gaps. The first frame decides on the size; throws for another one, and
    // where the file cannot be written.
    void write(const std::uint8_t* rgb, int height, int width);

    // Write what waits in memory. Throws where that fails; nothing can be written after it.
    void close();

private:
    void put(const void* bytes, std::size_t count);
    [[noreturn]] void fail() const;

    std::string path_;
    std::FILE* file_;
    int fps_;
    int height_ = 0;
    int width_ = 0;
    std::vector<std::uint8_t> planes_;
};

}  // namespace apps
