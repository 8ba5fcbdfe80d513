// SPDX-License-Identifier: Apache-2.0
// How long a frame takes, as the latency query tells it to live pipelines.
#pragma once

#include <gst/gst.h>

#include <algorithm>
#include <array>
#include <cstddef>

namespace ovss {

// The slowest of the last frames and a quarter more. It moves only where it is too small, or more
// than twice too large: every move makes the whole pipeline ask again.
class LatencyEstimate {
public:
    // Count one frame; returns whether the estimate moved.
    bool add(GstClockTime took) {
        recent_[next_] = took;
        next_ = (next_ + 1) % recent_.size();
        const GstClockTime slowest = *std::max_element(recent_.begin(), recent_.end());
        if (slowest <= told_ && told_ <= 2 * (slowest + slowest / 4)) {
            return false;
        }
        told_ = slowest + slowest / 4;
        return true;
    }

    GstClockTime told() const { return told_; }

private:
    std::array<GstClockTime, 30> recent_{};
    std::size_t next_ = 0;
    GstClockTime told_ = 0;
};

}  // namespace ovss
