// SPDX-License-Identifier: Apache-2.0
// Streams: the same labels as the Python package, byte for byte, and mistakes that are told.
#include <edge_ovss/edge_ovss_stream.h>

#include <cmath>
#include <cstdint>
#include <cstring>
#include <fstream>
#include <iterator>
#include <vector>

#include "check.h"

namespace {

using Bytes = std::vector<std::uint8_t>;

// Little-endian numbers of a file that tests/runtime/stream/stored_streams.py wrote.
class Reader {
public:
    explicit Reader(const char* path) {
        std::ifstream file(path, std::ios::binary);
        CHECK(file.good());
        bytes_.assign(std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>());
    }

    std::uint32_t number() {
        std::uint32_t value = 0;
        for (int shift = 0; shift < 32; shift += 8) {
            value |= static_cast<std::uint32_t>(byte()) << shift;
        }
        return value;
    }

    double real() {
        std::uint64_t bits = number();
        bits |= static_cast<std::uint64_t>(number()) << 32;
        double value = 0.0;
        std::memcpy(&value, &bits, sizeof value);
        return value;
    }

    Bytes bytes(std::size_t count) {
        CHECK(at_ + count <= bytes_.size());
        const auto from = bytes_.begin() + static_cast<std::ptrdiff_t>(at_);
        at_ += count;
        return Bytes(from, from + static_cast<std::ptrdiff_t>(count));
    }

    std::vector<std::int16_t> vectors(std::size_t count) {
        std::vector<std::int16_t> values(count);
        for (auto& value : values) {
            const unsigned low = byte();
            value = static_cast<std::int16_t>(low | static_cast<unsigned>(byte()) << 8);
        }
        return values;
    }

private:
    std::uint8_t byte() {
        CHECK(at_ < bytes_.size());
        return bytes_[at_++];
    }

