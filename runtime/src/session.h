// SPDX-License-Identifier: Apache-2.0
// A bundle on a backend: frames in, label maps out.
#pragma once

#include <edge_ovss/edge_ovss.h>

#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include "backend.h"
#include "bundle.h"
#include "graph_choice.h"
#include "words.h"

namespace edge_ovss::internal {

// Every function may be called from any thread; frames wait for each other.
class Session {
public:
    // Opens the bundle and the backend.
    Session(const std::string& path, const Settings& settings, bool hashes);

    // With a backend that is made already; for tests.
    Session(Bundle bundle, std::unique_ptr<Backend> backend);

    // With the words that hold now.
    std::shared_ptr<const Bundle> bundle() const;
    edge_ovss_info info();

    // The same text, which stays as long as the session does.
    const char* keep(const std::string& name);

    // Throws for what is wrong with the frame, the result or the answer; allocates nothing of its
    // own where the frame has the size of the last one.
    void segment(const edge_ovss_frame& frame, edge_ovss_result& result);

    // Thresholds of "unknown", one for each output, from the next frame on; empty where the graph
    // takes none.
    // `by_output`: they were given for every output, not one for all.
    void use_thresholds(std::vector<float> thresholds, bool by_output);
    std::vector<float> thresholds();

    // Other words for an open bundle, from the next frame on; the thresholds go with the names.
    // After an error everything is as before.
    void use_words(Words words);

    // Whether the words are those of the bundle on the disk, whose reference answer is known.
    bool has_opened_words() const { return bundle() == opened_; }

private:
    const std::shared_ptr<const Bundle> opened_;
    const std::string backend_name_;
    std::mutex words_mutex_;  // words change: a graph may be loaded for them while frames go on
    std::mutex mutex_;        // a frame runs, or words or thresholds change
    GraphChoice graphs_;      // refers to opened_
    std::vector<float> thresholds_;
    bool by_output_ = false;
    mutable std::mutex now_mutex_;  // never held for long: who asks for names need not wait
    std::shared_ptr<const Bundle> now_;
    std::set<std::string> names_;
};

}  // namespace edge_ovss::internal
