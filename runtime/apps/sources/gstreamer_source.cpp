// SPDX-License-Identifier: Apache-2.0
// GStreamer as a source: CSI cameras of a Jetson, streams, pipelines and video files.
#include <gst/app/gstappsink.h>
#include <gst/gst.h>
#include <gst/video/video.h>

#include <algorithm>
#include <chrono>
#include <string>

#include "../addresses.h"
#include "../arguments.h"
#include "../words.h"
#include "gstreamer_format.h"
#include "source.h"

namespace apps {

namespace {

// So long it may take to notice that the program ends.
constexpr GstClockTime kTick = 100 * GST_MSECOND;

template <typename T>
struct Unref {
    void operator()(T* object) const { gst_object_unref(object); }
};
// Its elements end only where it is told to, also when a constructor fails.
struct EndPipeline {
    void operator()(GstElement* pipeline) const {
        gst_element_set_state(pipeline, GST_STATE_NULL);
        gst_object_unref(pipeline);
    }
};
struct UnrefSample {
    void operator()(GstSample* sample) const { gst_sample_unref(sample); }
};
struct UnrefMessage {
    void operator()(GstMessage* message) const { gst_message_unref(message); }
};
template <typename T>
using Object = std::unique_ptr<T, Unref<T>>;

// What videoconvert makes of anything else. Not NV12: its colors depend on a matrix that only
// videoconvert knows.
constexpr const char* kConverted =
    "videoconvert ! video/x-raw,format=(string){RGB,BGR,RGBA,BGRA,RGBx,BGRx,GRAY8}";

class GStreamerSource final : public Source {
public:
    GStreamerSource(const Address& address, const Reading& reading)
        : label_(address.label), reading_(reading), kind_(address.kind), ends_(address.ends) {
        gst_init(nullptr, nullptr);
        build(address);
        // A file comes at its own pace; a camera's frame is shown when it is there.
        g_object_set(sink_.get(), "sync", static_cast<gboolean>(address.ends && reading.paced),
                     "max-buffers", 1U, "drop", static_cast<gboolean>(reading.paced), nullptr);
        if (gst_element_set_state(pipeline_.get(), GST_STATE_PLAYING) == GST_STATE_CHANGE_FAILURE) {
            fail("does not start");
        }
    }

    // A stream that knows its length is a file on a web server.
    bool ends() const override {
        return ends_ || (kind_ == Kind::kNetwork && length() != GST_CLOCK_TIME_NONE);
    }

    bool read(Captured& captured) override {
        const auto patience = std::chrono::duration<double>(reading_.timeout_s);
        const auto start = std::chrono::steady_clock::now();
        while (!reading_.is_over()) {
            const std::unique_ptr<GstSample, UnrefSample> sample(
                gst_app_sink_try_pull_sample(GST_APP_SINK(sink_.get()), kTick));
            if (sample) {
                captured.time = std::chrono::steady_clock::now();
                take(*sample, captured);
                return true;
            }
            if (has_error()) {
                fail("fails");
            }
            if (gst_app_sink_is_eos(GST_APP_SINK(sink_.get())) != FALSE) {
                check_whole();
                return false;
            }
            if (std::chrono::steady_clock::now() - start > patience) {
                fail(in_words("sends no frame for %g seconds", reading_.timeout_s));
            }
        }
        return false;
    }

private:
    void build(const Address& address) {
        if (address.kind != Kind::kPipeline) {
            parse("uridecodebin name=ovss_input ! " + std::string(kConverted) +
                  " ! appsink name=ovss_frames");
            const Object<GstElement> input(
                gst_bin_get_by_name(GST_BIN(pipeline_.get()), "ovss_input"));
            g_object_set(input.get(), "uri", uri(address).c_str(), nullptr);
            if (address.kind == Kind::kNetwork) {
                g_signal_connect(input.get(), "source-setup", G_CALLBACK(make_live), nullptr);
                g_signal_connect(pipeline_.get(), "deep-element-added",
                                 G_CALLBACK(expect_one_stream), nullptr);
            }
        } else {
            const std::string begin = address.place;
            parse(with_appsink(begin) == begin
                      ? begin
                      : begin + " ! " + kConverted + " ! appsink name=ovss_frames");
        }
        find_sink();
    }

