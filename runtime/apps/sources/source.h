// SPDX-License-Identifier: Apache-2.0
// Where frames come from, and what a frame is.
#pragma once

#include <edge_ovss/edge_ovss.hpp>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "address.h"

namespace apps {

// A frame with its memory, which is used again for the next one.
struct Captured {
    std::vector<std::uint8_t> bytes;
    int format = EDGE_OVSS_FORMAT_RGB8;
    int height = 0;
    int width = 0;
    std::size_t stride = 0;  // 0: rows without a gap
    std::chrono::steady_clock::time_point time;
    std::size_t source = 0;  // its number in the run

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

    // Wait for the next frame; false at the end, or if the program is ending. Throws where the
    // device fails, or sends nothing for too long.
    virtual bool read(Captured& captured) = 0;

    // Whether its end is expected, so that it is not opened again: known once it is open.
    virtual bool ends() const = 0;
};

// How a source is read.
struct Reading {
    bool paced = true;        // files come at the pace of a camera, else as fast as can be read
    double timeout_s = 10.0;  // how long opening it, and every frame, may take
    const std::atomic<bool>* ending = nullptr;  // no more frames are wanted

    bool is_over() const { return ending != nullptr && *ending; }
};

// Open a source. Throws with status MISSING where this build lacks what reads it.
std::unique_ptr<Source> open_source(const Address& address, const Reading& reading);

std::unique_ptr<Source> open_v4l2(const Address& address, const Reading& reading);
std::unique_ptr<Source> open_raw(const Address& address, const Reading& reading);
std::unique_ptr<Source> open_pictures(const Address& address, const Reading& reading);

// Recordings one after the other: each is opened when its turn comes.
std::unique_ptr<Source> open_in_turn(const std::vector<Address>& addresses, const Reading& reading);

// Defined where OpenCV is.
std::unique_ptr<Source> open_opencv(const Address& address, const Reading& reading);

// Defined where GStreamer is.
std::unique_ptr<Source> open_gstreamer(const Address& address, const Reading& reading);

}  // namespace apps
