// SPDX-License-Identifier: Apache-2.0
// Buffers for what comes out.
#pragma once

#include <gst/gst.h>

namespace ovss {

// Put a pool of video buffers into an allocation query: the one that downstream offers or a new
// one, with rows of any length where downstream understands them. False if the query has no video
// caps.
bool offer_pool(GstQuery* query);

}  // namespace ovss
