// SPDX-License-Identifier: Apache-2.0
// frames_test DATA PLUGIN: what comes out of the element is what the library says, to the byte.
#include <algorithm>
#include <array>
#include <cmath>

#include "bench.h"

namespace {

constexpr int kHeight = 31;
constexpr int kWidth = 45;  // odd: rows with gaps, half a chroma pixel

struct Format {
    const char* name;
    std::int32_t ours;
};

constexpr Format kFormats[] = {
    {"RGB", EDGE_OVSS_FORMAT_RGB8},    {"BGR", EDGE_OVSS_FORMAT_BGR8},
    {"RGBx", EDGE_OVSS_FORMAT_RGBA8},  {"BGRx", EDGE_OVSS_FORMAT_BGRA8},
    {"RGBA", EDGE_OVSS_FORMAT_RGBA8},  {"BGRA", EDGE_OVSS_FORMAT_BGRA8},
    {"GRAY8", EDGE_OVSS_FORMAT_GRAY8}, {"NV12", EDGE_OVSS_FORMAT_NV12},
    {"YUY2", EDGE_OVSS_FORMAT_YUYV},
};

GstVideoInfo info_of(const std::string& caps) {
    GstCaps* parsed = gst_caps_from_string(caps.c_str());
    GstVideoInfo info;
    CHECK(gst_video_info_from_caps(&info, parsed));
    gst_caps_unref(parsed);
    return info;
}

edge_ovss_options one_thread() {
    edge_ovss_options options = edge_ovss_options_default();
    options.threads = 1;
    return options;
}

// What the library says of the same bytes; planes as GStreamer lays them out.
edge_ovss::Result expected(edge_ovss::Segmenter& segmenter, const Format& format,
                           const std::vector<std::uint8_t>& bytes, const GstVideoInfo& info) {
    edge_ovss::Frame frame(format.ours, bytes.data(), info.height, info.width,
                           static_cast<std::size_t>(info.stride[0]));
    if (format.ours == EDGE_OVSS_FORMAT_NV12) {
        frame.c.chroma = bytes.data() + info.offset[1];
        frame.c.chroma_stride = static_cast<std::size_t>(info.stride[1]);
    }
    return segmenter.segment(frame);
}

void labels_of_every_format(const std::string& data) {
    for (const char* bundle : {"/things", "/many"}) {
        edge_ovss::Segmenter segmenter(data + bundle, one_thread());
        const std::string out = segmenter.info().label_bytes == 1 ? "GRAY8" : "GRAY16_LE";
        for (const Format& format : kFormats) {
            const std::string caps = caps_of(format.name, kHeight, kWidth);
            const GstVideoInfo info = info_of(caps);
            const auto bytes = noise(info.size);
            Bench bench("mode=labels bundle=" + data + bundle);
            bench.set_caps(caps);
            const auto found = rows_of(bench.run(buffer_of(bytes)), caps_of(out, kHeight, kWidth));
            CHECK(bench.out_format() == out);
            CHECK(found == expected(segmenter, format, bytes, info).labels);
            // Three times a gray is label 0 of three.
            CHECK(format.ours == EDGE_OVSS_FORMAT_GRAY8 ||
                  std::count(found.begin(), found.end(), found[0]) <
                      static_cast<std::ptrdiff_t>(found.size()));
        }
    }
}

// A camera's rows may have gaps of any size, and its planes any order.
void labels_of_frames_with_gaps(const std::string& data) {
    edge_ovss::Segmenter segmenter(data + "/things", one_thread());
    const std::string caps = caps_of("NV12", kHeight, kWidth);
    GstVideoInfo info = info_of(caps);
    info.stride[0] = 101;
    info.stride[1] = 77;
    info.offset[1] = 5;
    info.offset[0] = 5 + 77 * 16 + 3;
    info.size = info.offset[0] + 101 * kHeight;
    const auto bytes = noise(info.size);
    GstBuffer* buffer = buffer_of(bytes);
    gst_buffer_add_video_meta_full(buffer, GST_VIDEO_FRAME_FLAG_NONE, GST_VIDEO_FORMAT_NV12, kWidth,
                                   kHeight, 2, info.offset, info.stride);
    Bench bench("mode=labels bundle=" + data + "/things");
    bench.set_caps(caps);
    const auto found = rows_of(bench.run(buffer), caps_of("GRAY8", kHeight, kWidth));
    edge_ovss::Frame frame(EDGE_OVSS_FORMAT_NV12, bytes.data() + info.offset[0], kHeight, kWidth,
                           101);
    frame.c.chroma = bytes.data() + info.offset[1];
    frame.c.chroma_stride = 77;
    CHECK(found == segmenter.segment(frame).labels);
}

// Rows may have gaps in what goes out, where those who read it say that they understand them.
void labels_go_into_the_buffers_that_are_understood(const std::string& data) {
    for (const bool understands : {false, true}) {
        Bench bench("mode=labels bundle=" + data + "/things");
        if (understands) {
            gst_harness_add_propose_allocation_meta(bench.harness(), GST_VIDEO_META_API_TYPE,
                                                    nullptr);
        }
        const std::string caps = caps_of("RGB", kHeight, kWidth);
        bench.set_caps(caps);
        GstBuffer* answer = bench.run(buffer_of(noise(info_of(caps).size)));
        CHECK(answer != nullptr);
        CHECK((gst_buffer_get_video_meta(answer) != nullptr) == understands);
        gst_buffer_unref(answer);
    }
}

// Metadata that lies about the memory is an error, and nothing is read past the end.
void frames_that_lie_are_errors(const std::string& data) {
    const std::string caps = caps_of("RGB", kHeight, kWidth);
    GstVideoInfo info = info_of(caps);
    info.stride[0] = 400;
    GstBuffer* lying = buffer_of(noise(info_of(caps).size));
    gst_buffer_add_video_meta_full(lying, GST_VIDEO_FRAME_FLAG_NONE, GST_VIDEO_FORMAT_RGB, kWidth,
                                   kHeight, 1, info.offset, info.stride);
    for (GstBuffer* each : {lying, buffer_of(noise(100))}) {
        Bench bench("mode=labels bundle=" + data + "/things");
        bench.set_caps(caps);
        CHECK(bench.run(each) == nullptr);
        CHECK(bench.flow() == GST_FLOW_ERROR);
        CHECK(!bench.error().empty());
    }
}

// The formula of an overlay, pixel after pixel.
std::vector<std::uint8_t> blended(const std::vector<std::uint8_t>& rgb,
                                  const edge_ovss::Result& result,
                                  const std::vector<std::array<std::uint8_t, 3>>& palette,
                                  double alpha) {
    std::vector<std::uint8_t> mixed(rgb);
    for (int y = 0; y < result.height; ++y) {
        for (int x = 0; x < result.width; ++x) {
            const int label = result.label(y, x);
            const bool is_border = (x + 1 < result.width && result.label(y, x + 1) != label) ||
                                   (y + 1 < result.height && result.label(y + 1, x) != label);
            if (label >= static_cast<int>(palette.size())) {
                continue;
            }
            for (std::size_t c = 0; c < 3; ++c) {
                const std::size_t at = 3 * static_cast<std::size_t>(y * result.width + x) + c;
                const double light =
                    (1.0 - alpha) * rgb[at] + alpha * palette[static_cast<std::size_t>(label)][c];
                const double shown = is_border && alpha > 0.0 ? 0.55 * light : light;
                mixed[at] = static_cast<std::uint8_t>(shown + 0.5);
            }
        }
    }
    return mixed;
}

void overlays_of_every_format(const std::string& data, const std::string& bundle, double alpha) {
    edge_ovss::Segmenter segmenter(data + bundle, one_thread());
    for (const Format& format : kFormats) {
        const std::string caps = caps_of(format.name, kHeight, kWidth);
        const GstVideoInfo info = info_of(caps);
        const auto bytes = noise(info.size);
        const auto result = expected(segmenter, format, bytes, info);
        edge_ovss::Frame frame(format.ours, bytes.data(), kHeight, kWidth,
                               static_cast<std::size_t>(info.stride[0]));
        if (format.ours == EDGE_OVSS_FORMAT_NV12) {
            frame.c.chroma = bytes.data() + info.offset[1];
            frame.c.chroma_stride = static_cast<std::size_t>(info.stride[1]);
        }
        std::vector<std::uint8_t> rgb(3 * kHeight * kWidth);
        edge_ovss::check(edge_ovss_to_rgb(&frame.c, rgb.data(), 0, rgb.size()));
        rgb = blended(rgb, result, segmenter.palette(), alpha);

        Bench bench("alpha=" + std::to_string(alpha) + " bundle=" + data + bundle);
        bench.set_caps(caps);
        GstBuffer* answer = bench.run(buffer_of(bytes));
        const std::string out = bench.out_format();
        const bool is_drawn = GST_VIDEO_INFO_IS_RGB(&info);
        CHECK(out == (is_drawn ? format.name : "RGB"));
        const auto found = rows_of(answer, caps_of(out, kHeight, kWidth));
        const std::size_t step = found.size() / (kHeight * kWidth);
        const std::size_t red = out[0] == 'R' ? 0 : 2;
        for (std::size_t at = 0; at < rgb.size() / 3; ++at) {
            CHECK(found[at * step + red] == rgb[3 * at]);
            CHECK(found[at * step + 1] == rgb[3 * at + 1]);
            CHECK(found[at * step + 2 - red] == rgb[3 * at + 2]);
            CHECK(step == 3 || found[at * step + 3] == 255);
        }
    }
}

std::vector<std::uint8_t> attached_labels(GstBuffer* buffer) {
    GstCustomMeta* meta = gst_buffer_get_custom_meta(buffer, "EdgeOvssLabels");
    CHECK(meta != nullptr);
    const GstStructure* structure = gst_custom_meta_get_structure(meta);
    GstBuffer* labels = nullptr;
    int height = 0;
    int width = 0;
    gboolean overflow = FALSE;
    CHECK(gst_structure_get(structure, "labels", GST_TYPE_BUFFER, &labels, "height", G_TYPE_INT,
                            &height, "width", G_TYPE_INT, &width, "overflow", G_TYPE_BOOLEAN,
                            &overflow, nullptr));
    CHECK(height == kHeight && width == kWidth && overflow == FALSE);
    std::vector<std::uint8_t> bytes(gst_buffer_get_size(labels));
    gst_buffer_extract(labels, 0, bytes.data(), bytes.size());
    gst_buffer_unref(labels);
    return bytes;
}

void metadata_on_the_same_memory(const std::string& data) {
    edge_ovss::Segmenter segmenter(data + "/things", one_thread());
    for (const Format& format : kFormats) {
        const std::string caps = caps_of(format.name, kHeight, kWidth);
        const GstVideoInfo info = info_of(caps);
        const auto bytes = noise(info.size);
        for (const bool is_shared : {false, true}) {
            GstBuffer* buffer = buffer_of(bytes);
            const GstMemory* memory = gst_buffer_peek_memory(buffer, 0);
            Bench bench("mode=meta bundle=" + data + "/things");
            bench.set_caps(caps);
            if (is_shared) {
                gst_buffer_ref(buffer);
            }
            GstBuffer* answer = bench.run(buffer);
            CHECK(answer != nullptr);
            CHECK(bench.out_format() == format.name);
            CHECK((answer == buffer) == !is_shared);
            CHECK(gst_buffer_peek_memory(answer, 0) == memory);
            CHECK(attached_labels(answer) == expected(segmenter, format, bytes, info).labels);
            // The pool of a shared frame gets it back after the answer only.
            const auto* parent = gst_buffer_get_parent_buffer_meta(answer);
            CHECK(is_shared ? parent != nullptr && parent->buffer == buffer : parent == nullptr);
            gst_buffer_unref(answer);
            if (is_shared) {
                CHECK(gst_buffer_get_custom_meta(buffer, "EdgeOvssLabels") == nullptr);
                gst_buffer_unref(buffer);
            }
        }
    }
}

const GstStructure* next(Bench& bench, GstMessage** message, const char* name) {
    *message = bench.message(GST_MESSAGE_ELEMENT);
    CHECK(*message != nullptr);
    const GstStructure* structure = gst_message_get_structure(*message);
    CHECK(gst_structure_has_name(structure, name));
    return structure;
}

double sum_of_shares(const GstStructure* structure) {
    const GValue* classes = gst_structure_get_value(structure, "classes");
    double sum = 0.0;
    double last = 1.0;
    for (guint i = 0; i < gst_value_array_get_size(classes); ++i) {
        const GstStructure* each = gst_value_get_structure(gst_value_array_get_value(classes, i));
        double share = 0.0;
        CHECK(gst_structure_get_double(each, "share", &share));
        CHECK(gst_structure_get_string(each, "name") != nullptr);
        CHECK(share > 0.0 && share <= last);
        sum += share;
        last = share;
    }
    return sum;
}

void messages_about_frames(const std::string& data) {
    const std::string caps = caps_of("RGB", kHeight, kWidth);
    Bench bench("mode=labels unknown=0.3 bundle=" + data + "/things-unknown");
    bench.set_caps(caps);
    GstMessage* message = nullptr;
    const GstStructure* about = next(bench, &message, "edge-ovss-bundle");
    CHECK(gst_value_array_get_size(gst_structure_get_value(about, "classes")) == 3);
    gst_message_unref(message);
    const auto found = rows_of(bench.run(buffer_of(noise(info_of(caps).size), 40 * GST_MSECOND)),
                               caps_of("GRAY8", kHeight, kWidth));
    about = next(bench, &message, "edge-ovss-frame");
    double unknown = 0.0;
    double latency = 0.0;
    double infer = 0.0;
    guint64 pts = 0;
    gboolean overflow = TRUE;
    CHECK(gst_structure_get(about, "unknown", G_TYPE_DOUBLE, &unknown, "latency-ms", G_TYPE_DOUBLE,
                            &latency, "infer-ms", G_TYPE_DOUBLE, &infer, "timestamp", G_TYPE_UINT64,
                            &pts, "overflow", G_TYPE_BOOLEAN, &overflow, nullptr));
    const double counted =
        static_cast<double>(std::count(found.begin(), found.end(), std::uint8_t{255})) /
        static_cast<double>(found.size());
    CHECK(unknown > 0.0 && unknown < 1.0 && std::fabs(unknown - counted) < 1e-12);
    CHECK(std::fabs(sum_of_shares(about) + unknown - 1.0) < 1e-9);
    CHECK(latency >= infer && infer > 0.0);
    CHECK(pts == 40 * GST_MSECOND && overflow == FALSE);
    gst_message_unref(message);
}

void messages_now_and_then(const std::string& data) {
    const std::string caps = caps_of("RGB", kHeight, kWidth);
    const std::string more[] = {"message=false", "message-interval=3600000000000", ""};
    const int expected_count[] = {0, 2, 4};
    for (int i = 0; i < 3; ++i) {
        Bench bench(more[i] + " bundle=" + data + "/many");
        bench.set_caps(caps);
        for (int frame = 0; frame < 3; ++frame) {
            gst_buffer_unref(bench.run(buffer_of(noise(info_of(caps).size))));
        }
        int count = 0;
        for (;; ++count) {
            GstMessage* message = bench.message(GST_MESSAGE_ELEMENT);
            if (message == nullptr) {
                break;
            }
            gboolean overflow = TRUE;
            const GstStructure* about = gst_message_get_structure(message);
            // `many` has more survivors than slots.
            CHECK(gst_structure_has_name(about, "edge-ovss-bundle") ||
                  (gst_structure_get_boolean(about, "overflow", &overflow) && overflow));
            gst_message_unref(message);
        }
        CHECK(count == expected_count[i]);
    }
}

void other_colors_are_a_warning(const std::string& data) {
    for (const auto& [colors, warns] : {std::pair{"bt601", false}, std::pair{"bt709", true}}) {
        const std::string caps =
            caps_of("NV12", kHeight, kWidth, std::string(",colorimetry=") + colors);
        Bench bench("mode=labels bundle=" + data + "/things");
        bench.set_caps(caps);
        gst_buffer_unref(bench.run(buffer_of(noise(info_of(caps).size))));
        GstMessage* message = bench.message(GST_MESSAGE_WARNING);
        CHECK((message != nullptr) == warns);
        if (message != nullptr) {
            gst_message_unref(message);
        }
    }
}

}  // namespace

int main(int argc, char** argv) {
    CHECK(argc == 3);
    const std::string data = argv[1];
    start_gstreamer(argv[2]);
    labels_of_every_format(data);
    labels_of_frames_with_gaps(data);
    labels_go_into_the_buffers_that_are_understood(data);
    frames_that_lie_are_errors(data);
    overlays_of_every_format(data, "/things", 0.25);
    overlays_of_every_format(data, "/things-unknown", 1.0);
    overlays_of_every_format(data, "/many", 0.0);
    overlays_of_every_format(data, "/many", 0.75);
    metadata_on_the_same_memory(data);
    messages_about_frames(data);
    messages_now_and_then(data);
    other_colors_are_a_warning(data);
    return 0;
}
