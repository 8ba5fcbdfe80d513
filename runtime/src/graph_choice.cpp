// SPDX-License-Identifier: Apache-2.0
#include "graph_choice.h"

#include <utility>

namespace edge_ovss::internal {

namespace {

// The bundle with its small graph, if its words fit there; else null.
std::unique_ptr<const Bundle> as_small(const Bundle& bundle) {
    if (!bundle.manifest.fits_small()) {
        return nullptr;
    }
    Bundle small = bundle;
    small.manifest = bundle.manifest.with_graph(*bundle.manifest.small);
    return std::make_unique<const Bundle>(std::move(small));
}

}  // namespace

GraphChoice::GraphChoice(std::string name, const Bundle& opened, Settings settings)
    : name_(std::move(name)), settings_(std::move(settings)), opened_(opened) {
    running_ = prepare(opened).backend;
}

GraphChoice::GraphChoice(const Bundle& opened, std::unique_ptr<Backend> first)
    : opened_(opened), first_(std::move(first)), running_(first_.get()) {}

GraphChoice::Prepared GraphChoice::prepare(const Bundle& now) {
    auto own = chooses_graph(name_) ? as_small(now) : nullptr;
    if (own == nullptr) {
        if (first_ == nullptr) {
            first_ = create_backend(name_, opened_, settings_);
        }
        return {first_.get(), nullptr};
    }
    if (small_ == nullptr) {
        auto kept = std::make_unique<const Bundle>(*own);
        small_ = create_backend(name_, *kept, settings_);
        small_bundle_ = std::move(kept);
    }
    return {small_.get(), std::move(own)};
}

void GraphChoice::use(const Prepared& prepared, const Bundle& now,
                      const std::vector<float>& thresholds) {
    prepared.backend->use_words(prepared.own ? *prepared.own : now);
    if (!thresholds.empty()) {
        prepared.backend->use_thresholds(thresholds);
    }
    running_ = prepared.backend;
}

}  // namespace edge_ovss::internal
