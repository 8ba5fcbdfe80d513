// SPDX-License-Identifier: Apache-2.0
// How much memory a graph takes before it has seen a frame, from what the ONNX file declares.
//
// A runtime computes what depends on constants alone when it loads a graph, so a few bytes such as
// `ConstantOfShape` of 2^40 elements could take all memory. What depends on the frame is not
// judged. edge_ovss/bundle/onnx_reader/sizes.py has the same rules.
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "onnx_file.h"

namespace edge_ovss::internal {

// Throws an artifact error where a graph declares more than is in its files, or would make it when
// it is loaded. `files` is bytes by location of the files that hold its tensors.
void check_sizes(const OnnxFile& graph, const std::string& name,
                 const std::map<std::string, std::uint64_t>& files);

}  // namespace edge_ovss::internal
