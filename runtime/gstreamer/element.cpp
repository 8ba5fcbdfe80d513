// SPDX-License-Identifier: Apache-2.0
#include "element.h"

#include <initializer_list>
#include <memory>

#include "errors.h"
#include "formats.h"
#include "messages.h"
#include "negotiation.h"
#include "properties.h"
#include "state.h"

GST_DEBUG_CATEGORY_STATIC(edge_ovss_debug);
#define GST_CAT_DEFAULT edge_ovss_debug

namespace {

using ovss::guarded;
using ovss::Labeler;
using ovss::Lock;
using ovss::parent_class;
using ovss::post;
using ovss::Settings;
using ovss::State;
using ovss::state_of;

}  // namespace

struct _EdgeOvss {
    GstBaseTransform parent;
    State* state;
};

G_DEFINE_TYPE(EdgeOvss, edge_ovss, GST_TYPE_BASE_TRANSFORM)

namespace ovss {

State& state_of(gpointer element) {
    return *EDGE_OVSS_ELEMENT(element)->state;
}

GstBaseTransformClass* parent_class() {
    return GST_BASE_TRANSFORM_CLASS(edge_ovss_parent_class);
}

}  // namespace ovss

namespace {

// ---- Settings --------------------------------------------------------------------------------

void tell_bundle(gpointer element, const State& state) {
    if (state.current.message) {
        GstStructure* structure = ovss::bundle_structure(*state.labeler);
        gst_element_post_message(GST_ELEMENT(element),
                                 gst_message_new_element(GST_OBJECT(element), structure));
    }
}

void tell_of_standing_still(gpointer element, const State& state, bool before) {
    if (state.labeler->stands_still() && !before) {
        post(element, GST_MESSAGE_WARNING, EDGE_OVSS_ERROR_MISSING,
             "Labels are held where they are and do not move with the image: this build of the "
             "library has no optical flow.",
             "Build it with EDGE_OVSS_WITH_OPENCV, or use stabilize and keyframe where the camera "
             "stands still.");
    }
}

void take_settings(gpointer element, State& state, const Settings& next) {
    const bool is_open = state.labeler != nullptr && next.opens_as(state.current);
    const bool stood_still = is_open && state.labeler->stands_still();
    if (is_open) {
        state.labeler->change(next);
    } else {
        state.labeler.reset();  // first, as there may not be enough memory for two
        state.labeler = std::make_unique<Labeler>(next);
    }
    state.current = next;
    if (!is_open) {
        tell_bundle(element, state);
    }
    tell_of_standing_still(element, state, stood_still);
}

// Before a frame: what was set since the last one. False after an error message.
bool apply_settings(gpointer element) {
    State& state = state_of(element);
    Settings next;
    {
        const Lock lock(element);
        if (!state.is_changed) {
            return true;
        }
        next = state.wanted;
        state.is_changed = false;
    }
    bool renegotiates = false;
    const bool done = guarded(element, [&] {
        take_settings(element, state, next);
        const int label_bytes = state.labeler->info().label_bytes;
        const Lock lock(element);
        renegotiates = state.mode != next.mode || state.label_bytes != label_bytes;
        state.mode = next.mode;
        state.label_bytes = label_bytes;
    });
    if (!done) {
        const Lock lock(element);
        state.is_changed = true;  // try again, should more frames come
    } else if (renegotiates) {
        gst_base_transform_reconfigure_src(GST_BASE_TRANSFORM(element));
    }
    return done;
}

void set_property(GObject* object, guint number, const GValue* value, GParamSpec* spec) {
    State& state = state_of(object);
    const Lock lock(object);
    if (!ovss::set_property(state.wanted, number, value)) {
        G_OBJECT_WARN_INVALID_PROPERTY_ID(object, number, spec);
    }
    state.is_changed = true;
    if (state.label_bytes == 0) {
        state.mode = state.wanted.mode;  // nothing is negotiated yet
    }
}

void get_property(GObject* object, guint number, GValue* value, GParamSpec* spec) {
    const Lock lock(object);
    if (!ovss::get_property(state_of(object).wanted, number, value)) {
        G_OBJECT_WARN_INVALID_PROPERTY_ID(object, number, spec);
    }
}

// ---- States ----------------------------------------------------------------------------------

gboolean start(GstBaseTransform* transform) {
    {
        const Lock lock(transform);
        state_of(transform).is_changed = true;
    }
    return apply_settings(transform) ? TRUE : FALSE;
}

gboolean stop(GstBaseTransform* transform) {
    State& state = state_of(transform);
    state.labeler.reset();
    state.frames = {};
    state.count = 0;
    state.last_message = GST_CLOCK_TIME_NONE;
    const Lock lock(transform);
    state.label_bytes = 0;
    state.mode = state.wanted.mode;
    state.latency = {};
    return TRUE;
}

gboolean sink_event(GstBaseTransform* transform, GstEvent* event) {
    const GstEventType type = GST_EVENT_TYPE(event);
    State& state = state_of(transform);
    if (state.labeler != nullptr && (type == GST_EVENT_FLUSH_STOP || type == GST_EVENT_SEGMENT ||
                                     type == GST_EVENT_STREAM_START)) {
        guarded(transform, [&] { state.labeler->forget(); });
    }
    return parent_class()->sink_event(transform, event);
}

gboolean answer_latency(GstBaseTransform* transform, GstQuery* query) {
    if (gst_pad_peer_query(transform->sinkpad, query) == FALSE) {
        return FALSE;
    }
    gboolean is_live = FALSE;
    GstClockTime least = 0;
    GstClockTime most = GST_CLOCK_TIME_NONE;
    gst_query_parse_latency(query, &is_live, &least, &most);
    GstClockTime own = 0;
    {
        const Lock lock(transform);
        own = state_of(transform).latency.told();
    }
    gst_query_set_latency(query, is_live, least + own,
                          GST_CLOCK_TIME_IS_VALID(most) ? most + own : most);
    return TRUE;
}

// The base class prefers what need not be converted: with mode=labels, gray. Who may choose shall
// give color.
gboolean answer_caps(GstBaseTransform* transform, GstQuery* query) {
    if (parent_class()->query(transform, GST_PAD_SINK, query) == FALSE) {
        return FALSE;
    }
    GstCaps* caps = nullptr;
    gst_query_parse_caps_result(query, &caps);
    if (caps != nullptr && gst_caps_is_any(caps) == FALSE) {
        GstCaps* ordered = ovss::gray_last(caps);
        gst_query_set_caps_result(query, ordered);
        gst_caps_unref(ordered);
    }
    return TRUE;
}

gboolean query(GstBaseTransform* transform, GstPadDirection direction, GstQuery* asked) {
    if (direction == GST_PAD_SRC && GST_QUERY_TYPE(asked) == GST_QUERY_LATENCY) {
        return answer_latency(transform, asked);
    }
    if (direction == GST_PAD_SINK && GST_QUERY_TYPE(asked) == GST_QUERY_CAPS) {
        return answer_caps(transform, asked);
    }
    return parent_class()->query(transform, direction, asked);
}

// ---- Frames ----------------------------------------------------------------------------------

bool wants_message(const State& state, GstClockTime now) {
    return state.current.message && (!GST_CLOCK_TIME_IS_VALID(state.last_message) ||
                                     now - state.last_message >= state.current.message_interval_ns);
}

void tell_frame(GstBaseTransform* transform, State& state, const ovss::Facts& facts,
                GstClockTime now) {
    if (!wants_message(state, now)) {
        return;
    }
    state.last_message = now;
    GstStructure* structure = ovss::frame_structure(*state.labeler, facts);
    gst_element_post_message(GST_ELEMENT(transform),
                             gst_message_new_element(GST_OBJECT(transform), structure));
}

void tell_latency(GstBaseTransform* transform, GstClockTime took) {
    bool moved = false;
    {
        const Lock lock(transform);
        moved = state_of(transform).latency.add(took);
    }
    if (moved) {
        gst_element_post_message(GST_ELEMENT(transform),
                                 gst_message_new_latency(GST_OBJECT(transform)));
    }
}

GstFlowReturn run(GstBaseTransform* transform, GstBuffer* in, GstBuffer* out) {
    State& state = state_of(transform);
    const bool done = guarded(transform, [&] {
        const GstClockTime start = gst_util_get_timestamp();
        const bool is_key = state.frames.segment(*state.labeler, state.current, in, out);
        const GstClockTime end = gst_util_get_timestamp();
        const GstClockTime running =
            gst_segment_to_running_time(&transform->segment, GST_FORMAT_TIME, GST_BUFFER_PTS(in));
        const ovss::Facts facts{state.count++, GST_BUFFER_PTS(in), running,
                                static_cast<double>(end - start) / 1e6, is_key};
        if (out == nullptr) {
            ovss::attach_labels(in, *state.labeler, facts);
        }
        tell_frame(transform, state, facts, end);
        tell_latency(transform, gst_util_get_timestamp() - start);
    });
    return done ? GST_FLOW_OK : GST_FLOW_ERROR;
}

GstFlowReturn transform_ip(GstBaseTransform* transform, GstBuffer* buffer) {
    return run(transform, buffer, nullptr);
}

GstFlowReturn submit_input_buffer(GstBaseTransform* transform, gboolean is_discont,
                                  GstBuffer* buffer) {
    if (!apply_settings(transform)) {
        gst_buffer_unref(buffer);
        return GST_FLOW_ERROR;
    }
    return parent_class()->submit_input_buffer(transform, is_discont, buffer);
}

void finalize(GObject* object) {
    delete EDGE_OVSS_ELEMENT(object)->state;
    G_OBJECT_CLASS(edge_ovss_parent_class)->finalize(object);
}

void add_pad(GstElementClass* klass, const char* name, GstPadDirection direction,
             std::initializer_list<const char*> formats) {
    GstCaps* caps = ovss::caps_of(formats);
    gst_element_class_add_pad_template(klass,
                                       gst_pad_template_new(name, direction, GST_PAD_ALWAYS, caps));
    gst_caps_unref(caps);
}

}  // namespace

