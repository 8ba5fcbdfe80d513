// SPDX-License-Identifier: Apache-2.0
// A bundle, and what follows its labels from frame to frame. Knows nothing of GStreamer.
#pragma once

#include <edge_ovss/edge_ovss_stream.h>

#include <edge_ovss/edge_ovss.hpp>
#include <string>
#include <vector>

#include "../apps/overlay.h"
#include "settings.h"

namespace ovss {

class Labeler {
public:
    // Opens the bundle; throws edge_ovss::Error.
    explicit Labeler(const Settings& settings);
    ~Labeler();
    Labeler(const Labeler&) = delete;
    Labeler& operator=(const Labeler&) = delete;

    // Take what may change while frames come. Throws edge_ovss::Error; what was set before the
    // mistake stays.
    void change(const Settings& settings);

    // Labels of the next frame. `time_s`: when it was taken, below 0 if that is not known. Returns
    // whether the network saw it; otherwise the times in `result().c` are 0.
    bool segment(const edge_ovss::Frame& frame, double time_s);

    // The next frame does not follow the one before.
    void forget();

    const edge_ovss::Result& result() const { return result_; }
    const edge_ovss_info& info() const { return info_; }
    const std::string& path() const { return settings_.bundle; }
    const std::vector<std::string>& names() const { return names_; }
    const apps::Palette& palette() const { return palette_; }
    // Whether labels are followed, but stay where they are: the library has no flow.
    bool stands_still() const { return stands_still_; }

private:
    void open_stream(const Settings& settings);
    void close_stream();
    void run(const edge_ovss::Frame& frame);

    edge_ovss::Segmenter segmenter_;
    edge_ovss_info info_;
    std::vector<std::string> names_;
    apps::Palette palette_;
    Settings settings_;
    edge_ovss::Result result_;
    edge_ovss_stream* stream_ = nullptr;
    bool stands_still_ = false;
    double last_s_ = -1.0;
};

}  // namespace ovss
