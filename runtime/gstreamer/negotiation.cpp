// SPDX-License-Identifier: Apache-2.0
#include "negotiation.h"

#include <gst/video/gstvideometa.h>

#include <string>

#include "errors.h"
#include "formats.h"
#include "pools.h"
#include "state.h"

namespace ovss {

namespace {

GstCaps* transform_caps(GstBaseTransform* transform, GstPadDirection direction, GstCaps* caps,
                        GstCaps* filter) {
    Mode mode = Mode::kOverlay;
    int label_bytes = 0;
    {
        const Lock lock(transform);
        mode = state_of(transform).mode;
        label_bytes = state_of(transform).label_bytes;
    }
    GstCaps* other = other_caps(direction, caps, mode, label_bytes);
    if (filter != nullptr) {
        GstCaps* both = gst_caps_intersect_full(filter, other, GST_CAPS_INTERSECT_FIRST);
        gst_caps_unref(other);
        other = both;
    }
    return other;
}

gboolean set_caps(GstBaseTransform* transform, GstCaps* in, GstCaps* out) {
    State& state = state_of(transform);
    if (gst_video_info_from_caps(&state.frames.in, in) == FALSE ||
        gst_video_info_from_caps(&state.frames.out, out) == FALSE) {
        return FALSE;
    }
    gst_base_transform_set_in_place(transform, state.current.mode == Mode::kMeta ? TRUE : FALSE);
    if (!has_our_colors(state.frames.in)) {
        gchar* given = gst_video_colorimetry_to_string(&state.frames.in.colorimetry);
        post(transform, GST_MESSAGE_WARNING, EDGE_OVSS_ERROR_INPUT,
             std::string("The frames have the colors of ") + (given != nullptr ? given : "?") +
                 "; the library reads YUV as BT.601 of limited range.",
             "For exact colors put videoconvert in front, and RGB between the two.");
        g_free(given);
    }
    // No bundle is open where a new one could not be opened; the next frame tries again.
    const bool done =
        state.labeler == nullptr || guarded(transform, [&] { state.labeler->forget(); });
    return done ? TRUE : FALSE;
}

gboolean get_unit_size(GstBaseTransform*, GstCaps* caps, gsize* size) {
    GstVideoInfo info;
    if (gst_video_info_from_caps(&info, caps) == FALSE) {
        return FALSE;
    }
    *size = info.size;
    return TRUE;
}

// A buffer may be longer than its caps say, where its rows have gaps.
gboolean transform_size(GstBaseTransform* transform, GstPadDirection, GstCaps*, gsize,
                        GstCaps* other, gsize* size) {
    return get_unit_size(transform, other, size);
}

gboolean propose_allocation(GstBaseTransform* transform, GstQuery* decided, GstQuery* asked) {
    if (state_of(transform).current.mode == Mode::kMeta) {
        // Frames pass through: who comes after must be able to take what comes.
        return gst_pad_peer_query(transform->srcpad, asked);
    }
    if (parent_class()->propose_allocation(transform, decided, asked) == FALSE) {
        return FALSE;
    }
    gst_query_add_allocation_meta(asked, GST_VIDEO_META_API_TYPE, nullptr);
    return TRUE;
}

gboolean decide_allocation(GstBaseTransform* transform, GstQuery* asked) {
    if (state_of(transform).current.mode == Mode::kMeta) {
        return parent_class()->decide_allocation(transform, asked);
    }
    if (!offer_pool(asked)) {
        return FALSE;
    }
    return parent_class()->decide_allocation(transform, asked);
}

// With metadata a buffer goes on itself; where others hold it, one that shares its memory does.
GstFlowReturn prepare_output_buffer(GstBaseTransform* transform, GstBuffer* in, GstBuffer** out) {
    if (gst_base_transform_is_in_place(transform) == FALSE) {
        return parent_class()->prepare_output_buffer(transform, in, out);
    }
    if (gst_buffer_is_writable(in) != FALSE) {
        *out = in;
        return GST_FLOW_OK;
    }
    *out = gst_buffer_copy(in);
    gst_buffer_add_parent_buffer_meta(*out, in);  // its pool gets it back after this one
    return GST_FLOW_OK;
}

}  // namespace

void install_negotiation(GstBaseTransformClass* klass) {
    klass->transform_caps = transform_caps;
    klass->set_caps = set_caps;
    klass->get_unit_size = get_unit_size;
    klass->transform_size = transform_size;
    klass->propose_allocation = propose_allocation;
    klass->decide_allocation = decide_allocation;
    klass->prepare_output_buffer = prepare_output_buffer;
}

}  // namespace ovss