    // The web's source fills a buffer of two megabytes before the first frame, and again whenever
    // it runs empty, unless it is said to be live.
    static void make_live(GstElement*, GstElement* source, gpointer) { set(source, "is-live"); }

    // MJPEG has one stream; without a word, decoding waits for more of them without an end.
    static void expect_one_stream(GstBin*, GstBin*, GstElement* element, gpointer) {
        set(element, "single-stream");
    }

    // Switch on a property, if there is one of the name.
    static void set(GstElement* element, const char* name) {
        GParamSpec* found = g_object_class_find_property(G_OBJECT_GET_CLASS(element), name);
        if (found != nullptr && (found->flags & G_PARAM_WRITABLE) != 0) {
            g_object_set(element, name, TRUE, nullptr);
        }
    }

    void parse(const std::string& words) {
        GError* error = nullptr;
        pipeline_.reset(gst_parse_launch(words.c_str(), &error));
        if (error != nullptr) {
            const std::string why = error->message;
            g_clear_error(&error);
            throw bad_input("GStreamer does not understand '" + label_ +
                            "': " + without_secrets(why) + ".");
        }
        if (!pipeline_ || !GST_IS_BIN(pipeline_.get())) {
            throw bad_input("'" + label_ + "' is one element; expected a pipeline.");
        }
        gst_object_ref_sink(pipeline_.get());
    }

    static std::string uri(const Address& address) {
        if (address.kind == Kind::kNetwork) {
            return address.place;
        }
        GError* error = nullptr;
        gchar* found = gst_filename_to_uri(address.place.c_str(), &error);
        if (found == nullptr) {
            g_clear_error(&error);
            throw bad_input("'" + shown_address(address.place) + "' cannot be opened.");
        }
        const std::string words = found;
        g_free(found);
        return words;
    }

    void find_sink() {
        GstIterator* all = gst_bin_iterate_recurse(GST_BIN(pipeline_.get()));
        GValue item = G_VALUE_INIT;
        while (!sink_ && gst_iterator_next(all, &item) == GST_ITERATOR_OK) {
            auto* element = GST_ELEMENT(g_value_get_object(&item));
            if (GST_IS_APP_SINK(element)) {
                sink_.reset(GST_ELEMENT(gst_object_ref(element)));
            }
            g_value_reset(&item);
        }
        g_value_unset(&item);
        gst_iterator_free(all);
        if (!sink_) {
            throw bad_input("'" + label_ + "' has no appsink.");
        }
    }

    // How long the source says it is; GST_CLOCK_TIME_NONE for one without an end.
    GstClockTime length() const {
        gint64 found = 0;
        const bool known =
            gst_element_query_duration(pipeline_.get(), GST_FORMAT_TIME, &found) != FALSE;
        return known && found > 0 ? static_cast<GstClockTime>(found) : GST_CLOCK_TIME_NONE;
    }

    // A file that ends well before the end that it names is cut off.
    void check_whole() const {
        const GstClockTime whole = length();
        if (kind_ == Kind::kPipeline || whole == GST_CLOCK_TIME_NONE) {
            return;
        }
        if (last_ + std::max<GstClockTime>(GST_SECOND / 2, whole / 20) < whole) {
            const auto in_seconds = [](GstClockTime time) {
                return in_words("%g seconds", static_cast<double>(time / GST_MSECOND) / 1000.0);
            };
            throw edge_ovss::Error(
                EDGE_OVSS_ERROR_INPUT,
                "Video '" + label_ + "' ends after " + in_seconds(last_) + " of " +
                    in_seconds(whole) + ": it is cut off or damaged.",
                "All frames before the damage were used. Copy or record it again.");
        }
    }

