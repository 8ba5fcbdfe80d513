// SPDX-License-Identifier: Apache-2.0
//
// edge_ovss.hpp - the C++17 face of edge_ovss.h: RAII and exceptions, nothing else.
//
//     edge_ovss::Segmenter segmenter("city.ovss");
//     edge_ovss::Result result;
//     segmenter.segment(edge_ovss::Frame::rgb8(pixels, height, width), result);
//     std::puts(segmenter.name(result.label(y, x)).c_str());
//
// Layouts, threads and the meaning of every field are those of edge_ovss.h. Reading a frame of the
// same size into the same `Result` allocates nothing.
#ifndef EDGE_OVSS_EDGE_OVSS_HPP
#define EDGE_OVSS_EDGE_OVSS_HPP

#include <edge_ovss/edge_ovss.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace edge_ovss {

// What every failure throws: `what()` is the message, `hint()` what to do about it.
class Error : public std::runtime_error {
public:
    Error(edge_ovss_status status, const std::string& message, std::string hint)
        : std::runtime_error(message), status_(status), hint_(std::move(hint)) {}

    edge_ovss_status status() const noexcept { return status_; }
    const std::string& hint() const noexcept { return hint_; }

private:
    edge_ovss_status status_;
    std::string hint_;
};

// Throw the last error of this thread unless `status` is EDGE_OVSS_OK.
inline void check(edge_ovss_status status) {
    if (status != EDGE_OVSS_OK) {
        throw Error(status, edge_ovss_last_error(), edge_ovss_last_hint());
    }
}

// A frame in the caller's memory; it must live until the call that takes it returns.
struct Frame {
    edge_ovss_frame c = edge_ovss_frame_default();

    Frame() = default;

    // `stride` 0: rows without a gap. `size` 0: the bytes at `data` are not counted.
    Frame(int32_t format, const void* data, int32_t height, int32_t width, std::size_t stride = 0,
          std::size_t size = 0) {
        c.format = format;
        c.data = data;
        c.height = height;
        c.width = width;
        c.stride = stride;
        c.data_size = size;
    }

    static Frame rgb8(const void* data, int32_t height, int32_t width, std::size_t stride = 0) {
        return Frame(EDGE_OVSS_FORMAT_RGB8, data, height, width, stride);
    }

    static Frame bgr8(const void* data, int32_t height, int32_t width, std::size_t stride = 0) {
        return Frame(EDGE_OVSS_FORMAT_BGR8, data, height, width, stride);
    }
};

// What one frame gives.
struct Result {
    int32_t height = 0;
    int32_t width = 0;
    int32_t label_bytes = 1;
    std::vector<std::uint8_t> labels;                 // height * width * label_bytes, without gaps
    std::vector<float> confidence;                    // height * width, or empty
    std::vector<std::int32_t> alive;                  // ids of the categories left
    edge_ovss_result c = edge_ovss_result_default();  // counts, overflow and times

    // The label of pixel (y, x), which must be inside.
    std::int32_t label(std::int32_t y, std::int32_t x) const noexcept {
        const auto at = static_cast<std::size_t>(y) * static_cast<std::size_t>(width) +
                        static_cast<std::size_t>(x);
        if (label_bytes == 1) {
            return labels[at];
        }
        std::uint16_t wide = 0;
        std::memcpy(&wide, labels.data() + 2 * at, sizeof wide);
        return wide;
    }
};

// An opened bundle. It can be moved, not copied; a moved-from object may only be destroyed or
// assigned to.
class Segmenter {
public:
    explicit Segmenter(const std::string& bundle,
                       const edge_ovss_options& options = edge_ovss_options_default()) {
        check(edge_ovss_open(bundle.c_str(), &options, &session_));
    }

    ~Segmenter() { edge_ovss_close(session_); }

    Segmenter(Segmenter&& other) noexcept : session_(std::exchange(other.session_, nullptr)) {}

    Segmenter& operator=(Segmenter&& other) noexcept {
        std::swap(session_, other.session_);
        return *this;
    }

    Segmenter(const Segmenter&) = delete;
    Segmenter& operator=(const Segmenter&) = delete;

