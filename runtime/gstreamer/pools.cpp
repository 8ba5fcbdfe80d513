// SPDX-License-Identifier: Apache-2.0
#include "pools.h"

#include <gst/video/gstvideometa.h>
#include <gst/video/gstvideopool.h>
#include <gst/video/video.h>

#include <algorithm>

namespace ovss {

bool offer_pool(GstQuery* query) {
    GstCaps* caps = nullptr;
    gst_query_parse_allocation(query, &caps, nullptr);
    GstVideoInfo info;
    if (caps == nullptr || gst_video_info_from_caps(&info, caps) == FALSE) {
        return false;
    }
    GstBufferPool* pool = nullptr;
    guint size = 0;
    guint least = 0;
    guint most = 0;
    const bool is_given = gst_query_get_n_allocation_pools(query) > 0;
    if (is_given) {
        gst_query_parse_nth_allocation_pool(query, 0, &pool, &size, &least, &most);
    }
    if (pool == nullptr) {
        pool = gst_video_buffer_pool_new();
    }
    size = std::max(size, static_cast<guint>(info.size));
    GstStructure* config = gst_buffer_pool_get_config(pool);
    gst_buffer_pool_config_set_params(config, caps, size, least, most);
    if (gst_query_find_allocation_meta(query, GST_VIDEO_META_API_TYPE, nullptr) != FALSE) {
        gst_buffer_pool_config_add_option(config, GST_BUFFER_POOL_OPTION_VIDEO_META);
    }
    gst_buffer_pool_set_config(pool, config);
    if (is_given) {
        gst_query_set_nth_allocation_pool(query, 0, pool, size, least, most);
    } else {
        gst_query_add_allocation_pool(query, pool, size, least, most);
    }
    gst_object_unref(pool);
    return true;
}

}  // namespace ovss