static void edge_ovss_class_init(EdgeOvssClass* klass) {
    auto* object = G_OBJECT_CLASS(klass);
    auto* base = GST_BASE_TRANSFORM_CLASS(klass);
    GST_DEBUG_CATEGORY_INIT(edge_ovss_debug, "edgeovss", 0, "edge-ovss");
    object->set_property = set_property;
    object->get_property = get_property;
    object->finalize = finalize;
    ovss::install_properties(object);
    ovss::register_meta();
    gst_element_class_set_static_metadata(
        GST_ELEMENT_CLASS(klass), "Open-vocabulary segmentation", "Filter/Analyzer/Video",
        "Segments frames with the frozen vocabulary of a bundle: overlays, label maps or metadata",
        "edge-ovss");
    add_pad(GST_ELEMENT_CLASS(klass), "sink", GST_PAD_SINK, {ovss::kColored, ovss::kGray});
    add_pad(GST_ELEMENT_CLASS(klass), "src", GST_PAD_SRC,
            {ovss::kColored, ovss::kGray, ovss::kWide});
    base->start = start;
    base->stop = stop;
    base->sink_event = sink_event;
    base->query = query;
    ovss::install_negotiation(base);
    base->submit_input_buffer = submit_input_buffer;
    base->transform = run;
    base->transform_ip = transform_ip;
}

static void edge_ovss_init(EdgeOvss* self) {
    self->state = new State;
    gst_base_transform_set_qos_enabled(GST_BASE_TRANSFORM(self), TRUE);
}
