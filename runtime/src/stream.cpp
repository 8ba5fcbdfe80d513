// SPDX-License-Identifier: Apache-2.0
#include "stream.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "error.h"

namespace edge_ovss::internal {

namespace {

constexpr double kCut = 0.5;
constexpr double kUsualFps = 15.0;
constexpr double kLongestHoldMs = 10000.0;
constexpr std::size_t kTimesKept = 10;
constexpr std::size_t kColumns = 480;
constexpr std::size_t kFast = 2;

// How far an edge may be from its place, in pixels: one in kColumns columns, rounded.
std::size_t reach_of(const Size& frame) {
    return std::max<std::size_t>(1, (2 * frame.width + kColumns) / (2 * kColumns));
}

// As Python's statistics.median.
double median_of(std::vector<double> values) {
    std::sort(values.begin(), values.end());
    const std::size_t half = values.size() / 2;
    return values.size() % 2 == 1 ? values[half] : (values[half - 1] + values[half]) / 2;
}

edge_ovss_stream_options checked(const edge_ovss_stream_options& options) {
    if (options.keyframe < 1) {
        throw usage_error(text("'options.keyframe' is ", options.keyframe, "; expected 1 or more."),
                          "1: the network sees every frame; 2: every second one.");
    }
    if (!(options.hold_ms >= 0.0 && options.hold_ms <= kLongestHoldMs)) {
        throw usage_error(
            text("'options.hold_ms' is ", options.hold_ms, "; expected 0 to ", kLongestHoldMs, "."),
            "150 is the usual value.");
    }
    if (options.flow < EDGE_OVSS_FLOW_GIVEN || options.flow > EDGE_OVSS_FLOW_NONE) {
        throw usage_error(
            text("'options.flow' is ", options.flow, "; expected one of EDGE_OVSS_FLOW_..."));
    }
    return options;
}

// The caller's labels, whose rows are `stride` bytes apart, as one plane.
template <class Label>
std::vector<Label> without_gaps(const std::uint8_t* labels, const Size& frame, std::size_t stride) {
    std::vector<Label> plane(frame.pixels());
    for (std::size_t y = 0; y < frame.height; ++y) {
        std::memcpy(plane.data() + y * frame.width, labels + y * stride,
                    frame.width * sizeof(Label));
    }
    return plane;
}

// The way back.
template <class Label>
void write_rows(const std::vector<Label>& plane, const Size& frame, std::uint8_t* labels,
                std::size_t stride) {
    for (std::size_t y = 0; y < frame.height; ++y) {
        std::memcpy(labels + y * stride, plane.data() + y * frame.width,
                    frame.width * sizeof(Label));
    }
}

}  // namespace

void StreamClock::check(double time_s) const {
    if (std::isnan(time_s) || std::isinf(time_s)) {
        throw frame_error("'time_s' is not a number of seconds.", "Give -1 if it is not known.");
    }
    if (time_s >= 0.0 && now_ >= 0.0 && time_s < now_) {
        throw frame_error(text("Time goes back, from ", now_, " s to ", time_s, " s."),
                          "Give frames in the order they were taken; call "
                          "edge_ovss_stream_forget after a jump.");
    }
}

void StreamClock::tick(double time_s) {
    if (time_s >= 0.0) {
        now_ = time_s;
    } else {
        newest_ = -1.0;
    }
}

void StreamClock::saw(double time_s) {
    newest_ = time_s;
    if (time_s >= 0.0 && (seen_.empty() || time_s > seen_.back())) {
        seen_.push_back(time_s);
        if (seen_.size() > kTimesKept) {
            seen_.pop_front();
        }
    }
}

double StreamClock::age_ms() const {
    return newest_ < 0.0 || now_ < 0.0 ? -1.0 : 1000.0 * (now_ - newest_);
}

std::uint8_t StreamClock::cap() const {
    if (hold_ms_ <= 0.0) {
        return 1;
    }
    std::vector<double> gaps;
    for (std::size_t i = 1; i < seen_.size(); ++i) {
        gaps.push_back(seen_[i] - seen_[i - 1]);
    }
    const double rate = gaps.empty() ? kUsualFps / every_ : 1.0 / median_of(gaps);
    const double held = std::floor(hold_ms_ * rate / 1000 + 0.5);
    return static_cast<std::uint8_t>(std::min(std::max(1.0 + held, 2.0), 255.0));
}

template <class Label>
void LabelCounter<Label>::start(std::vector<Label>& labels) {
    labels_.swap(labels);
    counts_.assign(labels_.size(), 1);
}

template <class Label>
void LabelCounter<Label>::follow(const Sources& sources) {
    moved_.resize(labels_.size());
    moved_counts_.resize(labels_.size());
    for (std::size_t at = 0; at < labels_.size(); ++at) {
        const std::uint32_t from = sources.index[at];
        moved_[at] = labels_[from];
        moved_counts_[at] = sources.trusted[at] != 0 ? counts_[from] : 0;
    }
    labels_.swap(moved_);
    counts_.swap(moved_counts_);
}

template <class Label>
bool LabelCounter<Label>::is_edge(Label label, std::size_t at, const Size& size,
                                  const Sources& sources) const {
    const std::size_t reach = reach_of(size);
    const std::size_t row = at / size.width;
    const std::size_t col = at % size.width;
    const std::size_t down = reach * size.width;
    return sources.is_far(at, kFast * reach, size.width) &&
           ((row >= reach && labels_[at - down] == label) ||
            (row + reach < size.height && labels_[at + down] == label) ||
            (col >= reach && labels_[at - reach] == label) ||
            (col + reach < size.width && labels_[at + reach] == label));
}

template <class Label>
double LabelCounter<Label>::count(const std::vector<Label>& labels, std::uint8_t cap,
                                  const Size& size, const Sources* sources) {
    std::size_t held = 0;
    // The new labels go into the other plane, since neighbors are looked at.
    moved_.resize(labels_.size());
    for (std::size_t at = 0; at < labels_.size(); ++at) {
        const std::uint8_t known = counts_[at];
        const bool same = labels[at] == labels_[at];
        const bool kept =
            !same && known > 1 && !(sources != nullptr && is_edge(labels[at], at, size, *sources));
        moved_[at] = kept ? labels_[at] : labels[at];
        if (same) {
            counts_[at] = static_cast<std::uint8_t>(std::min<int>(known + 1, cap));
        } else {
            counts_[at] = static_cast<std::uint8_t>(kept ? known - 1 : 1);
        }
        held += kept ? 1 : 0;
    }
    labels_.swap(moved_);
    return static_cast<double>(held) / static_cast<double>(labels_.size());
}

template class LabelCounter<std::uint8_t>;
template class LabelCounter<std::uint16_t>;

#ifndef EDGE_OVSS_HAVE_OPENCV
std::unique_ptr<FlowEstimator> make_dis_flow() {
    return nullptr;
}
#endif

Stream::Stream(const edge_ovss_stream_options& options)
    : options_(checked(options)), clock_(options_.hold_ms, options_.keyframe) {
    if (options_.flow == EDGE_OVSS_FLOW_DIS) {
        estimator_ = make_dis_flow();
        if (estimator_ == nullptr) {
            throw missing_error("EDGE_OVSS_FLOW_DIS needs OpenCV, and this library has none.",
                                "Build it with EDGE_OVSS_WITH_OPENCV, or hand in vectors.");
        }
    }
}

void Stream::advance(const edge_ovss_frame& frame, const Motion* motion, double time_s,
                     edge_ovss_step& step) {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (motion != nullptr && options_.flow != EDGE_OVSS_FLOW_GIVEN) {
        throw usage_error("'motion' is given, but the stream has a flow of its own.",
                          "Give NULL, or open it with EDGE_OVSS_FLOW_GIVEN.");
    }
    clock_.check(time_s);
    const Size size{static_cast<std::size_t>(frame.height), static_cast<std::size_t>(frame.width)};
    const bool followed = find_sources(frame, motion, size);
    next_ = size;
    const double lost = followed ? sources_.lost() : 1.0;
    clock_.tick(time_s);
    time_s_ = time_s;
    fresh_ = !followed || lost > kCut;
    since_ = fresh_ ? options_.keyframe : since_ + 1;
    step_.cut = followed && fresh_ ? 1 : 0;
    step_.lost = lost;
    step_.held = 0.0;
    step_.key = since_ >= options_.keyframe ? 1 : 0;
    step_.age_ms = step_.key != 0 ? (time_s >= 0.0 ? 0.0 : -1.0) : clock_.age_ms();
    waits_ = true;
    step = step_;
}

// False where there is nothing to go on from.
bool Stream::find_sources(const edge_ovss_frame& frame, const Motion* motion, const Size& size) {
    Motion estimated;
    if (estimator_ != nullptr) {
        // Every frame, so that the next one has this one before it.
        motion = estimator_->advance(frame, estimated) ? &estimated : nullptr;
    }
    if (motion != nullptr) {
        sources_.follow(*motion, size);
    } else if (options_.flow == EDGE_OVSS_FLOW_NONE) {
        sources_.stay(size);
    } else {
        return false;
    }
    // A frame that was never answered leaves the planes behind.
    return size_ == size && !waits_;
}

std::size_t Stream::checked_stride(const Size& frame, std::size_t size, std::size_t stride,
                                   std::int32_t label_bytes) const {
    if ((label_bytes != 1 && label_bytes != 2) ||
        (label_bytes_ != 0 && label_bytes_ != label_bytes)) {
        throw usage_error(text("'label_bytes' is ", label_bytes,
                               "; expected 1 or 2, the same for a whole stream."));
    }
    const std::size_t row = frame.width * static_cast<std::size_t>(label_bytes);
    const std::size_t used = stride == 0 ? row : stride;
    if (used < row || used % static_cast<std::size_t>(label_bytes) != 0) {
        throw usage_error(text("'stride' is ", stride, " bytes; expected at least ", row,
                               ", a multiple of label_bytes."));
    }
    if (size < (frame.height - 1) * used + row) {
        throw capacity_error(text("'labels' has room for ", size, " bytes; expected ",
                                  (frame.height - 1) * used + row, "."));
    }
    return used;
}

void Stream::answer(void* labels, std::size_t size, std::size_t stride, std::int32_t label_bytes,
                    edge_ovss_step& step) {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (!waits_) {
        throw usage_error("There is no frame to answer.", "Call edge_ovss_stream_advance first.");
    }
    const std::size_t used = checked_stride(next_, size, stride, label_bytes);
    label_bytes_ = label_bytes;
    auto* first = static_cast<std::uint8_t*>(labels);
    if (label_bytes == 1) {
        answer_in(bytes_, first, used);
    } else {
        answer_in(words_, first, used);
    }
    asked_ = asked_ && !fresh_;
    if (asked_ && asked_is_newest_) {
        since_asked_ = sources_;
    } else if (asked_) {
        since_asked_.then(sources_);
    }
    asked_is_newest_ = false;
    size_ = next_;
    waits_ = false;
    step = step_;
}

template <class Label>
void Stream::answer_in(LabelCounter<Label>& counter, std::uint8_t* labels, std::size_t stride) {
    if (!fresh_) {
        counter.follow(sources_);
    }
    if (step_.key != 0) {
        std::vector<Label> given = without_gaps<Label>(labels, next_, stride);
        clock_.saw(time_s_);
        since_ = 0;
        if (fresh_) {
            counter.start(given);
        } else {
            step_.held = counter.count(given, clock_.cap(), next_, &sources_);
        }
    }
    write_rows(counter.labels(), next_, labels, stride);
}

void Stream::ask() {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (waits_ || size_.pixels() == 0) {
        throw usage_error("There is no frame that was answered.",
                          "Call edge_ovss_stream_advance and edge_ovss_stream_answer first.");
    }
    asked_ = asked_is_newest_ = true;
    asked_s_ = time_s_;
    asked_moved_ = !fresh_;
    if (asked_moved_) {
        asked_sources_ = sources_;
    }
    if (label_bytes_ == 1) {
        asked_bytes_ = bytes_;
    } else {
        asked_words_ = words_;
    }
}

void Stream::late_answer(void* labels, std::size_t size, std::size_t stride,
                         std::int32_t label_bytes, edge_ovss_step& step) {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (waits_ || size_.pixels() == 0) {
        throw usage_error("A frame still waits for its answer.",
                          "Call edge_ovss_stream_answer first.");
    }
    const std::size_t used = checked_stride(size_, size, stride, label_bytes);
    step_.key = asked_ ? 1 : 0;
    step_.held = 0.0;
    auto* first = static_cast<std::uint8_t*>(labels);
    if (label_bytes == 1) {
        late_answer_in(bytes_, asked_bytes_, first, used);
    } else {
        late_answer_in(words_, asked_words_, first, used);
    }
    step_.age_ms = clock_.age_ms();
    asked_ = false;
    step = step_;
}

template <class Label>
void Stream::late_answer_in(LabelCounter<Label>& counter, LabelCounter<Label>& asked,
                            std::uint8_t* labels, std::size_t stride) {
    if (asked_) {
        const std::vector<Label> given = without_gaps<Label>(labels, size_, stride);
        clock_.saw(asked_s_);
        step_.held =
            asked.count(given, clock_.cap(), size_, asked_moved_ ? &asked_sources_ : nullptr);
        if (!asked_is_newest_) {
            asked.follow(since_asked_);
        }
        std::swap(counter, asked);
    }
    write_rows(counter.labels(), size_, labels, stride);
}

void Stream::forget() {
    const std::lock_guard<std::mutex> lock(mutex_);
    asked_ = false;
    clock_ = StreamClock(options_.hold_ms, options_.keyframe);
    size_ = {};
    waits_ = false;
    if (estimator_ != nullptr) {
        estimator_->forget();
    }
}

}  // namespace edge_ovss::internal
