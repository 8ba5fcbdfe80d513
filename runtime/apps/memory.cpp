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

Memory::Memory(const Arguments& arguments) : start_(std::chrono::steady_clock::now()) {
    if (!arguments.has("--stabilize") && !arguments.has("--keyframe")) {
        if (arguments.has("--flow")) {
            throw usage("--flow is given without --stabilize or --keyframe.");
        }
        return;
    }
    edge_ovss_stream_options options = edge_ovss_stream_options_default();
    options.hold_ms = arguments.real("--stabilize", 0.0, 0.0, 10000.0);
    options.keyframe = arguments.number("--keyframe", 1, 1, 1000000);
    options.flow = flow_of(arguments);
    edge_ovss::check(edge_ovss_stream_open(&options, &stream_));
}

Memory::~Memory() {
    edge_ovss_stream_close(stream_);
}

bool Memory::segment(edge_ovss::Segmenter& segmenter, const Captured& captured,
                     edge_ovss::Result& result) {
    if (stream_ == nullptr) {
        segmenter.segment(captured.frame(), result);
        return true;
    }
    // A frame may have been taken before the program was ready for the first one.
    const std::chrono::duration<double> passed = captured.time - start_ + std::chrono::hours(1);
    const auto frame = captured.frame();
    edge_ovss_step step = edge_ovss_step_default();
    edge_ovss::check(
        edge_ovss_stream_advance(stream_, &frame.c, nullptr, passed.count(), &step));
    if (step.key != 0) {
        segmenter.segment(frame, result);
    }
    edge_ovss::check(edge_ovss_stream_answer(stream_, result.labels.data(), result.labels.size(),
                                             0, result.label_bytes, &step));
    return step.key != 0;
}

}  // namespace apps
