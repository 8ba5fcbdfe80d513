// SPDX-License-Identifier: Apache-2.0
#include "session.h"

#include <algorithm>
#include <chrono>
#include <cstring>

#include "error.h"
#include "pixels.h"
#include "unknown.h"

namespace edge_ovss::internal {

namespace {

using Clock = std::chrono::steady_clock;

constexpr const char* kExportAgain = "The graph does not match its manifest; export it again.";

double milliseconds(Clock::time_point from, Clock::time_point to) {
    return std::chrono::duration<double, std::milli>(to - from).count();
}

// Where the labels go, checked.
struct LabelRoom {
    std::uint8_t* at = nullptr;
    std::size_t stride = 0;
    std::size_t row = 0;  // bytes of one row
};

LabelRoom check_label_room(const edge_ovss_result& result, const Pixels& frame,
                           std::size_t element) {
    if (result.labels == nullptr) {
        throw usage_error("The result's 'labels' is a null pointer.");
    }
    LabelRoom room{static_cast<std::uint8_t*>(result.labels), result.labels_stride,
                   frame.width * element};
    if (room.stride == 0) {
        room.stride = room.row;
    }
    if (room.stride < room.row || room.stride % element != 0 ||
        room.stride > std::size_t{1} << 30) {
        throw usage_error(text("The result's 'labels_stride' is ", result.labels_stride,
                               " bytes; expected a multiple of ", element, " from ", room.row,
                               "."));
    }
    const std::size_t needed = (frame.height - 1) * room.stride + room.row;
    if (result.labels_capacity < needed) {
        throw capacity_error(text("The result's 'labels' has room for ", result.labels_capacity,
                                  " bytes; a frame of ", frame.height, " x ", frame.width,
                                  " needs ", needed, "."));
    }
    return room;
}

void check_wanted(const edge_ovss_result& result, const Pixels& frame, const Manifest& manifest) {
    if (result.confidence != nullptr) {
        if (!manifest.answers_with("confidence")) {
            throw usage_error("Confidence is asked for; the bundle was exported without.",
                              "Export it again with --outputs labels,confidence.");
        }
        const std::size_t needed = frame.height * frame.width * sizeof(float);
        if (result.confidence_capacity < needed) {
            throw capacity_error(text("The result's 'confidence' has room for ",
                                      result.confidence_capacity, " bytes; a frame of ",
                                      frame.height, " x ", frame.width, " needs ", needed, "."));
        }
    }
    if (result.scores != nullptr && !manifest.answers_with("scores")) {
        throw usage_error("Scores are asked for; the bundle was exported without.",
                          "Export it again with --outputs labels,scores.");
    }
}

// One more than the highest label. With `reserved`, the last value of the type, which stands for
// unknown, is left out: one more than it is 0.
template <class Label>
std::size_t beyond(const void* labels, std::size_t count, bool reserved) {
    const auto* first = static_cast<const Label*>(labels);
    Label most = 0;
    if (!reserved) {
        for (std::size_t i = 0; i < count; ++i) {
            most = std::max(most, first[i]);
        }
        return std::size_t{most} + 1;
    }
    for (std::size_t i = 0; i < count; ++i) {
        most = std::max(most, static_cast<Label>(first[i] + 1));
    }
    return most;
}

[[noreturn]] void refuse_range(const char* output, std::size_t given, std::size_t limit) {
    throw artifact_error(text("Output '", output, "' of the graph is as high as ", given,
                              "; expected values below ", limit, "."),
                         kExportAgain);
}

// What comes after this trusts the answer.
void check_answer(const Answer& answer, const Pixels& frame, const Bundle& bundle) {
    const std::size_t pixels = frame.height * frame.width;
    const bool narrow = bundle.manifest.labels_dtype == "uint8";
    const bool reserved = bundle.manifest.takes_thresholds;
    const std::size_t end = narrow ? beyond<std::uint8_t>(answer.labels, pixels, reserved)
                                   : beyond<std::uint16_t>(answer.labels, pixels, reserved);
    if (end > bundle.vocabulary.names.size()) {
        refuse_range("labels", end - 1, bundle.vocabulary.names.size());
    }
    for (std::size_t i = 0; i < answer.alive_count; ++i) {
        const std::int32_t id = answer.alive[i];
        if (id >= 0 && static_cast<std::size_t>(id) >= bundle.vocabulary.categories) {
            refuse_range("alive", static_cast<std::size_t>(id), bundle.vocabulary.categories);
        }
    }
    if (answer.counts_count > EDGE_OVSS_MAX_REJECTIONS) {
        throw artifact_error(text("Output 'counts' of the graph has ", answer.counts_count,
                                  " numbers; expected at most ", EDGE_OVSS_MAX_REJECTIONS, "."),
                             kExportAgain);
    }
}

void copy_labels(const Answer& answer, const Pixels& frame, const LabelRoom& room) {
    const auto* from = static_cast<const std::uint8_t*>(answer.labels);
    for (std::size_t y = 0; y < frame.height; ++y) {
        std::memcpy(room.at + y * room.stride, from + y * room.row, room.row);
    }
}

void copy_alive(const Answer& answer, edge_ovss_result& result) {
    result.alive_count = 0;
    for (std::size_t i = 0; i < answer.alive_count; ++i) {
        if (answer.alive[i] < 0) {
            continue;  // an empty slot
        }
        if (result.alive != nullptr) {
            if (result.alive_count >= result.alive_capacity) {
                throw capacity_error(text("The result's 'alive' has room for ",
                                          result.alive_capacity, " ids; more categories remain."),
                                     "Give room for edge_ovss_info.categories ids.");
            }
            result.alive[result.alive_count] = answer.alive[i];
        }
        ++result.alive_count;
    }
}

void copy_counts(const Answer& answer, const Manifest& manifest, edge_ovss_result& result) {
    result.counts_count = static_cast<std::int32_t>(answer.counts_count);
    result.overflow = 0;
    for (std::size_t i = 0; i < answer.counts_count; ++i) {
        result.counts[i] = answer.counts[i];
        if (i < manifest.slots.size() && answer.counts[i] > manifest.slots[i]) {
            result.overflow = 1;
        }
    }
}

void copy_scores(Answer answer, const Bundle& bundle, edge_ovss_result& result) {
    // Those of empty places come last.
    answer.scores_shape[0] = std::min(answer.scores_shape[0], bundle.vocabulary.categories);
    std::size_t needed = answer.scores == nullptr ? 0 : sizeof(float);
    for (std::size_t i = 0; i < 3; ++i) {
        result.scores_shape[i] = static_cast<std::int32_t>(answer.scores_shape[i]);
        needed *= answer.scores_shape[i];
    }
    if (result.scores == nullptr) {
        return;
    }
    if (result.scores_capacity < needed) {
        throw capacity_error(text("The result's 'scores' has room for ", result.scores_capacity,
                                  " bytes; expected ", needed, "."));
    }
    std::memcpy(result.scores, answer.scores, needed);
}

}  // namespace

Session::Session(const std::string& path, const Settings& settings, bool hashes)
    : opened_(std::make_shared<const Bundle>(open_bundle(path, hashes))),
      backend_name_(resolve_backend(settings.backend)),
      graphs_(backend_name_, *opened_, settings),
      thresholds_(opened_->manifest.thresholds),
      by_output_(opened_->manifest.by_output),
      now_(opened_) {}

Session::Session(Bundle bundle, std::unique_ptr<Backend> backend)
    : opened_(std::make_shared<const Bundle>(std::move(bundle))),
      backend_name_("test"),
      graphs_(*opened_, std::move(backend)),
      thresholds_(opened_->manifest.thresholds),
      by_output_(opened_->manifest.by_output),
      now_(opened_) {}

std::shared_ptr<const Bundle> Session::bundle() const {
    const std::lock_guard<std::mutex> lock(now_mutex_);
    return now_;
}

const char* Session::keep(const std::string& name) {
    const std::lock_guard<std::mutex> lock(now_mutex_);
    return names_.insert(name).first->c_str();
}

void Session::use_words(Words words) {
    const std::lock_guard<std::mutex> changing(words_mutex_);
    const auto old = bundle();
    auto now = std::make_shared<const Bundle>(with_words(*old, std::move(words)));
    const GraphChoice::Prepared prepared = graphs_.prepare(*now);
    const std::lock_guard<std::mutex> lock(mutex_);
    std::vector<float> thresholds = thresholds_for(*old, thresholds_, by_output_, *now);
    graphs_.use(prepared, *now, thresholds);
    thresholds_ = std::move(thresholds);
    const std::lock_guard<std::mutex> lock_now(now_mutex_);
    now_ = std::move(now);
}

void Session::use_thresholds(std::vector<float> thresholds, bool by_output) {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (!thresholds.empty() && thresholds.size() != bundle()->vocabulary.names.size()) {
        throw usage_error("The words were changed while thresholds were given for those before.",
                          "Give them again.");
    }
    if (!thresholds.empty()) {
        graphs_.running().use_thresholds(thresholds);
    }
    thresholds_ = std::move(thresholds);
    by_output_ = by_output;
}

std::vector<float> Session::thresholds() {
    const std::lock_guard<std::mutex> lock(mutex_);
    return thresholds_;
}

edge_ovss_info Session::info() {
    const auto now = bundle();
    const Manifest& manifest = now->manifest;
    edge_ovss_info info = edge_ovss_info_default();
    info.backend = backend_name_.c_str();
    info.model = opened_->manifest.model.c_str();
    info.vocabulary = keep(manifest.vocabulary_name);
    info.precision = opened_->manifest.precision.c_str();
    info.rejection = opened_->manifest.rejection.c_str();
    info.tool = opened_->manifest.tool.c_str();
    info.outputs = static_cast<std::int32_t>(manifest.outputs);
    info.categories = static_cast<std::int32_t>(manifest.categories);
    info.label_bytes = manifest.labels_dtype == "uint8" ? 1 : 2;
    info.network_height = manifest.network_height;
    info.network_width = manifest.network_width;
    info.has_confidence = manifest.answers_with("confidence") ? 1 : 0;
    info.has_scores = manifest.answers_with("scores") ? 1 : 0;
    info.takes_thresholds = manifest.takes_thresholds ? 1 : 0;
    info.unknown_label = static_cast<std::int32_t>(unknown_label(manifest));
    info.slot_count = static_cast<std::int32_t>(manifest.slots.size());
    std::copy(manifest.slots.begin(), manifest.slots.end(), info.slots);
    info.places = static_cast<std::int32_t>(manifest.places);
    return info;
}

void Session::segment(const edge_ovss_frame& frame, edge_ovss_result& result) {
    const auto start = Clock::now();
    const Pixels pixels = check_frame(frame);
    const std::size_t element = opened_->manifest.labels_dtype == "uint8" ? 1 : 2;
    const LabelRoom room = check_label_room(result, pixels, element);
    check_wanted(result, pixels, opened_->manifest);

    const std::lock_guard<std::mutex> lock(mutex_);
    const auto now = bundle();
    Backend& backend = graphs_.running();
    to_rgb(pixels, backend.input(pixels.height, pixels.width), 3 * pixels.width);
    const auto ready = Clock::now();
    const Answer answer = backend.run();
    const auto done = Clock::now();
    check_answer(answer, pixels, *now);
    copy_labels(answer, pixels, room);
    if (result.confidence != nullptr) {
        std::memcpy(result.confidence, answer.confidence,
                    pixels.height * pixels.width * sizeof(float));
    }
    copy_alive(answer, result);
    copy_counts(answer, now->manifest, result);
    copy_scores(answer, *now, result);
    const auto end = Clock::now();
    result.pre_ms = milliseconds(start, ready);
    result.infer_ms = milliseconds(ready, done);
    result.post_ms = milliseconds(done, end);
    result.total_ms = milliseconds(start, end);
}

}  // namespace edge_ovss::internal
