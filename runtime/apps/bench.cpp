// SPDX-License-Identifier: Apache-2.0
// ovss-bench: how long a frame takes, bytes in to labels out, on this machine.
//
// The boundary and the percentiles are those of the verb `edge-ovss bench`: "total" is one call of
// edge_ovss_segment, a percentile is the next higher time that was measured.
#include <sys/resource.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <numeric>
#include <string>
#include <vector>

#include "arguments.h"
#include "camera_formats.h"
#include "picture_files.h"

namespace {

constexpr const char* kHelp =
    "ovss-bench - measure how long a bundle takes for a frame\n"
    "\n"
    "  ovss-bench BUNDLE [IMAGE] [options]     without an image: a fixed pattern\n"
    "\n"
    "  --size HxW       size of the pattern (default 480x640)\n"
    "  --format NAME    RGB8 (default), BGR8, RGBA8, BGRA8, GRAY8, NV12 or YUYV: what the frame\n"
    "                   comes in; a picture is brought into it first\n"
    "  --warmup N       frames that are not counted (default 5)\n"
    "  --count N        frames that are counted (default 50)\n"
    "  --backend NAME   default auto\n"
    "  --threads N      CPU threads (default: all)\n"
    "\n"
    "Prints one JSON object; overhead is total less infer.\n";

struct Stage {
    const char* name;
    std::vector<double> times;  // milliseconds
};

// A time that was measured (the next higher one), not one between two.
double percentile(const std::vector<double>& sorted, double share) {
    const double at = std::ceil(share * static_cast<double>(sorted.size() - 1));
    return sorted[static_cast<std::size_t>(at)];
}

void print(Stage stage, const char* comma) {
    std::sort(stage.times.begin(), stage.times.end());
    const double sum = std::accumulate(stage.times.begin(), stage.times.end(), 0.0);
    std::printf(
        "    \"%s\": {\"mean\": %.4f, \"p50\": %.4f, \"p90\": %.4f, \"p99\": %.4f, "
        "\"max\": %.4f}%s\n",
        stage.name, sum / static_cast<double>(stage.times.size()), percentile(stage.times, 0.5),
        percentile(stage.times, 0.9), percentile(stage.times, 0.99), stage.times.back(), comma);
}

// A frame and the memory that it is in.
struct Input {
    std::vector<std::uint8_t> bytes;
    edge_ovss::Frame frame;
};

Input pattern(const apps::Arguments& arguments) {
    const auto [height, width] = apps::parse_size(arguments.value("--size", "480x640"), "--size");
    const int format = apps::parse_format(arguments.value("--format", "RGB8"));
    Input input;
    input.bytes.resize(edge_ovss_frame_bytes(format, height, width));
    for (std::size_t i = 0; i < input.bytes.size(); ++i) {
        input.bytes[i] = static_cast<std::uint8_t>((i * 2654435761U) >> 13U);
    }
    input.frame = edge_ovss::Frame(format, input.bytes.data(), height, width);
    return input;
}

Input read(const std::string& path, const apps::Arguments& arguments) {
    const int format = apps::parse_format(arguments.value("--format", "RGB8"));
    const apps::Picture picture = apps::read_picture(path);
    Input input;
    input.bytes = apps::in_format(picture, format);
    input.frame = edge_ovss::Frame(format, input.bytes.data(), picture.height, picture.width);
    return input;
}

long peak_kib() {
    rusage usage{};
    getrusage(RUSAGE_SELF, &usage);
    return usage.ru_maxrss;
}

void report(const edge_ovss::Segmenter& segmenter, const edge_ovss::Frame& frame,
            const std::vector<Stage>& stages, double cold_start_s) {
    const auto info = segmenter.info();
    const auto& total = stages.back().times;
    const double mean =
        std::accumulate(total.begin(), total.end(), 0.0) / static_cast<double>(total.size());
    std::printf(
        "{\n  \"program\": \"ovss-bench %s\",\n  \"backend\": %s,\n  \"model\": %s,\n"
        "  \"precision\": %s,\n  \"height\": %d,\n  \"width\": %d,\n"
        "  \"format\": \"%s\",\n  \"frames\": %zu,\n  \"stages_ms\": {\n",
        edge_ovss_version(), apps::json_string(info.backend).c_str(),
        apps::json_string(info.model).c_str(), apps::json_string(info.precision).c_str(),
        frame.c.height, frame.c.width, apps::format_name(frame.c.format), total.size());
    for (const Stage& stage : stages) {
        print(stage, &stage == &stages.back() ? "" : ",");
    }
    std::printf(
        "  },\n  \"throughput_fps\": %.3f,\n  \"peak_mib\": %.1f,\n"
        "  \"cold_start_s\": %.4f\n}\n",
        1000.0 / mean, static_cast<double>(peak_kib()) / 1024.0, cold_start_s);
}

int run(int argc, char** argv) {
    const apps::Arguments arguments(
        argc, argv, {"--size", "--format", "--warmup", "--count", "--backend", "--threads"},
        {"--help"});
    if (arguments.has("--help")) {
        std::fputs(kHelp, stdout);
        return 0;
    }
    const auto& words = arguments.positional();
    if (words.empty() || words.size() > 2) {
        throw apps::usage("Expected BUNDLE, and at most one IMAGE.");
    }
    const int warmup = arguments.number("--warmup", 5, 0, 1000000);
    const int count = arguments.number("--count", 50, 1, 1000000);
    if (words.size() == 2 && arguments.has("--size")) {
        throw apps::usage("--size is for the pattern: a picture has its own.");
    }
    const Input input = words.size() == 2 ? read(words[1], arguments) : pattern(arguments);

    const auto start = std::chrono::steady_clock::now();
    edge_ovss::Segmenter segmenter(words[0], apps::session_options(arguments));
    edge_ovss::Result result;
    segmenter.segment(input.frame, result);
    const std::chrono::duration<double> cold = std::chrono::steady_clock::now() - start;

    std::vector<Stage> stages{
        {"pre", {}}, {"infer", {}}, {"post", {}}, {"overhead", {}}, {"total", {}}};
    for (int i = 0; i < warmup + count; ++i) {
        segmenter.segment(input.frame, result);
        if (i >= warmup) {
            const auto& c = result.c;
            const double times[] = {c.pre_ms, c.infer_ms, c.post_ms, c.total_ms - c.infer_ms,
                                    c.total_ms};
            for (std::size_t s = 0; s < stages.size(); ++s) {
                stages[s].times.push_back(times[s]);
            }
        }
    }
    report(segmenter, input.frame, stages, cold.count());
    return 0;
}

}  // namespace

int main(int argc, char** argv) {
    return apps::guarded("ovss-bench", [&] { return run(argc, argv); });
}
