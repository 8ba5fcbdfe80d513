// SPDX-License-Identifier: Apache-2.0
// A harness around the element, and frames with known labels.
#pragma once

#include <gst/check/gstharness.h>
#include <gst/video/video.h>

#include <cstdlib>
#include <edge_ovss/edge_ovss.hpp>
#include <memory>
#include <string>
#include <vector>

#include "../check.h"

// Bytes that look like noise but are the same in every run.
inline std::vector<std::uint8_t> noise(std::size_t size, std::uint32_t seed = 1) {
    std::vector<std::uint8_t> bytes(size);
    for (auto& each : bytes) {
        seed = seed * 1664525U + 1013904223U;
        each = static_cast<std::uint8_t>(seed >> 24);
    }
    return bytes;
}

// The plugin of this build is found, and no registry of the machine is touched.
inline void start_gstreamer(const char* folder) {
    const std::string registry =
        std::string(folder) + "/test-registry-" + std::to_string(g_random_int()) + ".bin";
    setenv("GST_PLUGIN_PATH", folder, 1);
    setenv("GST_REGISTRY", registry.c_str(), 1);
    setenv("GST_REGISTRY_FORK", "no", 1);  // a sanitizer is in this process only
    gst_init(nullptr, nullptr);
    std::remove(registry.c_str());
}

inline std::string caps_of(const std::string& format, int height, int width,
                           const std::string& more = "") {
    return "video/x-raw,format=" + format + ",height=" + std::to_string(height) +
           ",width=" + std::to_string(width) + ",framerate=30/1" + more;
}

// The element between two pads of the test.
class Bench {
public:
    // `properties` as gst-launch-1.0 takes them.
    explicit Bench(const std::string& properties) : bus_(gst_bus_new()) {
        GError* error = nullptr;
        element_ = gst_parse_launch(("edgeovss threads=1 " + properties).c_str(), &error);
        CHECK(error == nullptr);
        gst_object_ref_sink(element_);
        gst_element_set_bus(element_, bus_);  // before the harness starts it
        harness_ = gst_harness_new_with_element(element_, "sink", "src");
    }

    ~Bench() {
        gst_harness_teardown(harness_);
        gst_element_set_bus(element_, nullptr);
        gst_object_unref(element_);
        gst_object_unref(bus_);
    }

    Bench(const Bench&) = delete;
    Bench& operator=(const Bench&) = delete;

    GstHarness* harness() { return harness_; }

    GstElement* element() { return element_; }

    void set_caps(const std::string& caps) { gst_harness_set_src_caps_str(harness_, caps.c_str()); }

    // Push a frame; the answer, which the caller owns, or nullptr.
    GstBuffer* run(GstBuffer* frame) {
        flow_ = gst_harness_push(harness_, frame);
        return gst_harness_try_pull(harness_);
    }

    GstFlowReturn flow() const { return flow_; }

    // The next message of a type, or nullptr; the caller owns it.
    GstMessage* message(GstMessageType type) { return gst_bus_pop_filtered(bus_, type); }

    // The words of the error on the bus; "" if there is none.
    std::string error() {
        GstMessage* message = this->message(GST_MESSAGE_ERROR);
        if (message == nullptr) {
            return "";
        }
        GError* error = nullptr;
        gst_message_parse_error(message, &error, nullptr);
        const std::string words = error->message;
        g_clear_error(&error);
        gst_message_unref(message);
        return words;
    }

    std::string out_format() {
        GstCaps* caps = gst_pad_get_current_caps(harness_->sinkpad);
        if (caps == nullptr) {
            return "";
        }
        const std::string format =
            gst_structure_get_string(gst_caps_get_structure(caps, 0), "format");
        gst_caps_unref(caps);
        return format;
    }

private:
    GstBus* bus_;
    GstElement* element_ = nullptr;
    GstHarness* harness_ = nullptr;
    GstFlowReturn flow_ = GST_FLOW_OK;
};

inline GstBuffer* buffer_of(const std::vector<std::uint8_t>& bytes,
                            GstClockTime pts = GST_CLOCK_TIME_NONE) {
    GstBuffer* buffer = gst_buffer_new_allocate(nullptr, bytes.size(), nullptr);
    gst_buffer_fill(buffer, 0, bytes.data(), bytes.size());
    GST_BUFFER_PTS(buffer) = pts;
    return buffer;
}

// Rows of plane 0 of a buffer without gaps; gives the buffer back.
inline std::vector<std::uint8_t> rows_of(GstBuffer* buffer, const std::string& caps) {
    CHECK(buffer != nullptr);
    GstCaps* parsed = gst_caps_from_string(caps.c_str());
    GstVideoInfo info;
    CHECK(gst_video_info_from_caps(&info, parsed));
    gst_caps_unref(parsed);
    GstVideoFrame frame;
    CHECK(gst_video_frame_map(&frame, &info, buffer, GST_MAP_READ));
    std::vector<std::uint8_t> rows;
    const auto row = static_cast<std::size_t>(info.width) *
                     static_cast<std::size_t>(GST_VIDEO_INFO_COMP_PSTRIDE(&info, 0));
    for (int y = 0; y < info.height; ++y) {
        const auto* from = static_cast<const std::uint8_t*>(frame.data[0]) +
                           static_cast<std::ptrdiff_t>(y) * frame.info.stride[0];
        rows.insert(rows.end(), from, from + row);
    }
    gst_video_frame_unmap(&frame);
    gst_buffer_unref(buffer);
    return rows;
}
