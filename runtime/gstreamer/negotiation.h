// SPDX-License-Identifier: Apache-2.0
// Which frames come in and go out, and in whose memory.
#pragma once

#include <gst/base/gstbasetransform.h>

namespace ovss {

// The functions of the element's class that GStreamer asks.
void install_negotiation(GstBaseTransformClass* klass);

}  // namespace ovss
