// SPDX-License-Identifier: Apache-2.0
// Which other files an ONNX file keeps its tensors in, read without a protobuf library.
#pragma once

#include <cstddef>
#include <cstdint>
#include <set>
#include <string>

namespace edge_ovss::internal {

// Walk an ONNX file of `size` bytes; weights are stepped over. Returns the locations as they are
// written in the file. Throws an artifact error that names `file` where it is no ONNX file or a
// truncated one.
std::set<std::string> external_locations(const std::uint8_t* bytes, std::size_t size,
                                         const std::string& file);

}  // namespace edge_ovss::internal