    Bytes bytes_;
    std::size_t at_ = 0;
};

edge_ovss_frame frame_of(int height, int width) {
    edge_ovss_frame frame = edge_ovss_frame_default();
    frame.height = height;
    frame.width = width;
    return frame;
}

edge_ovss_stream* open(double hold_ms, int keyframe, int flow) {
    edge_ovss_stream_options options = edge_ovss_stream_options_default();
    options.hold_ms = hold_ms;
    options.keyframe = keyframe;
    options.flow = flow;
    edge_ovss_stream* stream = nullptr;
    CHECK(edge_ovss_stream_open(&options, &stream) == EDGE_OVSS_OK);
    return stream;
}

void one_frame(Reader& file, edge_ovss_stream* stream, int label_bytes) {
    const auto height = static_cast<int>(file.number());
    const auto width = static_cast<int>(file.number());
    const double time_s = file.real();
    edge_ovss_motion motion = edge_ovss_motion_default();
    motion.height = static_cast<int>(file.number());
    motion.width = static_cast<int>(file.number());
    const auto cells = static_cast<std::size_t>(motion.height * motion.width);
    const auto vectors = file.vectors(2 * cells);
    const Bytes valid = file.bytes(cells);
    motion.vectors = vectors.data();
    motion.valid = valid.data();
    const auto size = static_cast<std::size_t>(height * width * label_bytes);
    Bytes labels = file.bytes(size);
    const Bytes expected = file.bytes(size);
    const std::uint32_t key = file.number();
    const std::uint32_t cut = file.number();
    const double held = file.real();
    const double age_ms = file.real();

    const edge_ovss_frame frame = frame_of(height, width);
    edge_ovss_step step = edge_ovss_step_default();
    const edge_ovss_motion* given = cells == 0 ? nullptr : &motion;
    CHECK(edge_ovss_stream_advance(stream, &frame, given, time_s, &step) == EDGE_OVSS_OK);
    CHECK(step.key == static_cast<int>(key) && step.cut == static_cast<int>(cut));
    if (key == 0) {
        labels.assign(size, 77);  // nobody looks at them
    }
    CHECK(edge_ovss_stream_answer(stream, labels.data(), size, 0, label_bytes, &step) ==
          EDGE_OVSS_OK);
    CHECK(labels == expected);
    CHECK(step.held == held && step.age_ms == age_ms);
}

void stored_streams_are_followed_byte_for_byte(const char* path) {
    Reader file(path);
    const std::uint32_t count = file.number();
    CHECK(count >= 4);
    for (std::uint32_t number = 0; number < count; ++number) {
        const double hold_ms = file.real();
        const auto keyframe = static_cast<int>(file.number());
        const auto label_bytes = static_cast<int>(file.number());
        const std::uint32_t frames = file.number();
        edge_ovss_stream* stream = open(hold_ms, keyframe, EDGE_OVSS_FLOW_GIVEN);
        for (std::uint32_t at = 0; at < frames; ++at) {
            one_frame(file, stream, label_bytes);
        }
        CHECK(edge_ovss_stream_close(stream) == EDGE_OVSS_OK);
    }
}

// A scene of one row that moves one pixel to the right in every frame; 100 comes into view.
Bytes scene(int number) {
    Bytes labels(8);
    for (int col = 0; col < 8; ++col) {
        labels[static_cast<std::size_t>(col)] =
            static_cast<std::uint8_t>(col >= number ? col - number : 100);
    }
    return labels;
}

Bytes next_frame(edge_ovss_stream* stream, int number, Bytes labels) {
    const edge_ovss_frame frame = frame_of(1, 8);
    const std::vector<std::int16_t> right{-32, 0};
    edge_ovss_motion motion = edge_ovss_motion_default();
    motion.vectors = right.data();
    motion.height = motion.width = 1;
    edge_ovss_step step = edge_ovss_step_default();
    CHECK(edge_ovss_stream_advance(stream, &frame, number == 0 ? nullptr : &motion, 0.1 * number,
                                   &step) == EDGE_OVSS_OK);
    CHECK(step.key == (number == 0 ? 1 : 0));
    CHECK(edge_ovss_stream_answer(stream, labels.data(), 8, 0, 1, &step) == EDGE_OVSS_OK);
    return labels;
}

void a_late_answer_is_moved_along_to_the_newest_frame() {
    edge_ovss_stream* stream = open(0.0, EDGE_OVSS_NO_KEYFRAMES, EDGE_OVSS_FLOW_GIVEN);
    CHECK_FAILS(edge_ovss_stream_ask(stream), EDGE_OVSS_ERROR_USAGE, "no frame");
    next_frame(stream, 0, scene(0));
    next_frame(stream, 1, Bytes(8));
    CHECK(edge_ovss_stream_ask(stream) == EDGE_OVSS_OK);
    for (int number = 2; number <= 4; ++number) {
        const Bytes shown = next_frame(stream, number, Bytes(8));
        CHECK(shown[7] == 7 - number && shown[static_cast<std::size_t>(number)] == 0);
    }
    Bytes labels = scene(1);
    edge_ovss_step step = edge_ovss_step_default();
    CHECK(edge_ovss_stream_late_answer(stream, labels.data(), 8, 0, 1, &step) == EDGE_OVSS_OK);
    CHECK(step.key == 1 && std::fabs(step.age_ms - 300.0) < 1e-6);
    // Only the answer to frame 1 knows what came into view in it; it is at pixel 3 now.
    CHECK(labels[3] == 100 && labels[4] == 0 && labels[7] == 3);
    labels = scene(0);
    CHECK(edge_ovss_stream_late_answer(stream, labels.data(), 8, 0, 1, &step) == EDGE_OVSS_OK);
    CHECK(step.key == 0 && labels[3] == 100);

    // A cut forgets what was asked for.
    CHECK(edge_ovss_stream_ask(stream) == EDGE_OVSS_OK);
    const edge_ovss_frame frame = frame_of(1, 8);
    CHECK(edge_ovss_stream_advance(stream, &frame, nullptr, 0.5, &step) == EDGE_OVSS_OK);
    CHECK_FAILS(edge_ovss_stream_late_answer(stream, labels.data(), 8, 0, 1, &step),
                EDGE_OVSS_ERROR_USAGE, "waits");
    CHECK_FAILS(edge_ovss_stream_ask(stream), EDGE_OVSS_ERROR_USAGE, "no frame");
    Bytes other(8, 55);
    CHECK(edge_ovss_stream_answer(stream, other.data(), 8, 0, 1, &step) == EDGE_OVSS_OK);
    labels = scene(4);
    CHECK(edge_ovss_stream_late_answer(stream, labels.data(), 8, 0, 1, &step) == EDGE_OVSS_OK);
    CHECK(step.key == 0 && labels == other);
    edge_ovss_stream_close(stream);
}

// What the network says late of a row of 12 that moved two pixels to the right; returns what is shown.
Bytes late_in_a_fast_row(edge_ovss_stream* stream, int number, Bytes labels, double& held) {
    const edge_ovss_frame frame = frame_of(1, 12);
    const std::vector<std::int16_t> right{-64, 0};
    edge_ovss_motion motion = edge_ovss_motion_default();
    motion.vectors = right.data();
    motion.height = motion.width = 1;
    edge_ovss_step step = edge_ovss_step_default();
    Bytes shown = labels;
    CHECK(edge_ovss_stream_advance(stream, &frame, number == 0 ? nullptr : &motion, 0.1 * number,
                                   &step) == EDGE_OVSS_OK);
    CHECK(edge_ovss_stream_answer(stream, shown.data(), 12, 0, 1, &step) == EDGE_OVSS_OK);
    CHECK(edge_ovss_stream_ask(stream) == EDGE_OVSS_OK);
    CHECK(edge_ovss_stream_late_answer(stream, labels.data(), 12, 0, 1, &step) == EDGE_OVSS_OK);
    held = step.held;
    return labels;
}

void a_late_answer_moves_edges_too() {
    edge_ovss_stream* stream = open(300.0, EDGE_OVSS_NO_KEYFRAMES, EDGE_OVSS_FLOW_GIVEN);
    double held = 0.0;
    late_in_a_fast_row(stream, 0, {1, 1, 1, 1, 7, 7, 1, 1, 1, 1, 1, 1}, held);
    late_in_a_fast_row(stream, 1, {1, 1, 1, 1, 1, 1, 7, 7, 1, 1, 1, 1}, held);
    CHECK(held == 0.0);
    // The 7s are one pixel beside where the motion puts them; the 9 is far from any.
    const Bytes shown = late_in_a_fast_row(stream, 2, {1, 1, 1, 1, 1, 9, 1, 7, 7, 1, 1, 1}, held);
    CHECK(shown == Bytes({1, 1, 1, 1, 1, 1, 1, 7, 7, 1, 1, 1}));
    CHECK(held == 1.0 / 12);
    edge_ovss_stream_close(stream);
}

void rows_may_have_gaps() {
    edge_ovss_stream* stream = open(150.0, 1, EDGE_OVSS_FLOW_NONE);
    const edge_ovss_frame frame = frame_of(2, 2);
    edge_ovss_step step = edge_ovss_step_default();
    Bytes labels{1, 2, 99, 3, 4};
    CHECK(edge_ovss_stream_advance(stream, &frame, nullptr, 0.0, &step) == EDGE_OVSS_OK);
    CHECK(edge_ovss_stream_answer(stream, labels.data(), 5, 3, 1, nullptr) == EDGE_OVSS_OK);
    CHECK(labels == Bytes({1, 2, 99, 3, 4}));
    edge_ovss_stream_close(stream);
}

void without_flow_labels_stay() {
    edge_ovss_stream* stream = open(0.0, 3, EDGE_OVSS_FLOW_NONE);
    const edge_ovss_frame frame = frame_of(1, 2);
    for (int number = 0; number < 6; ++number) {
        edge_ovss_step step = edge_ovss_step_default();
        CHECK(edge_ovss_stream_advance(stream, &frame, nullptr, -1.0, &step) == EDGE_OVSS_OK);
        CHECK(step.key == (number % 3 == 0 ? 1 : 0) && step.age_ms < 0.0);
        const auto said = static_cast<std::uint8_t>(number);
        Bytes labels{said, said};
        CHECK(edge_ovss_stream_answer(stream, labels.data(), 2, 0, 1, &step) == EDGE_OVSS_OK);
        CHECK(labels[0] == number / 3 * 3);
    }
    edge_ovss_stream_close(stream);
}

void mistakes_are_told() {
    edge_ovss_stream_options options = edge_ovss_stream_options_default();
    edge_ovss_stream* none = nullptr;
    options.keyframe = 0;
    CHECK_FAILS(edge_ovss_stream_open(&options, &none), EDGE_OVSS_ERROR_USAGE, "1 or more");
    CHECK(none == nullptr);
    options = edge_ovss_stream_options_default();
    options.hold_ms = -1.0;
    CHECK_FAILS(edge_ovss_stream_open(&options, &none), EDGE_OVSS_ERROR_USAGE, "hold_ms");
    options.hold_ms = std::nan("");
    CHECK_FAILS(edge_ovss_stream_open(&options, &none), EDGE_OVSS_ERROR_USAGE, "hold_ms");
    options = edge_ovss_stream_options_default();
    options.flow = 9;
    CHECK_FAILS(edge_ovss_stream_open(&options, &none), EDGE_OVSS_ERROR_USAGE, "flow");
    options.struct_size = 3;
    CHECK_FAILS(edge_ovss_stream_open(&options, &none), EDGE_OVSS_ERROR_USAGE, "struct_size");
    CHECK_FAILS(edge_ovss_stream_open(nullptr, nullptr), EDGE_OVSS_ERROR_USAGE, "null pointer");

    edge_ovss_stream* stream = open(150.0, 1, EDGE_OVSS_FLOW_GIVEN);
    edge_ovss_frame frame = frame_of(2, 3);
    edge_ovss_step step = edge_ovss_step_default();
    Bytes labels(6, 1);
    CHECK_FAILS(edge_ovss_stream_answer(stream, labels.data(), 6, 0, 1, nullptr),
                EDGE_OVSS_ERROR_USAGE, "no frame");
    CHECK(edge_ovss_stream_advance(stream, &frame, nullptr, 1.0, &step) == EDGE_OVSS_OK);
    CHECK(step.key == 1 && step.lost == 1.0);
    CHECK_FAILS(edge_ovss_stream_answer(stream, labels.data(), 6, 0, 3, nullptr),
                EDGE_OVSS_ERROR_USAGE, "label_bytes");
    CHECK_FAILS(edge_ovss_stream_answer(stream, labels.data(), 5, 0, 1, nullptr),
                EDGE_OVSS_ERROR_CAPACITY, "expected 6");
    CHECK_FAILS(edge_ovss_stream_answer(stream, labels.data(), 6, 2, 1, nullptr),
                EDGE_OVSS_ERROR_USAGE, "stride");
    CHECK_FAILS(edge_ovss_stream_answer(stream, nullptr, 6, 0, 1, nullptr), EDGE_OVSS_ERROR_USAGE,
                "null pointer");
    CHECK(edge_ovss_stream_answer(stream, labels.data(), 6, 0, 1, &step) == EDGE_OVSS_OK);

    // Flow of another size: more vectors than pixels, or none.
    const std::vector<std::int16_t> vectors(2 * 12, 0);
    edge_ovss_motion motion = edge_ovss_motion_default();
    motion.vectors = vectors.data();
    motion.height = 3;
    motion.width = 4;
    CHECK_FAILS(edge_ovss_stream_advance(stream, &frame, &motion, 1.1, &step),
                EDGE_OVSS_ERROR_INPUT, "3x4 vectors for a frame of 2x3");
    motion.height = 0;
    CHECK_FAILS(edge_ovss_stream_advance(stream, &frame, &motion, 1.1, &step),
                EDGE_OVSS_ERROR_INPUT, "at least one");
    motion.height = 2;
    motion.width = 3;
    CHECK_FAILS(edge_ovss_stream_advance(stream, &frame, &motion, 0.9, &step),
                EDGE_OVSS_ERROR_INPUT, "Time goes back");
    CHECK_FAILS(edge_ovss_stream_advance(stream, &frame, &motion, std::nan(""), &step),
                EDGE_OVSS_ERROR_INPUT, "not a number");
    motion.vectors = nullptr;
    CHECK_FAILS(edge_ovss_stream_advance(stream, &frame, &motion, 1.1, &step),
                EDGE_OVSS_ERROR_USAGE, "null pointer");
    frame.height = 0;
    CHECK_FAILS(edge_ovss_stream_advance(stream, &frame, nullptr, 1.1, &step),
                EDGE_OVSS_ERROR_INPUT, "0x3");
    frame.height = 2;
    // A stream outlives all of that: it goes on where it was.
    motion.vectors = vectors.data();
    CHECK(edge_ovss_stream_advance(stream, &frame, &motion, 1.1, &step) == EDGE_OVSS_OK);
    CHECK(step.lost == 0.0 && step.cut == 0);
    CHECK(edge_ovss_stream_answer(stream, labels.data(), 6, 0, 1, &step) == EDGE_OVSS_OK);

    CHECK(edge_ovss_stream_forget(stream) == EDGE_OVSS_OK);
    CHECK(edge_ovss_stream_advance(stream, &frame, &motion, 0.0, &step) == EDGE_OVSS_OK);
    CHECK(step.key == 1 && step.cut == 0);
    CHECK(edge_ovss_stream_close(stream) == EDGE_OVSS_OK);
    CHECK_FAILS(edge_ovss_stream_close(stream), EDGE_OVSS_ERROR_USAGE, "closed");
    CHECK_FAILS(edge_ovss_stream_forget(stream), EDGE_OVSS_ERROR_USAGE, "closed");
    CHECK(edge_ovss_stream_close(nullptr) == EDGE_OVSS_OK);

    stream = open(150.0, 1, EDGE_OVSS_FLOW_NONE);
    CHECK_FAILS(edge_ovss_stream_advance(stream, &frame, &motion, 0.0, &step),
                EDGE_OVSS_ERROR_USAGE, "flow of its own");
    edge_ovss_stream_close(stream);
}

}  // namespace

int main(int argc, char** argv) {
    CHECK(argc == 2);
    stored_streams_are_followed_byte_for_byte(argv[1]);
    a_late_answer_is_moved_along_to_the_newest_frame();
    a_late_answer_moves_edges_too();
    rows_may_have_gaps();
    without_flow_labels_stay();
    mistakes_are_told();
    return 0;
}
