// SPDX-License-Identifier: Apache-2.0
// pixels_speed [HEIGHTxWIDTH]: processor time that a conversion to RGB takes, by format.
// Not a test: what is fast enough is for the reader to say (default 1080x1920).
#include <edge_ovss/edge_ovss.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <ctime>
#include <vector>

namespace {

constexpr const char* kFormats[] = {"RGB8", "BGR8", "RGBA8", "BGRA8", "GRAY8", "NV12", "YUYV"};
constexpr int kRounds = 21;

double processor_ms() {
    timespec now{};
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return 1e3 * static_cast<double>(now.tv_sec) + 1e-6 * static_cast<double>(now.tv_nsec);
}

double median_ms(int format, int height, int width) {
    std::vector<std::uint8_t> bytes(edge_ovss_frame_bytes(format, height, width));
    for (std::size_t i = 0; i < bytes.size(); ++i) {
        bytes[i] = static_cast<std::uint8_t>((i * 2654435761U) >> 13U);
    }
    edge_ovss_frame frame = edge_ovss_frame_default();
    frame.format = format;
    frame.data = bytes.data();
    frame.data_size = bytes.size();
    frame.height = height;
    frame.width = width;
    std::vector<std::uint8_t> rgb(3 * static_cast<std::size_t>(height) *
                                  static_cast<std::size_t>(width));
    std::vector<double> times;
    for (int i = 0; i < kRounds; ++i) {
        const double start = processor_ms();
        edge_ovss_to_rgb(&frame, rgb.data(), 0, rgb.size());
        times.push_back(processor_ms() - start);
    }
    std::sort(times.begin(), times.end());
    return times[kRounds / 2];
}

}  // namespace

int main(int argc, char** argv) {
    int height = 1080;
    int width = 1920;
    if (argc > 1 && std::sscanf(argv[1], "%dx%d", &height, &width) != 2) {
        std::fprintf(stderr, "pixels_speed [HEIGHTxWIDTH]\n");
        return 2;
    }
    std::printf("{\"height\": %d, \"width\": %d", height, width);
    for (int format = 0; format < 7; ++format) {
        std::printf(", \"%s_ms\": %.2f", kFormats[format], median_ms(format, height, width));
    }
    std::printf("}\n");
    return 0;
}
