// SPDX-License-Identifier: Apache-2.0
// Other words for an open bundle. edge_ovss/words/encoding.py has the same rules.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "bundle.h"

namespace edge_ovss::internal {

// Words, and their embeddings as the graph of a bundle takes them.
struct Words {
    Vocabulary vocabulary;
    std::vector<float> text;  // [T, P, D]
};

// Read an embedding pack (`edge-ovss vocab encode`). Throws a usage error where the bundle is not
// open or has fewer places, and an input error where the pack is damaged, was made with another
// text tower or other templates, or holds no words or words twice.
Words read_pack(const Bundle& bundle, const std::string& path);

// The same from a vocabulary (as a bundle stores it) and `count` numbers, [T, P, D].
Words take_words(const Bundle& bundle, const std::string& vocabulary, const float* text,
                 std::size_t count);

// The bundle with other words; thresholds go with the names of the outputs.
Bundle with_words(const Bundle& bundle, Words words);

// The thresholds of "unknown" of `old` for the outputs of `now`. `by_output`: they were given for
// every output, so that those of other names take the default; else all have the same.
std::vector<float> thresholds_for(const Bundle& old, const std::vector<float>& thresholds,
                                  bool by_output, const Bundle& now);

}  // namespace edge_ovss::internal
