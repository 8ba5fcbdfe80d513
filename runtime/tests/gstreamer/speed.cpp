// SPDX-License-Identifier: Apache-2.0
// element_speed BUNDLE PLUGIN [FRAMES]: what the element adds to the C call, at 640x480. A call of
// the library and a frame through the element take turns on the same bytes. Both run in this
// thread, whose processor time is counted: what else the machine does changes little.
#include <time.h>

#include <algorithm>
#include <cstdio>

#include "bench.h"

namespace {

constexpr int kHeight = 480;
constexpr int kWidth = 640;

double milliseconds() {
    timespec now{};
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return 1e3 * static_cast<double>(now.tv_sec) + 1e-6 * static_cast<double>(now.tv_nsec);
}

double quantile(std::vector<double> values, double share) {
    std::sort(values.begin(), values.end());
    return values[static_cast<std::size_t>(share * static_cast<double>(values.size() - 1))];
}

struct Format {
    const char* name;
    std::int32_t ours;
    int bits;
};

void measure(const std::string& bundle, const Format& format, const char* mode, int frames) {
    edge_ovss_options options = edge_ovss_options_default();
    options.threads = 1;
    edge_ovss::Segmenter segmenter(bundle, options);
    Bench bench(std::string("message=true mode=") + mode + " bundle=" + bundle);
    bench.set_caps(caps_of(format.name, kHeight, kWidth, ",colorimetry=bt601"));
    const auto bytes = noise(static_cast<std::size_t>(kHeight * kWidth * format.bits / 8));
    std::vector<std::uint8_t> labels(2 * kHeight * kWidth);
    const edge_ovss::Frame frame(format.ours, bytes.data(), kHeight, kWidth);
    edge_ovss_result result = edge_ovss_result_default();
    result.labels = labels.data();
    result.labels_capacity = labels.size();
    std::vector<double> calls;
    std::vector<double> differences;
    for (int i = 0; i < frames + 10; ++i) {
        const double start = milliseconds();
        edge_ovss::check(edge_ovss_segment(segmenter.handle(), &frame.c, &result));
        const double called = milliseconds();
        GstBuffer* buffer = buffer_of(bytes);
        const double pushed = milliseconds();
        GstBuffer* answer = bench.run(buffer);
        const double end = milliseconds();
        CHECK(answer != nullptr);
        gst_buffer_unref(answer);
        while (GstMessage* message = bench.message(GST_MESSAGE_ANY)) {
            gst_message_unref(message);
        }
        if (i >= 10) {  // the first ones allocate
            calls.push_back(called - start);
            differences.push_back(end - pushed - calls.back());
        }
    }
    std::printf("%-5s %-8s C call %6.2f ms; the element adds %5.2f ms (p90 %5.2f)\n", format.name,
                mode, quantile(calls, 0.5), quantile(differences, 0.5), quantile(differences, 0.9));
}

}  // namespace

int main(int argc, char** argv) {
    CHECK(argc == 3 || argc == 4);
    start_gstreamer(argv[2]);
    const int frames = argc == 4 ? std::atoi(argv[3]) : 200;
    const Format formats[] = {{"RGB", EDGE_OVSS_FORMAT_RGB8, 24},
                              {"NV12", EDGE_OVSS_FORMAT_NV12, 12}};
    for (const Format& format : formats) {
        for (const char* mode : {"labels", "meta", "overlay"}) {
            measure(argv[1], format, mode, frames);
        }
    }
    return 0;
}