    // Segment one frame into `result`, whose memory is used again.
    void segment(const Frame& frame, Result& result) {
        const edge_ovss_info facts = info();
        const auto pixels = static_cast<std::size_t>(frame.c.height > 0 ? frame.c.height : 0) *
                            static_cast<std::size_t>(frame.c.width > 0 ? frame.c.width : 0);
        if (frame.c.height > EDGE_OVSS_MAX_SIDE || frame.c.width > EDGE_OVSS_MAX_SIDE) {
            result.labels.resize(1);  // the library says what is wrong with the frame
        } else {
            // One byte more, so that data() is not NULL for an empty frame: the library then says
            // what is wrong with the frame, and not that there is no memory.
            result.labels.resize(pixels * static_cast<std::size_t>(facts.label_bytes) + 1);
            result.confidence.resize(facts.has_confidence != 0 ? pixels : 0);
        }
        // Another thread may set more words before the frame runs.
        result.alive.resize(
            static_cast<std::size_t>(facts.places > 0 ? facts.places : facts.categories));
        edge_ovss_result& c = result.c;
        c = edge_ovss_result_default();
        c.labels = result.labels.data();
        c.labels_capacity = result.labels.size();
        c.confidence = result.confidence.empty() ? nullptr : result.confidence.data();
        c.confidence_capacity = result.confidence.size() * sizeof(float);
        c.alive = result.alive.data();
        c.alive_capacity = result.alive.size();
        check(edge_ovss_segment(session_, &frame.c, &c));
        result.height = frame.c.height;
        result.width = frame.c.width;
        result.label_bytes = facts.label_bytes;
        result.labels.resize(pixels * static_cast<std::size_t>(facts.label_bytes));
        result.alive.resize(c.alive_count);
        c.labels = nullptr;  // the vectors may move; nothing points into them
        c.confidence = nullptr;
        c.alive = nullptr;
    }

    Result segment(const Frame& frame) {
        Result result;
        segment(frame, result);
        return result;
    }

    edge_ovss_info info() const {
        edge_ovss_info facts = edge_ovss_info_default();
        check(edge_ovss_describe(session_, &facts));
        return facts;
    }

    // Name of output `index`, which must be in 0 ... outputs - 1.
    std::string name(std::int32_t index) const {
        const char* text = edge_ovss_name(session_, index);
        if (text == nullptr) {
            check(EDGE_OVSS_ERROR_USAGE);
        }
        return text;
    }

    std::vector<std::string> names() const {
        std::vector<std::string> all;
        const std::int32_t outputs = info().outputs;
        for (std::int32_t index = 0; index < outputs; ++index) {
            all.push_back(name(index));
        }
        return all;
    }

    // The color of each output: red, green, blue.
    std::vector<std::array<std::uint8_t, 3>> palette() const {
        std::vector<std::uint8_t> bytes(3 * static_cast<std::size_t>(info().outputs));
        check(edge_ovss_palette(session_, bytes.data(), bytes.size()));
        std::vector<std::array<std::uint8_t, 3>> colors;
        for (std::size_t at = 0; at < bytes.size(); at += 3) {
            colors.push_back({bytes[at], bytes[at + 1], bytes[at + 2]});
        }
        return colors;
    }

    // Below these thresholds a label is unknown, from the next frame on: one for all outputs, one
    // for each, or none for those of the bundle.
    void set_unknown(const std::vector<float>& thresholds) {
        check(edge_ovss_set_unknown(session_, thresholds.data(), thresholds.size()));
    }

    // The same by words: "off", "auto", a number, or the path of a file of thresholds.
    void choose_unknown(const std::string& words) {
        check(edge_ovss_choose_unknown(session_, words.c_str()));
    }

    // The thresholds that hold now, one for each output.
    std::vector<float> unknown() const {
        std::vector<float> thresholds(static_cast<std::size_t>(info().outputs));
        check(edge_ovss_get_unknown(session_, thresholds.data(), thresholds.size()));
        return thresholds;
    }

    // Have the words of an embedding pack (`edge-ovss vocab encode`) from the next frame on, and no
    // others; for an open bundle, `info().places` is above 0.
    void set_words(const std::string& pack) { check(edge_ovss_set_words(session_, pack.c_str())); }

    // Throws with status EDGE_OVSS_ERROR_GATE where the answer is not the reference answer.
    edge_ovss_selftest_report selftest() {
        edge_ovss_selftest_report report = edge_ovss_selftest_report_default();
        check(edge_ovss_selftest(session_, &report));
        return report;
    }

    // The C handle, still owned by this object.
    edge_ovss_session* handle() const noexcept { return session_; }

private:
    edge_ovss_session* session_ = nullptr;
};

}  // namespace edge_ovss

#endif
