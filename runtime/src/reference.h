// SPDX-License-Identifier: Apache-2.0
// The reference answer of a bundle: edge_ovss/bundle/reference.py and npy.py have the same rules.
#pragma once

#include <cstdint>

#include "bundle.h"

namespace edge_ovss::internal {

constexpr std::uintmax_t kReferenceLimit = std::uintmax_t{64} << 20;

// Compare the reference answer with the manifest and with itself. Throws an artifact error where
// it is no answer that the bundle could give.
void check_reference(const std::filesystem::path& folder, const Manifest& manifest);

}  // namespace edge_ovss::internal
