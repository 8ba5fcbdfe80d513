// SPDX-License-Identifier: Apache-2.0
// The plugin "edge_ovss".
#include <edge_ovss/edge_ovss.h>

#include "element.h"

namespace {

gboolean init(GstPlugin* plugin) {
    return gst_element_register(plugin, "edgeovss", GST_RANK_NONE, EDGE_OVSS_TYPE_ELEMENT);
}

}  // namespace

GST_PLUGIN_DEFINE(GST_VERSION_MAJOR, GST_VERSION_MINOR, edge_ovss,
                  "Open-vocabulary segmentation with a frozen vocabulary", init,
                  EDGE_OVSS_PLUGIN_VERSION, "Apache 2.0", "edge-ovss",
                  "https://github.com/edge-ovss/edge-ovss")
