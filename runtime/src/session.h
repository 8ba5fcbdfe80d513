// SPDX-License-Identifier: Apache-2.0
// A bundle on a backend: frames in, label maps out.
#pragma once

#include <edge_ovss/edge_ovss.h>

#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "backend.h"
#include "bundle.h"

namespace edge_ovss::internal {

// Every function may be called from any thread; frames wait for each other.
class Session {
public:
    // Opens the bundle and the backend.
    Session(const std::string& path, const Settings& settings, bool hashes);

    // With a backend that is made already; for tests.
    Session(Bundle bundle, std::unique_ptr<Backend> backend);

    const Bundle& bundle() const { return bundle_; }
    edge_ovss_info info() const;

    // Throws for what is wrong with the frame, the result or the answer; allocates nothing of its
    // own where the frame has the size of the last one.
    void segment(const edge_ovss_frame& frame, edge_ovss_result& result);

    // Thresholds of "unknown", one for each output, from the next frame on; empty where the graph
    // takes none.
    void use_thresholds(std::vector<float> thresholds);
    std::vector<float> thresholds();

private:
    Bundle bundle_;
    std::string backend_name_;
    std::unique_ptr<Backend> backend_;
    std::mutex mutex_;
    std::vector<float> thresholds_;
};

}  // namespace edge_ovss::internal
