// SPDX-License-Identifier: Apache-2.0
// pipeline_test DATA PLUGIN [FRAMES]: states, queries, and properties that change while frames
// come.
#include <malloc.h>
#include <unistd.h>

#include <edge_ovss/edge_ovss_stream.h>
#include <gst/app/gstappsink.h>

#include <algorithm>
#include <filesystem>
#include <fstream>

#include "../../gstreamer/latency.h"
#include "../scratch.h"
#include "bench.h"

namespace {

constexpr int kHeight = 24;
constexpr int kWidth = 40;

std::string caps() {
    return caps_of("RGB", kHeight, kWidth);
}

GstBuffer* frame(GstClockTime pts = GST_CLOCK_TIME_NONE) {
    return buffer_of(noise(3 * kHeight * kWidth), pts);
}

void set(Bench& bench, const char* property, const std::string& value) {
    gst_util_set_object_arg(G_OBJECT(bench.element()), property, value.c_str());
}

void another_bundle_while_it_plays(const std::string& data) {
    Bench bench("mode=labels bundle=" + data + "/things");
    bench.set_caps(caps());
    gst_buffer_unref(bench.run(frame()));
    CHECK(bench.out_format() == "GRAY8");
    set(bench, "bundle", data + "/many");
    const auto labels = rows_of(bench.run(frame()), caps_of("GRAY16_LE", kHeight, kWidth));
    CHECK(bench.out_format() == "GRAY16_LE");
    const auto bytes = noise(3);
    const int expected = (bytes[0] + bytes[1] + bytes[2]) % 300;
    CHECK(labels[0] + 256 * labels[1] == expected);
    set(bench, "bundle", data + "/things-unknown");
    gst_buffer_unref(bench.run(frame()));
    CHECK(bench.out_format() == "GRAY8");
}

void mistakes_while_it_plays_are_errors(const std::string& data) {
    const struct {
        const char* property;
        const char* value;
        const char* words;
    } mistakes[] = {
        {"bundle", "/nothing/here.ovss", "/nothing/here.ovss"},
        {"bundle", "", "'bundle' is not set"},
        {"unknown", "much", "much"},
        {"backend", "abacus", "abacus"},
    };
    for (const auto& each : mistakes) {
        Bench bench("mode=labels bundle=" + data + "/things-unknown");
        bench.set_caps(caps());
        gst_buffer_unref(bench.run(frame()));
        set(bench, each.property, each.value);
        CHECK(bench.run(frame()) == nullptr);
        CHECK(bench.flow() == GST_FLOW_ERROR);
        CHECK(bench.error().find(each.words) != std::string::npos);
        bench.set_caps(caps_of("BGR", kHeight, kWidth));  // with no bundle open, perhaps
        // It goes on where that is set right.
        set(bench, "bundle", data + "/things");
        set(bench, "unknown", "off");
        set(bench, "backend", "auto");
        gst_buffer_unref(bench.run(frame()));
        CHECK(bench.flow() == GST_FLOW_OK);
    }
}

void modes_and_thresholds_while_it_plays(const std::string& data) {
    Bench bench("mode=labels unknown=off bundle=" + data + "/things-unknown");
    bench.set_caps(caps());
    const std::string gray = caps_of("GRAY8", kHeight, kWidth);
    const auto known = rows_of(bench.run(frame()), gray);
    CHECK(std::count(known.begin(), known.end(), std::uint8_t{255}) == 0);
    set(bench, "unknown", "1");
    const auto unknown = rows_of(bench.run(frame()), gray);
    CHECK(std::count(unknown.begin(), unknown.end(), std::uint8_t{255}) == kHeight * kWidth);
    set(bench, "unknown", "");  // as the bundle says: 0.5
    const auto own = rows_of(bench.run(frame()), gray);
    CHECK(own != known && own != unknown);

    set(bench, "mode", "meta");
    GstBuffer* answer = bench.run(frame());
    CHECK(bench.out_format() == "RGB");
    CHECK(gst_buffer_get_custom_meta(answer, "EdgeOvssLabels") != nullptr);
    gst_buffer_unref(answer);
    set(bench, "mode", "overlay");
    set(bench, "alpha", "0");
    CHECK(rows_of(bench.run(frame()), caps()) == noise(3 * kHeight * kWidth));
    set(bench, "mode", "labels");
    CHECK(rows_of(bench.run(frame()), gray) == own);
}

void a_missing_bundle_does_not_start(const std::string& data) {
    for (const std::string& bundle : {std::string(), data + "/nothing"}) {
        GstElement* element = gst_element_factory_make("edgeovss", nullptr);
        gst_object_ref_sink(element);
        GstBus* bus = gst_bus_new();
        gst_element_set_bus(element, bus);
        g_object_set(element, "bundle", bundle.c_str(), nullptr);
        for (int attempt = 0; attempt < 2; ++attempt) {
            CHECK(gst_element_set_state(element, GST_STATE_PAUSED) == GST_STATE_CHANGE_FAILURE);
            GstMessage* message = gst_bus_pop_filtered(bus, GST_MESSAGE_ERROR);
            CHECK(message != nullptr);
            gst_message_unref(message);
        }
        gst_element_set_state(element, GST_STATE_NULL);
        gst_element_set_bus(element, nullptr);
        gst_object_unref(bus);
        gst_object_unref(element);
    }
}

// A folder that another bundle takes the place of, as `edge-ovss export --overwrite` does.
void a_folder_is_replaced_while_it_plays(const std::string& data) {
    namespace fs = std::filesystem;
    const Scratch scratch(data + "/things");
    const std::string bundle = scratch.path().string();
    Bench bench("mode=labels bundle=" + bundle);
    bench.set_caps(caps());
    const std::string gray = caps_of("GRAY8", kHeight, kWidth);
    const auto before = rows_of(bench.run(frame()), gray);
    fs::remove_all(bundle);
    CHECK(rows_of(bench.run(frame()), gray) == before);
    fs::copy(data + "/many", bundle, fs::copy_options::recursive);
    CHECK(rows_of(bench.run(frame()), gray) == before);  // until somebody says so
    set(bench, "bundle", bundle);
    gst_buffer_unref(bench.run(frame()));
    CHECK(bench.out_format() == "GRAY16_LE");
    fs::remove_all(bundle);
    set(bench, "bundle", bundle);
    CHECK(bench.run(frame()) == nullptr && bench.flow() == GST_FLOW_ERROR);
    CHECK(bench.error().find("There is no bundle at '" + bundle) != std::string::npos);
}

// Of any bytes that a folder's name may have.
void names_of_folders_are_safe(const std::string& data) {
    const std::string link =
        std::string(g_get_tmp_dir()) + "/edge_ovss_\x1b[2J\xff_" + std::to_string(getpid());
    std::remove(link.c_str());
    CHECK(symlink((data + "/things").c_str(), link.c_str()) == 0);
    for (const char* end : {"", "/nothing"}) {
        Bench bench("mode=labels message=true bundle=" + data + "/things");
        bench.set_caps(caps());
        gst_buffer_unref(bench.run(frame()));
        gst_message_unref(bench.message(GST_MESSAGE_ELEMENT));
        gst_message_unref(bench.message(GST_MESSAGE_ELEMENT));
        g_object_set(bench.element(), "bundle", (link + end).c_str(), nullptr);
        GstBuffer* answer = bench.run(frame());
        CHECK((answer != nullptr) == (end[0] == '\0'));
        if (answer == nullptr) {
            const std::string words = bench.error();
            CHECK(words.find("\\x1b[2J\\xff_") != std::string::npos);
            CHECK(words.find('\x1b') == std::string::npos);
            continue;
        }
        gst_buffer_unref(answer);
        GstMessage* message = bench.message(GST_MESSAGE_ELEMENT);
        const char* path = gst_structure_get_string(gst_message_get_structure(message), "path");
        CHECK(path != nullptr && g_utf8_validate(path, -1, nullptr));
        gchar* printed = gst_structure_to_string(gst_message_get_structure(message));
        CHECK(std::string(printed).find('\x1b') == std::string::npos);
        g_free(printed);
        gst_message_unref(message);
    }
    std::remove(link.c_str());
}

void the_latency_query_is_answered(const std::string& data) {
    Bench bench("mode=labels bundle=" + data + "/things");
    gst_harness_set_upstream_latency(bench.harness(), 5 * GST_MSECOND);
    bench.set_caps(caps());
    CHECK(gst_harness_query_latency(bench.harness()) == 5 * GST_MSECOND);
    gst_buffer_unref(bench.run(frame()));
    CHECK(gst_harness_query_latency(bench.harness()) > 5 * GST_MSECOND);
    GstMessage* message = bench.message(GST_MESSAGE_LATENCY);
    CHECK(message != nullptr);  // so that the pipeline asks again
    gst_message_unref(message);
}

void late_frames_are_dropped(const std::string& data) {
    Bench bench("mode=labels bundle=" + data + "/things");
    bench.set_caps(caps());
    gst_buffer_unref(bench.run(frame(0)));
    // The sink was shown a frame of 0 s one second too late.
    gst_harness_push_upstream_event(bench.harness(),
                                    gst_event_new_qos(GST_QOS_TYPE_UNDERFLOW, 2.0, GST_SECOND, 0));
    CHECK(bench.run(frame(GST_SECOND / 2)) == nullptr);
    CHECK(bench.flow() == GST_FLOW_OK);
    GstMessage* message = bench.message(GST_MESSAGE_QOS);
    CHECK(message != nullptr);
    gst_message_unref(message);
    gst_buffer_unref(bench.run(frame(3 * GST_SECOND)));
}

bool has_flow() {
    edge_ovss_stream_options options = edge_ovss_stream_options_default();
    options.flow = EDGE_OVSS_FLOW_DIS;
    edge_ovss_stream* stream = nullptr;
    const bool found = edge_ovss_stream_open(&options, &stream) == EDGE_OVSS_OK;
    edge_ovss_stream_close(stream);
    return found;
}

// Labels that are followed: a hold keeps what was shown against one frame.
void labels_are_held(const std::string& data) {
    const std::string gray = caps_of("GRAY8", kHeight, kWidth);
    const std::vector<std::uint8_t> zero(3 * kHeight * kWidth, 0);
    std::vector<std::uint8_t> other(zero);
    for (std::size_t at = 0; at < other.size(); at += 3) {
        other[at] = 1;  // label 1
    }
    Bench bench("mode=labels stabilize=true hold=200 bundle=" + data + "/things");
    bench.set_caps(caps());
    const auto first = [&](const std::vector<std::uint8_t>& bytes, int ms) {
        const auto pts = static_cast<GstClockTime>(ms) * GST_MSECOND;
        return rows_of(bench.run(buffer_of(bytes, pts)), gray)[0];
    };
    for (int i = 0; i < 3; ++i) {
        CHECK(first(zero, 40 * i) == 0);
    }
    CHECK(first(other, 120) == 0);
    GstMessage* message = bench.message(GST_MESSAGE_WARNING);
    // Without OpenCV labels do not move, and the element says so, once.
    CHECK((message != nullptr) == (has_flow() == false));
    if (message != nullptr) {
        gst_message_unref(message);
    }
    set(bench, "stabilize", "false");
    CHECK(first(other, 160) == 1);
    set(bench, "keyframe", "2");
    CHECK(first(zero, 200) == 0);
    CHECK(first(other, 240) == 0);  // not seen
    CHECK(first(other, 280) == 1);
    // Time that goes back is the beginning of something else, not an error.
    CHECK(first(zero, 0) == 0);
}

// What is held is of the frames before: other caps are another camera, perhaps.
void new_caps_forget_what_is_held(const std::string& data) {
    const std::vector<std::uint8_t> zero(3 * kHeight * kWidth, 0);
    std::vector<std::uint8_t> one(zero);
    for (std::size_t at = 0; at < one.size(); at += 3) {
        one[at] = 1;  // label 1
    }
    for (const bool changes : {false, true}) {
        Bench bench("mode=labels stabilize=true hold=200 bundle=" + data + "/things");
        bench.set_caps(caps());
        int ms = 0;
        const auto first = [&](const std::vector<std::uint8_t>& bytes) {
            const auto pts = static_cast<GstClockTime>(ms += 40) * GST_MSECOND;
            return rows_of(bench.run(buffer_of(bytes, pts)), caps_of("GRAY8", kHeight, kWidth))[0];
        };
        for (int i = 0; i < 3; ++i) {
            CHECK(first(zero) == 0);
        }
        if (changes) {
            GstCaps* next = gst_caps_from_string(caps_of("BGR", kHeight, kWidth).c_str());
            CHECK(gst_harness_push_event(bench.harness(), gst_event_new_caps(next)));
            gst_caps_unref(next);
        }
        CHECK(first(one) == (changes ? 1 : 0));
    }
}

void the_latency_estimate_follows_the_slowest_frames() {
    ovss::LatencyEstimate estimate;
    CHECK(estimate.add(100) && estimate.told() == 125);
    CHECK(!estimate.add(125) && !estimate.add(1));
    CHECK(estimate.add(200) && estimate.told() == 250);
    for (int i = 0; i < 29; ++i) {  // the slowest is still among the last
        CHECK(!estimate.add(100));
    }
    // Twice too large is left alone, more is not.
    CHECK(!estimate.add(100) && estimate.told() == 250);
    for (int i = 0; i < 29; ++i) {
        CHECK(!estimate.add(80));
    }
    CHECK(estimate.add(80) && estimate.told() == 100);
}

GstMessage* play(GstElement* pipeline) {
    GstBus* bus = gst_element_get_bus(pipeline);
    CHECK(gst_element_set_state(pipeline, GST_STATE_PLAYING) != GST_STATE_CHANGE_FAILURE);
    GstMessage* message = gst_bus_timed_pop_filtered(
        bus, 30 * GST_SECOND, static_cast<GstMessageType>(GST_MESSAGE_EOS | GST_MESSAGE_ERROR));
    gst_object_unref(bus);
    CHECK(message != nullptr);
    return message;
}

void a_pipeline_ends_and_starts_again(const std::string& data) {
    const std::string words =
        "videotestsrc num-buffers=7 pattern=colors ! video/x-raw,width=64,"
        "height=48 ! edgeovss threads=1 name=it mode=labels bundle=" +
        data + "/things ! fakesink name=end";
    GstElement* pipeline = gst_parse_launch(words.c_str(), nullptr);
    CHECK(pipeline != nullptr);
    for (int round = 0; round < 3; ++round) {
        GstMessage* message = play(pipeline);
        CHECK(GST_MESSAGE_TYPE(message) == GST_MESSAGE_EOS);
        gst_message_unref(message);
        GstElement* end = gst_bin_get_by_name(GST_BIN(pipeline), "end");
        GstStructure* stats = nullptr;
        guint64 rendered = 0;
        g_object_get(end, "stats", &stats, nullptr);
        CHECK(gst_structure_get_uint64(stats, "rendered", &rendered));
        gst_structure_free(stats);
        gst_object_unref(end);
        CHECK(rendered == 7 * (static_cast<guint64>(round) + 1) || rendered == 7);
        gst_element_set_state(pipeline, round == 0 ? GST_STATE_READY : GST_STATE_NULL);
    }
    gst_object_unref(pipeline);
}

std::vector<std::uint8_t> pulled(GstElement* pipeline, const char* name, GstClockTime& pts) {
    GstElement* sink = gst_bin_get_by_name(GST_BIN(pipeline), name);
    GstSample* sample = gst_app_sink_try_pull_sample(GST_APP_SINK(sink), 30 * GST_SECOND);
    gst_object_unref(sink);
    CHECK(sample != nullptr);
    GstBuffer* buffer = gst_sample_get_buffer(sample);
    pts = GST_BUFFER_PTS(buffer);
    gchar* caps = gst_caps_to_string(gst_sample_get_caps(sample));
    auto rows = rows_of(gst_buffer_ref(buffer), caps);
    g_free(caps);
    gst_sample_unref(sample);
    return rows;
}

// An application takes frames and their labels from two appsinks.
void an_application_pulls_labels(const std::string& data) {
    const std::string words =
        "videotestsrc num-buffers=4 pattern=colors ! video/x-raw,format=RGB,"
        "width=50,height=20 ! tee name=t t. ! queue ! appsink name=frames "
        "sync=false t. ! queue ! edgeovss threads=1 mode=labels bundle=" +
        data + "/things ! appsink name=labels sync=false";
    GstElement* pipeline = gst_parse_launch(words.c_str(), nullptr);
    CHECK(pipeline != nullptr);
    gst_element_set_state(pipeline, GST_STATE_PLAYING);
    for (int i = 0; i < 4; ++i) {
        GstClockTime taken = 0;
        GstClockTime shown = 1;
        const auto rgb = pulled(pipeline, "frames", taken);
        const auto labels = pulled(pipeline, "labels", shown);
        CHECK(taken == shown && labels.size() * 3 == rgb.size());
        CHECK(std::count(labels.begin(), labels.end(), labels[0]) < 1000);  // more than one class
        for (std::size_t at = 0; at < labels.size(); ++at) {
            CHECK(labels[at] == (rgb[3 * at] + rgb[3 * at + 1] + rgb[3 * at + 2]) % 3);
        }
    }
    gst_element_set_state(pipeline, GST_STATE_NULL);
    gst_object_unref(pipeline);
}

struct Use {
    long resident_kib;
    long heap_kib;
};

Use measure() {
    malloc_trim(0);
    long total = 0;
    long resident = 0;
    std::ifstream("/proc/self/statm") >> total >> resident;
    const struct mallinfo2 heap = mallinfo2();
    return {resident * sysconf(_SC_PAGESIZE) / 1024,
            static_cast<long>((heap.uordblks + heap.hblkhd) / 1024)};
}

// One lost label map per frame would be 75 KiB each.
void memory_stays_flat(const std::string& data, int frames, const char* mode) {
    const std::string big = caps_of("NV12", 240, 320, ",colorimetry=bt601");
    const auto bytes = noise(320 * 240 * 3 / 2);
    Bench bench(std::string("mode=") + mode + " bundle=" + data + "/things");
    bench.set_caps(big);
    Use before{};
    for (int i = 0; i < frames + 200; ++i) {
        if (i == 200) {
            before = measure();
        }
        GstBuffer* answer = bench.run(buffer_of(bytes));
        CHECK(answer != nullptr);
        gst_buffer_unref(answer);
        while (GstMessage* message = bench.message(GST_MESSAGE_ANY)) {
            gst_message_unref(message);
        }
    }
    const Use after = measure();
    std::printf("pipeline_test: %+ld KiB of heap, %+ld KiB resident over %d frames, mode=%s\n",
                after.heap_kib - before.heap_kib, after.resident_kib - before.resident_kib, frames,
                mode);
    CHECK(after.heap_kib - before.heap_kib < 256);
    CHECK(after.resident_kib - before.resident_kib < 3000);
}

}  // namespace

int main(int argc, char** argv) {
    CHECK(argc == 3 || argc == 4);
    const std::string data = argv[1];
    start_gstreamer(argv[2]);
    another_bundle_while_it_plays(data);
    mistakes_while_it_plays_are_errors(data);
    modes_and_thresholds_while_it_plays(data);
    a_missing_bundle_does_not_start(data);
    a_folder_is_replaced_while_it_plays(data);
    names_of_folders_are_safe(data);
    the_latency_query_is_answered(data);
    the_latency_estimate_follows_the_slowest_frames();
    late_frames_are_dropped(data);
    labels_are_held(data);
    new_caps_forget_what_is_held(data);
    a_pipeline_ends_and_starts_again(data);
    an_application_pulls_labels(data);
    if (argc == 4) {
        memory_stays_flat(data, std::atoi(argv[3]), "labels");
        memory_stays_flat(data, std::atoi(argv[3]) / 5, "overlay");
        memory_stays_flat(data, std::atoi(argv[3]) / 5, "meta");
    }
    return 0;
}
