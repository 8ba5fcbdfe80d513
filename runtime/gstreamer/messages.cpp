// SPDX-License-Identifier: Apache-2.0
#include "messages.h"

#include <gst/video/video.h>

#include <new>
#include <string>

namespace ovss {

namespace {

void append(GValue* array, GstStructure* structure) {
    GValue value = G_VALUE_INIT;
    g_value_init(&value, GST_TYPE_STRUCTURE);
    g_value_take_boxed(&value, structure);
    gst_value_array_append_and_take_value(array, &value);
}

GstStructure* class_structure(const Labeler& labeler, int label) {
    const auto at = static_cast<std::size_t>(label);
    return gst_structure_new("class", "label", G_TYPE_INT, label, "name", G_TYPE_STRING,
                             labeler.names()[at].c_str(), nullptr);
}

// A folder may have any name, the strings of a structure are UTF-8.
std::string path_of(const Labeler& labeler) {
    gchar* valid =
        g_utf8_make_valid(labeler.path().data(), static_cast<gssize>(labeler.path().size()));
    std::string path = valid;
    g_free(valid);
    return path;
}

// What stands in messages and metadata alike.
void add_facts(GstStructure* structure, const Labeler& labeler, const Facts& facts) {
    const edge_ovss_result& result = labeler.result().c;
    gst_structure_set(structure, "bundle", G_TYPE_STRING, path_of(labeler).c_str(), "frame",
                      G_TYPE_UINT64, facts.frame, "latency-ms", G_TYPE_DOUBLE, facts.latency_ms,
                      "infer-ms", G_TYPE_DOUBLE, result.infer_ms, "key", G_TYPE_BOOLEAN,
                      facts.is_key ? TRUE : FALSE, "overflow", G_TYPE_BOOLEAN,
                      result.overflow != 0 ? TRUE : FALSE, nullptr);
}

}  // namespace

GstStructure* bundle_structure(const Labeler& labeler) {
    const edge_ovss_info& info = labeler.info();
    GstStructure* structure = gst_structure_new(
        "edge-ovss-bundle", "path", G_TYPE_STRING, path_of(labeler).c_str(), "model", G_TYPE_STRING,
        info.model, "vocabulary", G_TYPE_STRING, info.vocabulary, "precision", G_TYPE_STRING,
        info.precision, "backend", G_TYPE_STRING, info.backend, "label-bytes", G_TYPE_INT,
        info.label_bytes, nullptr);
    if (info.takes_thresholds != 0) {
        gst_structure_set(structure, "unknown-label", G_TYPE_INT, info.unknown_label, nullptr);
    }
    GValue classes = G_VALUE_INIT;
    g_value_init(&classes, GST_TYPE_ARRAY);
    for (int label = 0; label < info.outputs; ++label) {
        GstStructure* each = class_structure(labeler, label);
        const auto& color = labeler.palette()[static_cast<std::size_t>(label)];
        const guint rgb = color[0] * 65536U + color[1] * 256U + color[2];
        gst_structure_set(each, "color", G_TYPE_UINT, rgb, nullptr);
        append(&classes, each);
    }
    gst_structure_take_value(structure, "classes", &classes);
    return structure;
}

GstStructure* frame_structure(const Labeler& labeler, const Facts& facts) {
    GstStructure* structure =
        gst_structure_new("edge-ovss-frame", "timestamp", G_TYPE_UINT64, facts.pts, "running-time",
                          G_TYPE_UINT64, facts.running_time, nullptr);
    add_facts(structure, labeler, facts);
    const apps::Shares shares = apps::shares(labeler.result(), labeler.info().outputs);
    gst_structure_set(structure, "unknown", G_TYPE_DOUBLE, shares.unknown, nullptr);
    GValue classes = G_VALUE_INIT;
    g_value_init(&classes, GST_TYPE_ARRAY);
    for (const auto& [label, share] : shares.classes) {
        GstStructure* each = class_structure(labeler, label);
        gst_structure_set(each, "share", G_TYPE_DOUBLE, share, nullptr);
        append(&classes, each);
    }
    gst_structure_take_value(structure, "classes", &classes);
    return structure;
}

void register_meta() {
    // Labels of a frame that is scaled or turned would be those of another frame.
    static const char* tags[] = {GST_META_TAG_VIDEO_STR, GST_META_TAG_VIDEO_SIZE_STR,
                                 GST_META_TAG_VIDEO_ORIENTATION_STR, nullptr};
    if (gst_meta_get_info(kMetaName) == nullptr) {
        gst_meta_register_custom(kMetaName, tags, nullptr, nullptr, nullptr);
    }
}

void attach_labels(GstBuffer* buffer, const Labeler& labeler, const Facts& facts) {
    const edge_ovss::Result& result = labeler.result();
    GstBuffer* labels = gst_buffer_new_allocate(nullptr, result.labels.size(), nullptr);
    if (labels == nullptr) {
        throw std::bad_alloc();
    }
    gst_buffer_fill(labels, 0, result.labels.data(), result.labels.size());
    GstStructure* structure =
        gst_custom_meta_get_structure(gst_buffer_add_custom_meta(buffer, kMetaName));
    gst_structure_set(structure, "labels", GST_TYPE_BUFFER, labels, "height", G_TYPE_INT,
                      result.height, "width", G_TYPE_INT, result.width, "label-bytes", G_TYPE_INT,
                      result.label_bytes, nullptr);
    gst_buffer_unref(labels);
    add_facts(structure, labeler, facts);
}

}  // namespace ovss
