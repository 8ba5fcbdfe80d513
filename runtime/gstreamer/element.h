// SPDX-License-Identifier: Apache-2.0
// The element "edgeovss": frames in; overlays, label maps or frames with metadata out.
#pragma once

#include <gst/base/gstbasetransform.h>
#include <gst/gst.h>

G_BEGIN_DECLS

#define EDGE_OVSS_TYPE_ELEMENT (edge_ovss_get_type())
G_DECLARE_FINAL_TYPE(EdgeOvss, edge_ovss, EDGE_OVSS, ELEMENT, GstBaseTransform)

G_END_DECLS
