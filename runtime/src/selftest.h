// SPDX-License-Identifier: Apache-2.0
// Does a bundle still give, on this machine, the answer that its exporter saw?
#pragma once

#include "session.h"

namespace edge_ovss::internal {

// Segment the reference frame and compare. Throws artifact errors where the reference cannot be
// read or the graph fails.
edge_ovss_selftest_report run_selftest(Session& session);

// Whether the bundle may be used on this backend: enough labels are equal, and in FP32 the same
// categories are left. Below FP32 a rounding may change which of two categories that hardly matter
// is left (edge_ovss/runtime/acceptance.py has the same rule).
bool passed(const edge_ovss_selftest_report& report, const Manifest& manifest);

}  // namespace edge_ovss::internal
