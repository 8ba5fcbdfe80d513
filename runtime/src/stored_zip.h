// SPDX-License-Identifier: Apache-2.0
// Reads the entries of a ZIP archive that are stored as they are, without compression.
#pragma once

#include <string>

namespace edge_ovss::internal {

// The bytes of entry `name` of `archive`, the whole file. Offsets, sizes and the checksum are
// checked. Throws an artifact error where the archive is damaged, has no such entry, or packed it.
std::string stored_entry(const std::string& archive, const std::string& name);

}  // namespace edge_ovss::internal
