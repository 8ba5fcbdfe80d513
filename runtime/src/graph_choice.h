// SPDX-License-Identifier: Apache-2.0
// Which graph of a bundle runs: the small one while every word has a slot in it, else the first.
// edge_ovss/runtime/graph_choice.py has the same rule.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "backend.h"
#include "bundle.h"

namespace edge_ovss::internal {

class GraphChoice {
public:
    // Loads the graph that the words of `opened` need, which must outlive this.
    GraphChoice(std::string name, const Bundle& opened, Settings settings);

    // The first graph alone, already loaded.
    GraphChoice(const Bundle& opened, std::unique_ptr<Backend> first);

    // A graph that is loaded, and the bundle as it takes it where it is not the first.
    struct Prepared {
        Backend* backend = nullptr;
        std::unique_ptr<const Bundle> own;
    };

    // The backend of the graph that runs frames.
    Backend& running() { return *running_; }

    // Load the graph that the words of `now` need; frames may go on in the other. Not from two
    // threads at once.
    Prepared prepare(const Bundle& now);

    // Go on with words for which `prepare` was called. After an error those before are used.
    void use(const Prepared& prepared, const Bundle& now, const std::vector<float>& thresholds);

private:
    const std::string name_;
    const Settings settings_;
    const Bundle& opened_;
    std::unique_ptr<const Bundle> small_bundle_;  // small_ refers to it
    std::unique_ptr<Backend> first_;
    std::unique_ptr<Backend> small_;
    Backend* running_ = nullptr;
};

}  // namespace edge_ovss::internal
