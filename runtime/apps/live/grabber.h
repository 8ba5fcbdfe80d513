// SPDX-License-Identifier: Apache-2.0
// Reads one source in a thread of its own, and opens it again when it is lost.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>

#include "../sources/source.h"
#include "newest.h"

namespace apps {

// A source that can be opened again.
struct LiveSource {
    std::string label;  // how it is shown, without secrets
    // Opens it; it is to end where `ending` is set.
    std::function<std::unique_ptr<Source>(const std::atomic<bool>& ending)> open;
};

struct Persistence {
    double reconnect_s = 300.0;  // how long to try to open a lost source again; 0 never
    double first_wait_s = 0.5;   // doubled after every try
    double longest_wait_s = 30.0;
};

// What is known of a grabber while it runs, and after it.
struct GrabberState {
    long read = 0;
    long reconnects = 0;
    std::chrono::steady_clock::time_point heard;  // of the last frame, or of the beginning
    double interval_s = 0.0;                      // usual time between frames; 0 while unknown
    bool is_trying = false;                       // lost; until it is open again or given up
    bool has_ended = false;
    std::optional<edge_ovss::Error> failed;  // why it ended; none for an expected end
};

using Warn = std::function<void(const std::string&)>;

class Grabber {
public:
    Grabber(std::size_t number, LiveSource source, std::shared_ptr<Newest> newest,
            const Persistence& persistence, Warn warn);

    // Asks the thread to end and waits a second for it. One that hangs in a driver goes on without
    // us, with what it needs.
    ~Grabber();
    Grabber(const Grabber&) = delete;
    Grabber& operator=(const Grabber&) = delete;

    // Ask the thread to end after the frame that it waits for.
    void stop();
    // Whether the thread has ended within a second.
    bool join();

    GrabberState state() const;
    const std::string& label() const { return work_->source.label; }

private:
    // What the thread uses, which may outlive this object.
    struct Work {
        std::size_t number;
        LiveSource source;
        std::shared_ptr<Newest> newest;
        Persistence persistence;
        Warn warn;
        std::atomic<bool> ending{false};
        mutable std::mutex mutex;
        std::condition_variable changed;
        GrabberState state;

        void run();
        void read_all();
        void put(Captured& captured);
        std::unique_ptr<Source> after_the_end(bool ends, const std::string& why);
        std::unique_ptr<Source> open_again(const std::string& why);
        bool sleep(double seconds);
    };

    std::shared_ptr<Work> work_;
    std::thread thread_;
};

}  // namespace apps
