// SPDX-License-Identifier: Apache-2.0
#include "labeler.h"

#include <algorithm>

namespace ovss {

namespace {

edge_ovss_options options_of(const Settings& settings) {
    edge_ovss_options options = edge_ovss_options_default();
    options.backend = settings.backend.empty() ? nullptr : settings.backend.c_str();
    options.cache = settings.cache.empty() ? nullptr : settings.cache.c_str();
    options.threads = settings.threads;
    options.device = settings.device;
    return options;
}

edge_ovss::Segmenter opened(const Settings& settings) {
    if (settings.bundle.empty()) {
        throw edge_ovss::Error(EDGE_OVSS_ERROR_USAGE, "The property 'bundle' is not set.",
                               "Give the folder that edge-ovss export wrote: bundle=city.ovss");
    }
    return edge_ovss::Segmenter(settings.bundle, options_of(settings));
}

// The stream's clock must not go back, and sources may repeat or lose a time.
constexpr double kNotKnown = -1.0;

}  // namespace

Labeler::Labeler(const Settings& settings)
    : segmenter_(opened(settings)),
      info_(segmenter_.info()),
      names_(segmenter_.names()),
      palette_(segmenter_.palette()) {
    if (!settings.unknown.empty()) {
        segmenter_.choose_unknown(settings.unknown);
    }
    settings_ = settings;
    open_stream(settings);
}

Labeler::~Labeler() {
    close_stream();
}

void Labeler::change(const Settings& settings) {
    if (settings.unknown != settings_.unknown) {
        if (!settings.unknown.empty()) {
            segmenter_.choose_unknown(settings.unknown);
        } else if (info_.takes_thresholds != 0) {
            segmenter_.set_unknown({});
        }
        settings_.unknown = settings.unknown;
    }
    if (!settings.follows_as(settings_)) {
        open_stream(settings);
    }
    settings_ = settings;
}

void Labeler::open_stream(const Settings& settings) {
    close_stream();
    if (!settings.stabilize && settings.keyframe == 1) {
        return;
    }
    edge_ovss_stream_options options = edge_ovss_stream_options_default();
    options.hold_ms = settings.stabilize ? settings.hold_ms : 0.0;
    options.keyframe = settings.keyframe;
    options.flow = EDGE_OVSS_FLOW_DIS;
    const edge_ovss_status status = edge_ovss_stream_open(&options, &stream_);
    if (status == EDGE_OVSS_ERROR_MISSING) {
        options.flow = EDGE_OVSS_FLOW_NONE;
        edge_ovss::check(edge_ovss_stream_open(&options, &stream_));
        stands_still_ = true;
    } else {
        edge_ovss::check(status);
    }
}

void Labeler::close_stream() {
    edge_ovss_stream_close(stream_);
    stream_ = nullptr;
    stands_still_ = false;
    last_s_ = kNotKnown;
}

void Labeler::forget() {
    if (stream_ != nullptr) {
        edge_ovss::check(edge_ovss_stream_forget(stream_));
    }
    last_s_ = kNotKnown;
}

bool Labeler::segment(const edge_ovss::Frame& frame, double time_s) {
    if (stream_ == nullptr) {
        run(frame);
        return true;
    }
    if (time_s >= 0.0 && time_s < last_s_) {
        forget();
    }
    edge_ovss_step step = edge_ovss_step_default();
    edge_ovss::check(edge_ovss_stream_advance(stream_, &frame.c, nullptr, time_s, &step));
    last_s_ = std::max(time_s, last_s_);
    if (step.key != 0) {
        run(frame);
    } else {
        result_.c.pre_ms = result_.c.infer_ms = result_.c.post_ms = result_.c.total_ms = 0.0;
    }
    edge_ovss::check(edge_ovss_stream_answer(stream_, result_.labels.data(), result_.labels.size(),
                                             0, result_.label_bytes, &step));
    return step.key != 0;
}

// Like edge_ovss::Segmenter::segment, but without the confidence, which nobody here reads.
void Labeler::run(const edge_ovss::Frame& frame) {
    const auto bytes = static_cast<std::size_t>(info_.label_bytes);
    result_.labels.resize(static_cast<std::size_t>(frame.c.height) *
                          static_cast<std::size_t>(frame.c.width) * bytes);
    result_.height = frame.c.height;
    result_.width = frame.c.width;
    result_.label_bytes = info_.label_bytes;
    result_.c = edge_ovss_result_default();
    result_.c.labels = result_.labels.data();
    result_.c.labels_capacity = result_.labels.size();
    edge_ovss::check(edge_ovss_segment(segmenter_.handle(), &frame.c, &result_.c));
    result_.c.labels = nullptr;
}

}  // namespace ovss
