// SPDX-License-Identifier: Apache-2.0
// Decides what the words on the command line are, by the rules of
// edge_ovss/frames/source_kinds.py. tests/data/source_kinds.json holds both to them.
#pragma once

#include <string>
#include <vector>

#include "address.h"

namespace apps {

// What Python's SourceKind tells apart, by its names.
std::string source_kind(const std::string& words);

// What the sources on a command line are, with patterns such as 'day*.mp4' replaced by what
// matches. Throws where one does not exist or is not read by these programs, and where cameras are
// mixed with recordings or given twice.
std::vector<Address> find_sources(const std::vector<std::string>& given);

}  // namespace apps
