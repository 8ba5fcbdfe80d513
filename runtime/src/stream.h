// SPDX-License-Identifier: Apache-2.0
// Labels that go along with the motion; the rules are those of edge_ovss/runtime/stream.
#pragma once

#include <edge_ovss/edge_ovss_stream.h>

#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <vector>

#include "motion.h"

namespace edge_ovss::internal {

// When frames were taken: the rate of inferences, and the age of what is shown. Times below 0 are
// not known.
class StreamClock {
public:
    StreamClock(double hold_ms, std::int32_t every) : hold_ms_(hold_ms), every_(every) {}

    // Throws an input error where time goes back.
    void check(double time_s) const;
    void tick(double time_s);
    void saw(double time_s);
    double age_ms() const;
    // The largest count of the label counter now; 1: the network is always right.
    std::uint8_t cap() const;

private:
    double hold_ms_;
    std::int32_t every_;
    double now_ = -1.0;
    double newest_ = -1.0;
    std::deque<double> seen_;
};

// Two planes of the frame's size: the label of every pixel, and how often it was confirmed.
template <class Label>
class LabelCounter {
public:
    void start(std::vector<Label>& labels);
    void follow(const Sources& sources);
    // Keeps the surer of what moved here and what the network says; returns the share held.
    // `sources` is the motion to this frame, or null.
    double count(const std::vector<Label>& labels, std::uint8_t cap, const Size& size,
                 const Sources* sources);
    const std::vector<Label>& labels() const { return labels_; }

private:
    // Whether a pixel moves fast, and has this label beside it.
    bool is_edge(Label label, std::size_t at, const Size& size, const Sources& sources) const;

    std::vector<Label> labels_;
    std::vector<Label> moved_;
    std::vector<std::uint8_t> counts_;
    std::vector<std::uint8_t> moved_counts_;
};

// Estimates the motion from images; there is one in builds with OpenCV.
class FlowEstimator {
public:
    virtual ~FlowEstimator() = default;
    // The motion to the frame before; false where there is none. Valid until the next call.
    virtual bool advance(const edge_ovss_frame& frame, Motion& motion) = 0;
    virtual void forget() = 0;
};

// Null in a build without OpenCV.
std::unique_ptr<FlowEstimator> make_dis_flow();

class Stream {
public:
    explicit Stream(const edge_ovss_stream_options& options);

    void advance(const edge_ovss_frame& frame, const Motion* motion, double time_s,
                 edge_ovss_step& step);
    void answer(void* labels, std::size_t size, std::size_t stride, std::int32_t label_bytes,
                edge_ovss_step& step);
    void ask();
    void late_answer(void* labels, std::size_t size, std::size_t stride, std::int32_t label_bytes,
                     edge_ovss_step& step);
    void forget();

private:
    // Bytes from row to row; throws where the memory for labels does not fit a frame.
    std::size_t checked_stride(const Size& frame, std::size_t size, std::size_t stride,
                               std::int32_t label_bytes) const;
    bool find_sources(const edge_ovss_frame& frame, const Motion* motion, const Size& size);
    template <class Label>
    void answer_in(LabelCounter<Label>& counter, std::uint8_t* labels, std::size_t stride);
    template <class Label>
    void late_answer_in(LabelCounter<Label>& counter, LabelCounter<Label>& asked,
                        std::uint8_t* labels, std::size_t stride);

    std::mutex mutex_;
    edge_ovss_stream_options options_;
    StreamClock clock_;
    std::unique_ptr<FlowEstimator> estimator_;
    Sources sources_;
    LabelCounter<std::uint8_t> bytes_;
    LabelCounter<std::uint16_t> words_;
    Size size_;  // of the planes; 0 before the first answer
    Size next_;  // of the frame that waits for its answer
    std::int32_t label_bytes_ = 0;
    std::int32_t since_ = 0;  // frames since the last key frame
    double time_s_ = -1.0;
    bool waits_ = false;
    bool fresh_ = true;  // nothing that is known belongs to the waiting frame
    edge_ovss_step step_ = edge_ovss_step_default();

    // What was known of the frame that the network looks at, and where the newest frame's pixels
    // were in it.
    bool asked_ = false;
    bool asked_is_newest_ = false;
    double asked_s_ = -1.0;
    bool asked_moved_ = false;
    Sources asked_sources_;  // of that frame, if it moved from one before
    Sources since_asked_;
    LabelCounter<std::uint8_t> asked_bytes_;
    LabelCounter<std::uint16_t> asked_words_;
};

}  // namespace edge_ovss::internal
