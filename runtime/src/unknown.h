// SPDX-License-Identifier: Apache-2.0
// When a label is "unknown": thresholds by output. edge_ovss/bundle/unknown.py has the same rules.
#pragma once

#include <string>
#include <vector>

#include "bundle.h"

namespace edge_ovss::internal {

// The label that stands for unknown: 255, or 65535 in uint16.
std::size_t unknown_label(const Manifest& manifest);

// Check thresholds that a program gives: one for all outputs, or one for each. Throws a usage error
// where the graph takes none, their number is wrong, or one is outside the measure's range.
std::vector<float> checked_thresholds(const Bundle& bundle, const std::vector<double>& given);

// What the words of an option stand for: "off", "auto", a number, or the path of a file that
// `edge-ovss eval --tune-unknown` wrote. `by_output` is set where that gives one for every output.
// Throws a usage error, and an input error for the file.
std::vector<float> thresholds_of(const Bundle& bundle, const std::string& words,
                                 bool* by_output = nullptr);

}  // namespace edge_ovss::internal
