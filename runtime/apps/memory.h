// SPDX-License-Identifier: Apache-2.0
// Frames that follow each other: labels that do not flicker, some frames without the network.
#pragma once

#include <edge_ovss/edge_ovss_stream.h>

#include <chrono>
#include <condition_variable>
#include <edge_ovss/edge_ovss.hpp>
#include <exception>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "arguments.h"
#include "sources/source.h"

namespace apps {

// The network in its own thread: one frame at a time, and the answer when it is there.
class Background {
public:
    explicit Background(edge_ovss::Segmenter& segmenter);
    ~Background();
    Background(const Background&) = delete;
    Background& operator=(const Background&) = delete;

    // Begin with a copy of a frame; there must be none under way.
    void begin(const Captured& captured);
    // Whether the answer is there; throws what the network threw.
    bool ready();
    // Wait until nothing is under way; an answer that comes is dropped.
    void drop();
    const edge_ovss::Result& answer() const { return result_; }
    bool busy() const { return busy_; }
    // The last answer is taken.
    void taken() { busy_ = false; }

private:
    void work();

    edge_ovss::Segmenter& segmenter_;
    std::mutex mutex_;
    std::condition_variable changed_;
    Captured captured_;
    edge_ovss::Result result_;
    std::exception_ptr failure_;
    bool busy_ = false;   // of the caller: a frame is under way, or its answer not taken
    bool given_ = false;  // to the thread: a frame to look at
    bool ending_ = false;
    std::thread thread_;  // last: it uses the others
};

// What the options ask for; without them, every frame goes to the network and stays as it is. In
// builds with OpenCV, a camera's network runs in its own thread unless they say otherwise; that of
// images, which do not follow each other (`are_frames` false), does not.
class Memory {
public:
    Memory(const Arguments& arguments, edge_ovss::Segmenter& segmenter, bool are_frames = true);
    ~Memory();
    Memory(const Memory&) = delete;
    Memory& operator=(const Memory&) = delete;

    // Labels of the next frame into `result`; returns whether an answer of the network came in. If
    // so, `result.c` is that of the answer, which may be to an earlier frame.
    bool segment(const Captured& captured, edge_ovss::Result& result);

private:
    bool answer_late(const Captured& captured, edge_ovss::Result& result);

    edge_ovss::Segmenter& segmenter_;
    edge_ovss_stream* stream_ = nullptr;
    std::unique_ptr<Background> background_;
    std::chrono::steady_clock::time_point start_;
};

}  // namespace apps
