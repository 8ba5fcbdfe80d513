// SPDX-License-Identifier: Apache-2.0
// Reads an embedding pack, a file of anybody's; edge_ovss/vocabulary/embeddings.py describes it.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "manifest.h"
#include "vocabulary.h"

namespace edge_ovss::internal {

struct WordPack {
    Vocabulary vocabulary;
    std::size_t prompts = 0;     // P, templates of the text tower
    std::vector<float> numbers;  // [T, P, D], vectors of unit norm
};

// Read a pack that was made by the text tower of a bundle, with its templates. Throws an input
// error where it was not, or is damaged.
WordPack open_pack(const Manifest& manifest, const std::string& path);

}  // namespace edge_ovss::internal
