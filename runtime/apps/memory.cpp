// SPDX-License-Identifier: Apache-2.0
#include "memory.h"

#include <string>

namespace apps {

namespace {

std::int32_t flow_of(const Arguments& arguments) {
#ifdef EDGE_OVSS_HAVE_OPENCV
    const std::string name = arguments.value("--flow", "dis");
#else
    if (!arguments.has("--flow")) {
        throw usage(
            "--stabilize and --keyframe follow labels by OpenCV's flow, and this build has none; "
            "build with EDGE_OVSS_WITH_OPENCV, or give --flow none: labels then stay where they "
            "are");
    }
    const std::string name = arguments.value("--flow", "none");
#endif
    if (name == "dis") {
        return EDGE_OVSS_FLOW_DIS;
    }
    if (name == "none") {
        return EDGE_OVSS_FLOW_NONE;
    }
    throw usage("--flow is '" + name + "'; expected dis or none.");
}

}  // namespace

Background::Background(edge_ovss::Segmenter& segmenter)
    : segmenter_(segmenter), thread_([this] { work(); }) {}

Background::~Background() {
    {
        const std::lock_guard<std::mutex> lock(mutex_);
        ending_ = true;
        changed_.notify_all();
    }
    thread_.join();
}

void Background::begin(const Captured& captured) {
    const std::lock_guard<std::mutex> lock(mutex_);
    captured_ = captured;
    busy_ = given_ = true;
    changed_.notify_all();
}

bool Background::ready() {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (failure_) {
        std::rethrow_exception(failure_);
    }
    return busy_ && !given_;
}

void Background::drop() {
    std::unique_lock<std::mutex> lock(mutex_);
    changed_.wait(lock, [this] { return !given_; });
    busy_ = false;
    if (failure_) {
        std::rethrow_exception(failure_);
    }
}

void Background::work() {
    std::unique_lock<std::mutex> lock(mutex_);
    for (;;) {
        changed_.wait(lock, [this] { return given_ || ending_; });
        if (ending_) {
            return;
        }
        lock.unlock();
        std::exception_ptr failure;
        try {
            segmenter_.segment(captured_.frame(), result_);
        } catch (...) {
            failure = std::current_exception();
        }
        lock.lock();
        failure_ = failure;
        given_ = false;
        changed_.notify_all();
    }
}

Memory::Memory(const Arguments& arguments, edge_ovss::Segmenter& segmenter, bool are_frames)
    : segmenter_(segmenter), start_(std::chrono::steady_clock::now()) {
#ifdef EDGE_OVSS_HAVE_OPENCV
    const bool usual = are_frames && !arguments.has("--all");
#else
    (void)are_frames;
    const bool usual = false;
#endif
    if (!usual && !arguments.has("--stabilize") && !arguments.has("--keyframe")) {
        if (arguments.has("--flow")) {
            throw usage("--flow is given without --stabilize or --keyframe.");
        }
        return;
    }
    const bool late = arguments.value("--keyframe", usual ? "async" : "1") == "async";
    edge_ovss_stream_options options = edge_ovss_stream_options_default();
    options.hold_ms = arguments.real("--stabilize", usual ? options.hold_ms : 0.0, 0.0, 10000.0);
    options.keyframe =
        late ? EDGE_OVSS_NO_KEYFRAMES : arguments.number("--keyframe", 1, 1, 1000000);
    options.flow = flow_of(arguments);
    edge_ovss::check(edge_ovss_stream_open(&options, &stream_));
    if (late) {
        background_ = std::make_unique<Background>(segmenter);
    }
}

Memory::~Memory() {
    background_.reset();
    edge_ovss_stream_close(stream_);
}

bool Memory::segment(const Captured& captured, edge_ovss::Result& result) {
    if (stream_ == nullptr) {
        segmenter_.segment(captured.frame(), result);
        return true;
    }
    // A frame may have been taken before the program was ready for the first one.
    const std::chrono::duration<double> passed = captured.time - start_ + std::chrono::hours(1);
    const auto frame = captured.frame();
    edge_ovss_step step = edge_ovss_step_default();
    edge_ovss::check(edge_ovss_stream_advance(stream_, &frame.c, nullptr, passed.count(), &step));
    if (step.key != 0) {
        if (background_ != nullptr) {
            background_->drop();
        }
        segmenter_.segment(frame, result);
    }
    edge_ovss::check(edge_ovss_stream_answer(stream_, result.labels.data(), result.labels.size(), 0,
                                             result.label_bytes, &step));
    if (step.key != 0 || background_ == nullptr) {
        return step.key != 0;
    }
    return answer_late(captured, result);
}

bool Memory::answer_late(const Captured& captured, edge_ovss::Result& result) {
    const bool there = background_->ready();
    if (there) {
        result.labels = background_->answer().labels;
        result.c = background_->answer().c;
        background_->taken();
        edge_ovss::check(edge_ovss_stream_late_answer(
            stream_, result.labels.data(), result.labels.size(), 0, result.label_bytes, nullptr));
    }
    if (!background_->busy()) {
        edge_ovss::check(edge_ovss_stream_ask(stream_));
        background_->begin(captured);
    }
    return there;
}

}  // namespace apps
