// SPDX-License-Identifier: Apache-2.0
// Says when a camera sends nothing, when it sends again, and when one of several is lost for good.
#pragma once

#include <map>
#include <memory>
#include <set>
#include <vector>

#include "grabber.h"

namespace apps {

class Watchdog {
public:
    Watchdog(double timeout_s, Warn warn) : timeout_s_(timeout_s), warn_(std::move(warn)) {}

    // Look at all sources. Throws if one has not sent its first frame in time.
    void check(const std::vector<std::unique_ptr<Grabber>>& grabbers);

    long stalls() const { return stalls_; }

private:
    void check_next(std::size_t number, const std::string& label, const GrabberState& state);

    double timeout_s_;
    Warn warn_;
    long stalls_ = 0;
    std::map<std::size_t, std::chrono::steady_clock::time_point> silent_since_;
    std::set<std::size_t> ended_;
};

}  // namespace apps
