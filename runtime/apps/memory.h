// SPDX-License-Identifier: Apache-2.0
// Frames that follow each other: labels that do not flicker, some frames without the network.
#pragma once

#include <edge_ovss/edge_ovss_stream.h>

#include <chrono>
#include <edge_ovss/edge_ovss.hpp>

#include "arguments.h"
#include "camera_source.h"

namespace apps {

// What the options ask for; without them, every frame goes to the network and stays as it is.
class Memory {
public:
    explicit Memory(const Arguments& arguments);
    ~Memory();
    Memory(const Memory&) = delete;
    Memory& operator=(const Memory&) = delete;

    // Labels of the next frame into `result`; returns whether the network saw it.
    bool segment(edge_ovss::Segmenter& segmenter, const Captured& captured,
                 edge_ovss::Result& result);

private:
    edge_ovss_stream* stream_ = nullptr;
    std::chrono::steady_clock::time_point start_;
};

}  // namespace apps
