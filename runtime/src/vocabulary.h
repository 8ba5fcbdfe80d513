// SPDX-License-Identifier: Apache-2.0
// The words of a bundle: output names, their colors, and how many categories there are.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace edge_ovss::internal {

struct Vocabulary {
    std::vector<std::string> names;                    // K
    std::vector<std::array<std::uint8_t, 3>> palette;  // K, red green blue
    std::string name;
    std::size_t categories = 0;             // T
    std::vector<std::string> texts;         // T, the published names
    std::vector<std::int64_t> output_map;   // T, the output of every category
    std::string sha256;                     // of words, synonyms, outputs, background
    std::optional<std::size_t> background;  // the output that means "none of the words"
};

// Read the bytes of a bundle's vocabulary file. Throws an artifact error that names `file`.
Vocabulary read_vocabulary(const std::string& bytes, const std::string& file);

}  // namespace edge_ovss::internal
