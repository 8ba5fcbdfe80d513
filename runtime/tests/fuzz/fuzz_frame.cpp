// SPDX-License-Identifier: Apache-2.0
// Whatever stands in the arguments of a frame and its result: a status, and no byte is touched
// that the arguments do not grant. Buffers have exactly the sizes that are told, so that
// AddressSanitizer sees the first byte beyond.
#include <edge_ovss/edge_ovss.h>

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <vector>

namespace {

// Takes numbers off the front of the input.
class Input {
public:
    Input(const std::uint8_t* data, std::size_t size) : data_(data), size_(size) {}

    template <class Number>
    Number take() {
        Number number = 0;
        const std::size_t count = sizeof number < size_ ? sizeof number : size_;
        if (count > 0) {
            std::memcpy(&number, data_, count);
        }
        data_ += count;
        size_ -= count;
        return number;
    }

    // A buffer of its own with up to `most` of what is left.
    std::vector<std::uint8_t> buffer(std::size_t most) {
        const std::size_t count = most < size_ ? most : size_;
        std::vector<std::uint8_t> bytes(data_, data_ + count);
        bytes.shrink_to_fit();
        data_ += count;
        size_ -= count;
        return bytes;
    }

private:
    const std::uint8_t* data_;
    std::size_t size_;
};

edge_ovss_session* session() {
    static edge_ovss_session* const opened = [] {
        edge_ovss_options options = edge_ovss_options_default();
        options.threads = 1;
        edge_ovss_session* made = nullptr;
        const char* path = std::getenv("EDGE_OVSS_TEST_BUNDLE");
        if (edge_ovss_open(path == nullptr ? EDGE_OVSS_TEST_BUNDLE : path, &options, &made) != 0) {
            std::abort();
        }
        return made;
    }();
    return opened;
}

void require_message(edge_ovss_status status) {
    if (status == EDGE_OVSS_ERROR_INTERNAL ||
        (status != EDGE_OVSS_OK && edge_ovss_last_error()[0] == '\0')) {
        std::abort();
    }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    Input input(data, size);
    const auto flags = input.take<std::uint8_t>();
    edge_ovss_frame frame = edge_ovss_frame_default();
    frame.format = input.take<std::int8_t>();
    // Mostly sizes that fit the bytes there are; now and then any number at all.
    frame.height = (flags & 1U) != 0 ? input.take<std::int32_t>() : input.take<std::int8_t>();
    frame.width = (flags & 1U) != 0 ? input.take<std::int32_t>() : input.take<std::int8_t>();
    frame.stride = (flags & 2U) != 0 ? input.take<std::size_t>() : input.take<std::uint8_t>();
    frame.chroma_stride = (flags & 4U) != 0 ? input.take<std::size_t>() : 0;
    edge_ovss_result result = edge_ovss_result_default();
    result.labels_stride = input.take<std::uint8_t>();
    result.labels_capacity = input.take<std::uint16_t>();
    result.alive_capacity = input.take<std::uint8_t>() % 5U;
    const auto chroma = input.buffer((flags & 8U) != 0 ? 300 : 0);
    const auto pixels = input.buffer(1 << 16);
    std::vector<std::uint8_t> labels(result.labels_capacity);
    std::vector<std::int32_t> alive(result.alive_capacity);
    // A size of 0 stands for "not known", which no one can check.
    frame.data = pixels.empty() ? nullptr : pixels.data();
    frame.data_size = pixels.size();
    frame.chroma = chroma.empty() ? nullptr : chroma.data();
    frame.chroma_size = chroma.size();
    result.labels = labels.empty() ? nullptr : labels.data();
    result.alive = alive.empty() ? nullptr : alive.data();
    require_message(edge_ovss_segment(session(), &frame, &result));
    require_message(edge_ovss_to_rgb(&frame, labels.data(), result.labels_stride, labels.size()));
    return 0;
}
