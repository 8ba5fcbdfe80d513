// SPDX-License-Identifier: Apache-2.0
// Hands over the newest frame of each source: frames are dropped and counted, never queued.
#pragma once

#include <chrono>
#include <condition_variable>
#include <mutex>
#include <vector>

#include "../sources/source.h"

namespace apps {

class Newest {
public:
    // With `keep_all`, who puts a frame waits until the one before it was taken.
    Newest(std::size_t sources, bool keep_all);

    // Give a frame of the source `captured.source`; its memory is exchanged for that of an older
    // one.
    void put(Captured& captured);

    // The newest frame of the next source that has one, in turn; false if none comes in time.
    bool take(Captured& captured, std::chrono::milliseconds wait);

    // Something other than a frame has happened: end a wait.
    void wake();

    // Nobody takes any more; who waits in `put` goes on.
    void close();

    bool is_waiting();
    long dropped(std::size_t source);
    long dropped();
    // Frames that were left when it was closed.
    long left(std::size_t source);

private:
    struct Place {
        Captured captured;
        bool full = false;
        long dropped = 0;
        long left = 0;
    };

    bool any_full() const;

    std::mutex mutex_;
    std::condition_variable changed_;
    std::condition_variable taken_;
    const bool keep_all_;
    bool closed_ = false;
    std::vector<Place> places_;
    std::size_t last_;
};

}  // namespace apps
