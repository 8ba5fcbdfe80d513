// SPDX-License-Identifier: Apache-2.0
#include "properties.h"

#include <glib/gstdio.h>
#include <gst/gst.h>

#include <edge_ovss/edge_ovss_stream.h>

namespace ovss {

namespace {

enum Number : guint {
    kBundle = 1,
    kMode,
    kUnknown,
    kStabilize,
    kHold,
    kKeyframe,
    kAlpha,
    kMessage,
    kMessageInterval,
    kBackend,
    kThreads,
    kDevice,
    kCache,
};

constexpr auto kFlags = static_cast<GParamFlags>(G_PARAM_READWRITE | G_PARAM_STATIC_STRINGS |
                                                 GST_PARAM_MUTABLE_PLAYING);

const Settings kUsual;

GType mode_type() {
    static const GEnumValue values[] = {
        {static_cast<int>(Mode::kOverlay), "Frames with the colors of their classes", "overlay"},
        {static_cast<int>(Mode::kLabels), "Label maps, GRAY8 or GRAY16_LE", "labels"},
        {static_cast<int>(Mode::kMeta), "Frames as they came, with their labels as metadata",
         "meta"},
        {0, nullptr, nullptr},
    };
    static const GType type = g_enum_register_static("EdgeOvssMode", values);
    return type;
}

std::string text(const GValue* value) {
    const char* words = g_value_get_string(value);
    return words != nullptr ? words : "";
}

// Of what stands in the folder now; "" where there is no bundle.
std::string written(const std::string& bundle) {
    GStatBuf found;
    gchar* manifest = g_build_filename(bundle.c_str(), "manifest.json", nullptr);
    const bool is_there = g_stat(manifest, &found) == 0;
    g_free(manifest);
    return is_there ? std::to_string(found.st_ino) + " " + std::to_string(found.st_size) + " " +
                          std::to_string(found.st_mtime)
                    : "";
}

void install_text(GObjectClass* klass, Number number, const char* name, const char* nick,
                  const char* about, const char* usual) {
    g_object_class_install_property(klass, number,
                                    g_param_spec_string(name, nick, about, usual, kFlags));
}

void install_int(GObjectClass* klass, Number number, const char* name, const char* nick,
                 const char* about, int least, int most, int usual) {
    g_object_class_install_property(
        klass, number, g_param_spec_int(name, nick, about, least, most, usual, kFlags));
}

void install_opening(GObjectClass* klass) {
    install_text(
        klass, kBundle, "bundle", "Bundle",
        "Folder that edge-ovss export wrote; another one, or the same one set again after it was "
        "replaced, is opened before the next frame",
        nullptr);
    install_text(klass, kBackend, "backend", "Backend",
                 "Library that runs the graph, as in edge-ovss run; auto: the first that there is",
                 kUsual.backend.c_str());
    install_int(klass, kThreads, "threads", "Threads",
                "CPU threads; 0: the cores that this process may use", 0, 1024, kUsual.threads);
    install_int(klass, kDevice, "device", "Device", "Number of the GPU", 0, 1024, kUsual.device);
    install_text(klass, kCache, "cache", "Cache",
                 "Folder of the TensorRT engines; by default engines in the bundle", nullptr);
}

void install_answers(GObjectClass* klass) {
    g_object_class_install_property(klass, kMode,
                                    g_param_spec_enum("mode", "Mode", "What comes out", mode_type(),
                                                      static_cast<int>(kUsual.mode), kFlags));
    install_text(klass, kUnknown, "unknown", "Unknown",
                 "When a label is unknown: off, auto, a threshold such as 0.2, or a file of "
                 "edge-ovss eval --tune-unknown; by default as the bundle says",
                 nullptr);
    g_object_class_install_property(
        klass, kAlpha,
        g_param_spec_double("alpha", "Alpha", "Weight of the colors in an overlay", 0.0, 1.0,
                            kUsual.alpha, kFlags));
}

void install_stream(GObjectClass* klass) {
    g_object_class_install_property(
        klass, kStabilize,
        g_param_spec_boolean("stabilize", "Stabilize",
                             "Follow labels from frame to frame, so that they do not flicker",
                             kUsual.stabilize ? TRUE : FALSE, kFlags));
    g_object_class_install_property(
        klass, kHold,
        g_param_spec_double("hold", "Hold",
                            "With stabilize: the longest time in milliseconds that a label is held "
                            "against the network",
                            0.0, 10000.0, kUsual.hold_ms, kFlags));
    install_int(klass, kKeyframe, "keyframe", "Key frame",
                "The network sees every N-th frame; labels are followed in between", 1,
                EDGE_OVSS_NO_KEYFRAMES - 1, kUsual.keyframe);
}

void install_messages(GObjectClass* klass) {
    g_object_class_install_property(
        klass, kMessage,
        g_param_spec_boolean("message", "Message",
                             "Post element messages: edge-ovss-bundle, edge-ovss-frame",
                             kUsual.message ? TRUE : FALSE, kFlags));
    g_object_class_install_property(
        klass, kMessageInterval,
        g_param_spec_uint64("message-interval", "Message interval",
                            "Least time between two messages about frames, in nanoseconds; 0: one "
                            "for every frame",
                            0, G_MAXUINT64, kUsual.message_interval_ns, kFlags));
}

}  // namespace

void install_properties(GObjectClass* klass) {
    install_opening(klass);
    install_answers(klass);
    install_stream(klass);
    install_messages(klass);
    gst_type_mark_as_plugin_api(mode_type(), static_cast<GstPluginAPIFlags>(0));
}

bool set_property(Settings& settings, guint number, const GValue* value) {
    switch (number) {
        case kBundle:
            settings.bundle = text(value);
            settings.written = written(settings.bundle);
            return true;
        case kMode:
            settings.mode = static_cast<Mode>(g_value_get_enum(value));
            return true;
        case kUnknown:
            settings.unknown = text(value);
            return true;
        case kStabilize:
            settings.stabilize = g_value_get_boolean(value) != FALSE;
            return true;
        case kHold:
            settings.hold_ms = g_value_get_double(value);
            return true;
        case kKeyframe:
            settings.keyframe = g_value_get_int(value);
            return true;
        case kAlpha:
            settings.alpha = g_value_get_double(value);
            return true;
        case kMessage:
            settings.message = g_value_get_boolean(value) != FALSE;
            return true;
        case kMessageInterval:
            settings.message_interval_ns = g_value_get_uint64(value);
            return true;
        case kBackend:
            settings.backend = text(value);
            return true;
        case kThreads:
            settings.threads = g_value_get_int(value);
            return true;
        case kDevice:
            settings.device = g_value_get_int(value);
            return true;
        case kCache:
            settings.cache = text(value);
            return true;
        default:
            return false;
    }
}

bool get_property(const Settings& settings, guint number, GValue* value) {
    switch (number) {
        case kBundle:
            g_value_set_string(value, settings.bundle.c_str());
            return true;
        case kMode:
            g_value_set_enum(value, static_cast<int>(settings.mode));
            return true;
        case kUnknown:
            g_value_set_string(value, settings.unknown.c_str());
            return true;
        case kStabilize:
            g_value_set_boolean(value, settings.stabilize ? TRUE : FALSE);
            return true;
        case kHold:
            g_value_set_double(value, settings.hold_ms);
            return true;
        case kKeyframe:
            g_value_set_int(value, settings.keyframe);
            return true;
        case kAlpha:
            g_value_set_double(value, settings.alpha);
            return true;
        case kMessage:
            g_value_set_boolean(value, settings.message ? TRUE : FALSE);
            return true;
        case kMessageInterval:
            g_value_set_uint64(value, settings.message_interval_ns);
            return true;
        case kBackend:
            g_value_set_string(value, settings.backend.c_str());
            return true;
        case kThreads:
            g_value_set_int(value, settings.threads);
            return true;
        case kDevice:
            g_value_set_int(value, settings.device);
            return true;
        case kCache:
            g_value_set_string(value, settings.cache.c_str());
            return true;
        default:
            return false;
    }
}

}  // namespace ovss
