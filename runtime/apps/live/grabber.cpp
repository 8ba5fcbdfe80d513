// SPDX-License-Identifier: Apache-2.0
#include "grabber.h"

#include <algorithm>

#include "../arguments.h"
#include "../words.h"

namespace apps {

namespace {

using Time = std::chrono::steady_clock::time_point;

constexpr double kUsual = 0.9;
constexpr std::chrono::seconds kGoodbye(1);

double seconds_since(Time start) {
    const std::chrono::duration<double> passed = std::chrono::steady_clock::now() - start;
    return passed.count();
}

}  // namespace

Grabber::Grabber(std::size_t number, LiveSource source, std::shared_ptr<Newest> newest,
                 const Persistence& persistence, Warn warn)
    : work_(std::make_shared<Work>()) {
    work_->number = number;
    work_->source = std::move(source);
    work_->newest = std::move(newest);
    work_->persistence = persistence;
    work_->warn = std::move(warn);
    work_->state.heard = std::chrono::steady_clock::now();
    thread_ = std::thread([work = work_] { work->run(); });
}

Grabber::~Grabber() {
    stop();
    if (!thread_.joinable()) {
        return;
    }
    if (join()) {
        thread_.join();
    } else {
        thread_.detach();
    }
}

void Grabber::stop() {
    const std::lock_guard<std::mutex> lock(work_->mutex);
    work_->ending = true;
    work_->changed.notify_all();
}

bool Grabber::join() {
    std::unique_lock<std::mutex> lock(work_->mutex);
    return work_->changed.wait_for(lock, kGoodbye, [this] { return work_->state.has_ended; });
}

GrabberState Grabber::state() const {
    const std::lock_guard<std::mutex> lock(work_->mutex);
    return work_->state;
}

void Grabber::Work::run() {
    std::optional<edge_ovss::Error> failed;
    try {
        read_all();
    } catch (const edge_ovss::Error& err) {
        failed = err;
    } catch (const std::exception& err) {  // the run must learn of it, and its thread cannot throw
        failed = bad_input("Reading '" + source.label + "' failed: " + err.what() + ".",
                           "Check the camera and its driver.");
    }
    {
        const std::lock_guard<std::mutex> lock(mutex);
        state.failed = failed;
        state.has_ended = true;
        changed.notify_all();
    }
    newest->wake();
}

void Grabber::Work::read_all() {
    std::unique_ptr<Source> camera = source.open(ending);
    Captured captured;
    while (camera && !ending) {
        std::string why;
        bool there = false;
        try {
            there = camera->read(captured);
        } catch (const edge_ovss::Error& err) {
            if (camera->ends() || state.read == 0) {
                throw;
            }
            why = err.what();
        }
        if (there) {
            put(captured);
            continue;
        }
        const bool ends = camera->ends();
        camera.reset();
        camera = after_the_end(ends, why);
    }
}

void Grabber::Work::put(Captured& captured) {
    {
        const std::lock_guard<std::mutex> lock(mutex);
        const Time now = std::chrono::steady_clock::now();
        if (state.is_trying) {  // a first frame says nothing of the pace
            state.is_trying = false;
            ++state.reconnects;
        } else if (state.read > 0) {
            const double gap = std::chrono::duration<double>(now - state.heard).count();
            state.interval_s = state.interval_s > 0.0
                                   ? state.interval_s + (1.0 - kUsual) * (gap - state.interval_s)
                                   : gap;
        }
        state.heard = now;
        ++state.read;
    }
    captured.source = number;
    newest->put(captured);
}

// The source, opened again; none if this is the end.
std::unique_ptr<Source> Grabber::Work::after_the_end(bool ends, const std::string& why) {
    if (ending) {
        return nullptr;
    }
    if (state.read == 0) {
        throw bad_input("Video source '" + source.label + "' gave no frames.",
                        "Try it in a player, and check that it is switched on.");
    }
    if (ends) {
        return nullptr;
    }
    return open_again(why);
}

std::unique_ptr<Source> Grabber::Work::open_again(const std::string& why) {
    {
        const std::lock_guard<std::mutex> lock(mutex);
        state.is_trying = true;
    }
    const Time start = std::chrono::steady_clock::now();
    double wait_s = persistence.first_wait_s;
    long tries = 0;
    std::string hint = why.empty() ? "Check the camera, or let it be opened again: --reconnect S."
                                   : "The last word of it: " + why;
    if (persistence.reconnect_s > 0.0) {
        warn(source.label + " is lost; trying to open it again");
    }
    while (seconds_since(start) < persistence.reconnect_s) {
        if (sleep(wait_s)) {
            return nullptr;
        }
        ++tries;
        wait_s = std::min(2.0 * wait_s, persistence.longest_wait_s);
        try {
            auto camera = source.open(ending);
            Captured captured;
            if (camera->read(captured)) {
                put(captured);
                warn(source.label + " is back after " + in_words("%.1f s", seconds_since(start)));
                return camera;
            }
            hint = "The last try: it can be opened, but sends nothing.";
        } catch (const edge_ovss::Error& err) {
            hint = std::string("The last try: ") + err.what();
        }
    }
    std::string message = "Video source '" + source.label + "' ended, or was lost";
    if (persistence.reconnect_s > 0.0) {
        message += in_words(", and was not back within %g s (", persistence.reconnect_s) +
                   std::to_string(tries) + " tries)";
    }
    throw bad_input(message + ".", hint);
}

// Whether the program is ending.
bool Grabber::Work::sleep(double seconds) {
    std::unique_lock<std::mutex> lock(mutex);
    return changed.wait_for(lock, std::chrono::duration<double>(seconds),
                            [this] { return ending.load(); });
}

}  // namespace apps
