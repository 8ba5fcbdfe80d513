// SPDX-License-Identifier: Apache-2.0
// ovss-camera with the network in its own thread: an answer that comes late brings its own facts.
#include <chrono>
#include <string>
#include <thread>

#include "../apps/memory.h"
#include "check.h"

namespace {

apps::Captured black_frame() {
    apps::Captured captured;
    captured.format = EDGE_OVSS_FORMAT_RGB8;
    captured.height = 48;
    captured.width = 64;
    captured.bytes.resize(edge_ovss_frame_bytes(captured.format, captured.height, captured.width));
    return captured;
}

}  // namespace

int main(int argc, char** argv) {
    CHECK(argc == 2);
    edge_ovss::Segmenter segmenter(std::string(argv[1]) + "/things");
    std::string words[] = {"test", "--keyframe", "async", "--flow", "none"};
    char* line[] = {words[0].data(), words[1].data(), words[2].data(), words[3].data(),
                    words[4].data()};
    const apps::Arguments arguments(5, line, {"--keyframe", "--flow"}, {});
    apps::Memory memory(arguments, segmenter);
    apps::Captured captured = black_frame();
    edge_ovss::Result result;
    captured.time = std::chrono::steady_clock::now();
    CHECK(memory.segment(captured, result));  // the first frame waits
    const edge_ovss_result first = result.c;

    const auto end = captured.time + std::chrono::seconds(30);
    bool late = false;
    while (!late && captured.time < end) {
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
        captured.time = std::chrono::steady_clock::now();
        late = memory.segment(captured, result);
    }
    CHECK(late);
    // Times are counted in nanoseconds: those of two inferences are not all the same.
    CHECK(result.c.infer_ms > 0.0);
    CHECK(result.c.infer_ms != first.infer_ms || result.c.total_ms != first.total_ms);
    return 0;
}