    void take(GstSample& sample, Captured& captured) {
        const GstClockTime at = GST_BUFFER_PTS(gst_sample_get_buffer(&sample));
        last_ = at == GST_CLOCK_TIME_NONE ? last_ : at;
        GstVideoInfo info;
        GstVideoFrame frame;
        if (gst_video_info_from_caps(&info, gst_sample_get_caps(&sample)) == FALSE ||
            gst_video_frame_map(&frame, &info, gst_sample_get_buffer(&sample), GST_MAP_READ) ==
                FALSE) {
            throw bad_input("'" + label_ +
                            "' gives buffers that are no frames in memory; end the " +
                            "pipeline with nvvidconv or videoconvert.");
        }
        captured.format = format_of(GST_VIDEO_FRAME_FORMAT(&frame));
        captured.height = GST_VIDEO_FRAME_HEIGHT(&frame);
        captured.width = GST_VIDEO_FRAME_WIDTH(&frame);
        captured.stride = 0;
        captured.bytes.clear();
        if (captured.format >= 0) {
            copy_planes(frame, captured);
        }
        gst_video_frame_unmap(&frame);
        if (captured.format < 0) {
            throw bad_input("'" + label_ + "' gives frames in " +
                            gst_video_format_to_string(GST_VIDEO_INFO_FORMAT(&info)) +
                            "; expected RGB, BGR, RGBA, BGRA, RGBx, BGRx, GRAY8, NV12 or YUY2.");
        }
    }

    // Without the gaps that rows may have.
    static void copy_planes(const GstVideoFrame& frame, Captured& captured) {
        const bool is_nv12 = captured.format == EDGE_OVSS_FORMAT_NV12;
        const auto height = static_cast<std::size_t>(captured.height);
        const std::size_t all =
            edge_ovss_frame_bytes(captured.format, captured.height, captured.width);
        const std::size_t pairs = (static_cast<std::size_t>(captured.width) + 1) / 2;
        const std::size_t second = is_nv12 ? 2 * pairs : 0;
        const std::size_t chroma = second * ((height + 1) / 2);
        captured.bytes.reserve(all);
        append(frame, 0, height, (all - chroma) / height, captured.bytes);
        if (is_nv12) {
            append(frame, 1, (height + 1) / 2, second, captured.bytes);
        }
    }

    static void append(const GstVideoFrame& frame, unsigned plane, std::size_t rows,
                       std::size_t row, std::vector<std::uint8_t>& bytes) {
        const auto* from = static_cast<const std::uint8_t*>(frame.data[plane]);
        const auto stride = static_cast<std::size_t>(frame.info.stride[plane]);
        for (std::size_t y = 0; y < rows; ++y, from += stride) {
            bytes.insert(bytes.end(), from, from + row);
        }
    }

    // Keep the first error that an element has reported.
    bool has_error() {
        const Object<GstBus> bus(gst_element_get_bus(pipeline_.get()));
        const std::unique_ptr<GstMessage, UnrefMessage> message(
            gst_bus_pop_filtered(bus.get(), GST_MESSAGE_ERROR));
        if (!message) {
            return false;
        }
        GError* error = nullptr;
        gst_message_parse_error(message.get(), &error, nullptr);
        reason_ = without_secrets(error->message);
        g_clear_error(&error);
        return true;
    }

    [[noreturn]] void fail(const std::string& what) {
        const bool known = !reason_.empty() || has_error();
        const char* hint = "Try the pipeline with gst-launch-1.0, and fakesink for appsink.";
        if (kind_ == Kind::kNetwork) {
            hint = "Check the address, the user name and the password, and that it can be reached.";
        } else if (kind_ == Kind::kVideo) {
            hint = "Try it in a player; Debian's gstreamer1.0-libav reads most formats.";
        }
        throw edge_ovss::Error(
            EDGE_OVSS_ERROR_INPUT,
            "Video source '" + label_ + "' " + what + (known ? ": " + reason_ : "."), hint);
    }

    std::string label_;
    Reading reading_;
    Kind kind_;
    bool ends_;
    GstClockTime last_ = 0;
    std::string reason_;
    std::unique_ptr<GstElement, EndPipeline> pipeline_;
    Object<GstElement> sink_;
};

}  // namespace

std::unique_ptr<Source> open_gstreamer(const Address& address, const Reading& reading) {
    return std::make_unique<GStreamerSource>(address, reading);
}

}  // namespace apps
