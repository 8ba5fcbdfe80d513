// SPDX-License-Identifier: Apache-2.0
// The words of an open bundle as its graph takes them.
#pragma once

#include <cstdint>
#include <vector>

#include "bundle.h"

namespace edge_ovss::internal {

constexpr const char* kText = "text";  // the inputs of an open graph
constexpr const char* kPlaces = "places";

struct WordInputs {
    std::vector<float> text;    // [rows, P, D]
    std::vector<float> places;  // [rows], the output of each word, -1 where the place is empty
};

// The words, and behind them empty places up to `rows`, which must not be fewer than the words.
WordInputs word_inputs(const Bundle& bundle, std::int64_t rows);

}  // namespace edge_ovss::internal
