// SPDX-License-Identifier: Apache-2.0
// The C++ wrapper: moves, exceptions, memory that is used again.
#include <cstdint>
#include <edge_ovss/edge_ovss.hpp>

#include <string>
#include <type_traits>
#include <utility>

#include "check.h"

namespace {

std::vector<std::uint8_t> pixels(int height, int width) {
    std::vector<std::uint8_t> rgb(static_cast<std::size_t>(height * width * 3));
    for (std::size_t i = 0; i < rgb.size(); ++i) {
        rgb[i] = static_cast<std::uint8_t>(i * 91 + i / 7);
    }
    return rgb;
}

void labels_are_right(edge_ovss::Segmenter& segmenter, int outputs) {
    const auto rgb = pixels(5, 11);
    const auto result = segmenter.segment(edge_ovss::Frame::rgb8(rgb.data(), 5, 11));
    for (int y = 0; y < 5; ++y) {
        for (int x = 0; x < 11; ++x) {
            const auto at = static_cast<std::size_t>(3 * (y * 11 + x));
            CHECK(result.label(y, x) == (rgb[at] + rgb[at + 1] + rgb[at + 2]) % outputs);
        }
    }
}

void failures_are_exceptions(edge_ovss::Segmenter& segmenter) {
    bool thrown = false;
    try {
        const edge_ovss::Segmenter nowhere("/nowhere");
    } catch (const edge_ovss::Error& err) {
        thrown = err.status() == EDGE_OVSS_ERROR_ARTIFACT && !err.hint().empty() &&
                 std::string(err.what()).find("no bundle") != std::string::npos;
    }
    CHECK(thrown);
    thrown = false;
    try {
        segmenter.segment(edge_ovss::Frame::rgb8("", 0, 3));
    } catch (const edge_ovss::Error& err) {
        thrown = err.status() == EDGE_OVSS_ERROR_INPUT;
    }
    CHECK(thrown);
    thrown = false;
    try {
        segmenter.segment(edge_ovss::Frame::rgb8("", 1 << 30, 1 << 30));
    } catch (const edge_ovss::Error& err) {
        thrown = err.status() == EDGE_OVSS_ERROR_INPUT;
    }
    CHECK(thrown);
}

std::string message_about(const std::string& path) {
    try {
        const edge_ovss::Segmenter nowhere(path);
    } catch (const edge_ovss::Error& err) {
        return err.what();
    }
    return "";
}

// No name in a message clears a screen, and messages are UTF-8.
void messages_can_be_printed() {
    const struct {
        const char* name;
        const char* shown;
    } names[] = {
        {"/a\x1b[2Jb\x7f", "/a\\x1b[2Jb\\x7f"},
        {"/\xe2\x80\xae"
         "c",
         "/\\u202ec"},  // turns what follows
        {"/\xc2\x9b"
         "1m",
         "/\\x9b1m"},                                             // ESC [ in one character
        {"/\xff\xe2\x82", "/\\xff\\xe2\\x82"},                    // no UTF-8, and cut short
        {"/\xc0\xaf\xed\xa0\x80", "/\\xc0\\xaf\\xed\\xa0\\x80"},  // overlong; a surrogate
        {"/b\xc3\xa4r \xe6\xa3\xae \xf0\x9f\x8c\xb2", "/b\xc3\xa4r \xe6\xa3\xae \xf0\x9f\x8c\xb2"},
    };
    for (const auto& each : names) {
        CHECK(message_about(each.name).find(each.shown) != std::string::npos);
    }
    // However long it is, an escape or a character is whole.
    for (std::size_t length = 900; length < 1100; ++length) {
        const std::string message =
            message_about(std::string(length, 'x') + "\x1b\xf0\x9f\x8c\xb2");
        CHECK(message.size() < 1024 && message.find('\x1b') == std::string::npos);
        const auto last = static_cast<unsigned char>(message.back());
        CHECK(last < 0x80 || last == 0xb2);
    }
}

void facts_are_told(const edge_ovss::Segmenter& segmenter) {
    CHECK(segmenter.names() == std::vector<std::string>({"thing0", "thing1", "thing2"}));
    CHECK(segmenter.palette().size() == 3);
    CHECK(segmenter.info().has_confidence == 1);
}

void sessions_move(const std::string& path) {
    static_assert(!std::is_copy_constructible_v<edge_ovss::Segmenter>);
    static_assert(std::is_nothrow_move_constructible_v<edge_ovss::Segmenter>);
    edge_ovss::Segmenter first(path);
    edge_ovss::Segmenter second(std::move(first));
    CHECK(first.handle() == nullptr);  // NOLINT: this is what the header promises
    edge_ovss::Segmenter third(path);
    third = std::move(second);
    labels_are_right(third, 3);
}

void memory_is_used_again(edge_ovss::Segmenter& segmenter) {
    const auto rgb = pixels(40, 50);
    edge_ovss::Result result;
    segmenter.segment(edge_ovss::Frame::rgb8(rgb.data(), 40, 50), result);
    CHECK(result.confidence.size() == 2000 && result.alive.size() == 2);
    const auto* const labels = result.labels.data();
    segmenter.segment(edge_ovss::Frame::bgr8(rgb.data(), 40, 50), result);
    CHECK(result.labels.data() == labels && result.labels.size() == 2000);
}

// The measure of this bundle is (R + G + B) / 765.
void thresholds_are_compared(edge_ovss::Segmenter& segmenter, float threshold) {
    const auto rgb = pixels(5, 11);
    const auto result = segmenter.segment(edge_ovss::Frame::rgb8(rgb.data(), 5, 11));
    for (int y = 0; y < 5; ++y) {
        for (int x = 0; x < 11; ++x) {
            const auto at = static_cast<std::size_t>(3 * (y * 11 + x));
            const int sum = rgb[at] + rgb[at + 1] + rgb[at + 2];
            const bool below = static_cast<float>(sum) * (1.0F / 765.0F) < threshold;
            CHECK(result.label(y, x) == (below ? 255 : sum % 3));
        }
    }
    CHECK(segmenter.unknown() == std::vector<float>(3, threshold));
    CHECK(segmenter.selftest().agreement == 1.0);
}

void labels_may_be_unknown(const std::string& path) {
    edge_ovss::Segmenter segmenter(path);
    CHECK(segmenter.info().takes_thresholds == 1 && segmenter.info().unknown_label == 255);
    CHECK(segmenter.name(255) == "unknown");
    thresholds_are_compared(segmenter, 0.5F);
    segmenter.set_unknown({0.25F});
    thresholds_are_compared(segmenter, 0.25F);
    segmenter.choose_unknown("off");
    thresholds_are_compared(segmenter, 0.0F);
    segmenter.choose_unknown("0.75");
    bool thrown = false;
    try {
        segmenter.set_unknown({0.5F, 2.0F, 0.5F});
    } catch (const edge_ovss::Error& err) {
        thrown = err.status() == EDGE_OVSS_ERROR_USAGE;
    }
    CHECK(thrown);
    thresholds_are_compared(segmenter, 0.75F);
    segmenter.set_unknown({});
    thresholds_are_compared(segmenter, 0.5F);
}

}  // namespace

int main(int argc, char** argv) {
    CHECK(argc == 2);
    const std::string data = argv[1];
    edge_ovss::Segmenter segmenter(data + "/things");
    labels_are_right(segmenter, 3);
    failures_are_exceptions(segmenter);
    messages_can_be_printed();
    facts_are_told(segmenter);
    sessions_move(data + "/things");
    memory_is_used_again(segmenter);
    edge_ovss::Segmenter many(data + "/many");
    labels_are_right(many, 300);
    CHECK(segmenter.selftest().agreement == 1.0);
    CHECK(segmenter.info().takes_thresholds == 0);
    labels_may_be_unknown(data + "/things-unknown");
    puts("wrapper_test: all held");
    return 0;
}
