// SPDX-License-Identifier: Apache-2.0
// Memory is stable over 2,000 frames and over 50 openings.
#include <malloc.h>
#include <unistd.h>
#include <cstdint>

#include <fstream>
#include <string>
#include <vector>

#include "check.h"

namespace {

// One lost kilobyte per frame would be 2,000. Pages are touched for the first time now and then, so
// the resident size steps up (by less than the buffers of one frame) and then stays.
constexpr long kResidentSlackKib = 1500;
constexpr long kHeapSlackKib = 64;

struct Memory {
    long resident_kib;
    long heap_kib;  // in use
};

Memory measure() {
    malloc_trim(0);  // what is free and kept for later is no leak
    long total = 0;
    long resident = 0;
    std::ifstream("/proc/self/statm") >> total >> resident;
    const struct mallinfo2 heap = mallinfo2();
    return {resident * sysconf(_SC_PAGESIZE) / 1024,
            static_cast<long>((heap.uordblks + heap.hblkhd) / 1024)};
}

void grew_little(const char* what, const Memory& before) {
    const Memory after = measure();
    printf("memory_test: %+ld KiB of heap, %+ld KiB resident over %s\n",
           after.heap_kib - before.heap_kib, after.resident_kib - before.resident_kib, what);
    CHECK(after.heap_kib - before.heap_kib < kHeapSlackKib);
    CHECK(after.resident_kib - before.resident_kib < kResidentSlackKib);
}

edge_ovss_session* opened(const std::string& path) {
    edge_ovss_options options = edge_ovss_options_default();
    options.threads = 1;
    edge_ovss_session* session = nullptr;
    CHECK(edge_ovss_open(path.c_str(), &options, &session) == EDGE_OVSS_OK);
    return session;
}

void segment(edge_ovss_session* session, int count) {
    static std::vector<std::uint8_t> frame(640 * 480 * 2, 77);
    static std::vector<std::uint8_t> labels(640 * 480 * 2);
    edge_ovss_frame given = edge_ovss_frame_default();
    given.format = EDGE_OVSS_FORMAT_YUYV;
    given.data = frame.data();
    given.height = 480;
    given.width = 640;
    edge_ovss_result result = edge_ovss_result_default();
    result.labels = labels.data();
    result.labels_capacity = labels.size();
    for (int i = 0; i < count; ++i) {
        CHECK(edge_ovss_segment(session, &given, &result) == EDGE_OVSS_OK);
    }
}

}  // namespace

int main(int argc, char** argv) {
    CHECK(argc == 2);
    const std::string path = std::string(argv[1]) + "/things";
    edge_ovss_session* session = opened(path);
    segment(session, 100);
    const Memory warm = measure();
    segment(session, 2000);
    grew_little("2000 frames", warm);
    CHECK(edge_ovss_close(session) == EDGE_OVSS_OK);
    for (int i = 0; i < 10; ++i) {
        edge_ovss_close(opened(path));
    }
    const Memory closed = measure();
    for (int i = 0; i < 50; ++i) {
        edge_ovss_session* each = opened(path);
        segment(each, 1);
        edge_ovss_close(each);
    }
    grew_little("50 openings", closed);
    return 0;
}
