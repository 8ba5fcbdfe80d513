// SPDX-License-Identifier: Apache-2.0
// Does a bundle still give, on this machine, the answer that its exporter saw?
#pragma once

#include "session.h"

namespace edge_ovss::internal {

// Segment the reference frame and compare. Throws artifact errors where the reference cannot be
// read or the graph fails.
edge_ovss_selftest_report run_selftest(Session& session);

// Whether the bundle may be used on this backend: enough of the labels that count are equal, and
// in FP32, or where no label counts, the same categories are left. Below FP32 a rounding may change
// which of two categories that hardly matter is left.
bool passed(const edge_ovss_selftest_report& report, const Manifest& manifest);

}  // namespace edge_ovss::internal
