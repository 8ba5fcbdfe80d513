// SPDX-License-Identifier: Apache-2.0
// Which operators the graph of a bundle may have: the list of
// edge_ovss/bundle/onnx_reader/operators.py.
#pragma once

#include <string>

namespace edge_ovss::internal {

// Whether a graph may have this operator ("domain::Name" outside of the default domain). `dynamic`
// is whether its rejection is.
bool may_have(const std::string& op, bool dynamic);

}  // namespace edge_ovss::internal
