// SPDX-License-Identifier: Apache-2.0
#include "newest.h"

#include <algorithm>

namespace apps {

Newest::Newest(std::size_t sources, bool keep_all)
    : keep_all_(keep_all), places_(sources), last_(sources - 1) {}

void Newest::put(Captured& captured) {
    std::unique_lock<std::mutex> lock(mutex_);
    const std::size_t source = captured.source;
    Place& place = places_[source];
    taken_.wait(lock, [&] { return !keep_all_ || !place.full || closed_; });
    if (closed_) {
        ++place.left;
        return;
    }
    place.dropped += place.full ? 1 : 0;
    std::swap(place.captured, captured);
    captured.source = source;  // that of memory which was never used is another
    place.full = true;
    changed_.notify_one();
}

bool Newest::take(Captured& captured, std::chrono::milliseconds wait) {
    std::unique_lock<std::mutex> lock(mutex_);
    if (!any_full()) {
        changed_.wait_for(lock, wait);
    }
    for (std::size_t step = 1; step <= places_.size(); ++step) {
        Place& place = places_[(last_ + step) % places_.size()];
        if (place.full) {
            last_ = (last_ + step) % places_.size();
            std::swap(place.captured, captured);
            place.full = false;
            taken_.notify_all();
            return true;
        }
    }
    return false;
}

void Newest::wake() {
    const std::lock_guard<std::mutex> lock(mutex_);
    changed_.notify_all();
}

void Newest::close() {
    const std::lock_guard<std::mutex> lock(mutex_);
    closed_ = true;
    for (Place& place : places_) {
        place.left += place.full ? 1 : 0;
        place.full = false;
    }
    taken_.notify_all();
}

bool Newest::is_waiting() {
    const std::lock_guard<std::mutex> lock(mutex_);
    return any_full();
}

long Newest::dropped(std::size_t source) {
    const std::lock_guard<std::mutex> lock(mutex_);
    return places_[source].dropped;
}

long Newest::dropped() {
    const std::lock_guard<std::mutex> lock(mutex_);
    long all = 0;
    for (const Place& place : places_) {
        all += place.dropped;
    }
    return all;
}

long Newest::left(std::size_t source) {
    const std::lock_guard<std::mutex> lock(mutex_);
    return places_[source].left;
}

bool Newest::any_full() const {
    return std::any_of(places_.begin(), places_.end(),
                       [](const Place& place) { return place.full; });
}

}  // namespace apps
