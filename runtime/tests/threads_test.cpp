// SPDX-License-Identifier: Apache-2.0
// Four threads: with a session each, with one that they share, and with one that is closed while
// the others use it.
#include <atomic>
#include <cstdint>
#include <string>
#include <thread>
#include <vector>

#include "check.h"

namespace {

constexpr int kThreads = 4;
constexpr int kFrames = 25;

edge_ovss_session* opened(const std::string& path) {
    edge_ovss_options options = edge_ovss_options_default();
    options.threads = 1;
    edge_ovss_session* session = nullptr;
    CHECK(edge_ovss_open(path.c_str(), &options, &session) == EDGE_OVSS_OK);
    return session;
}

// Segment a frame that only this thread and number have; the labels must be its own.
edge_ovss_status segment(edge_ovss_session* session, int thread, int number) {
    const int height = 8 + thread;
    const int width = 16 + number % 3;
    const auto value = static_cast<std::uint8_t>(thread * 50 + number);
    std::vector<std::uint8_t> gray(static_cast<std::size_t>(height * width), value);
    std::vector<std::uint8_t> labels(gray.size(), 99);
    edge_ovss_frame frame = edge_ovss_frame_default();
    frame.format = EDGE_OVSS_FORMAT_GRAY8;
    frame.data = gray.data();
    frame.height = height;
    frame.width = width;
    gray[0] = static_cast<std::uint8_t>(value + 1);
    edge_ovss_result result = edge_ovss_result_default();
    result.labels = labels.data();
    result.labels_capacity = labels.size();
    const edge_ovss_status status = edge_ovss_segment(session, &frame, &result);
    for (std::size_t i = 0; status == EDGE_OVSS_OK && i < labels.size(); ++i) {
        CHECK(labels[i] == 3 * gray[i] % 3);
    }
    return status;
}

template <class Work>
void in_threads(Work work) {
    std::vector<std::thread> threads;
    for (int t = 0; t < kThreads; ++t) {
        threads.emplace_back(work, t);
    }
    for (auto& thread : threads) {
        thread.join();
    }
}

void one_session_each(const std::string& path) {
    in_threads([&](int thread) {
        edge_ovss_session* session = opened(path);
        for (int i = 0; i < kFrames; ++i) {
            CHECK(segment(session, thread, i) == EDGE_OVSS_OK);
        }
        CHECK(edge_ovss_close(session) == EDGE_OVSS_OK);
    });
}

void one_session_shared(const std::string& path) {
    edge_ovss_session* session = opened(path);
    in_threads([&](int thread) {
        for (int i = 0; i < kFrames; ++i) {
            CHECK(segment(session, thread, i) == EDGE_OVSS_OK);
            CHECK(edge_ovss_name(session, 0) != nullptr);
        }
    });
    CHECK(edge_ovss_close(session) == EDGE_OVSS_OK);
}

void closing_under_way(const std::string& path) {
    edge_ovss_session* session = opened(path);
    std::atomic<int> done{0};
    in_threads([&](int thread) {
        if (thread == 0) {
            while (done < 5) {
                std::this_thread::yield();
            }
            CHECK(edge_ovss_close(session) == EDGE_OVSS_OK);
            return;
        }
        edge_ovss_status status = EDGE_OVSS_OK;
        for (int i = 0; status == EDGE_OVSS_OK; ++i) {
            status = segment(session, thread, i);
            ++done;
        }
        CHECK(status == EDGE_OVSS_ERROR_USAGE);
        CHECK(strstr(edge_ovss_last_error(), "closed") != nullptr);
    });
    CHECK(edge_ovss_last_error()[0] == '\0');  // the errors were those of the other threads
}

}  // namespace

int main(int argc, char** argv) {
    CHECK(argc == 2);
    const std::string path = std::string(argv[1]) + "/things";
    one_session_each(path);
    one_session_shared(path);
    closing_under_way(path);
    puts("threads_test: all held");
    return 0;
}
