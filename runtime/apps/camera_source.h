// SPDX-License-Identifier: Apache-2.0
// Where frames come from: a V4L2 device, a file of raw frames, or (where built with them) GStreamer
// and OpenCV.
#pragma once

#include <edge_ovss/edge_ovss.hpp>

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "source_address.h"

namespace apps {

// A frame with its memory, which is used again for the next one.
struct Captured {
    std::vector<std::uint8_t> bytes;
    int format = EDGE_OVSS_FORMAT_RGB8;
    int height = 0;
    int width = 0;
    std::size_t stride = 0;  // 0: rows without a gap
    std::chrono::steady_clock::time_point time;

    edge_ovss::Frame frame() const {
        return edge_ovss::Frame(format, bytes.data(), height, width, stride, bytes.size());
    }
};

class Source {
public:
    Source() = default;
    Source(const Source&) = delete;
    Source& operator=(const Source&) = delete;
    virtual ~Source() = default;

    // Wait for the next frame; false at the end. Throws where the device fails.
    virtual bool read(Captured& captured) = 0;
};

// A source in words (`kGrammar`). `height` and `width` are asked of a camera whose address has no
// size. Files come at the pace of a camera if `paced`, else as fast as they can be read.
std::unique_ptr<Source> open_source(const std::string& words, int height, int width, bool paced);

// Defined where OpenCV is.
std::unique_ptr<Source> open_opencv(const std::string& words, bool paced);

// Defined where GStreamer is.
std::unique_ptr<Source> open_gstreamer(const Address& address, bool paced);

}  // namespace apps
