// SPDX-License-Identifier: Apache-2.0
// The TensorRT backend with words that are inputs, on a stand-in of CUDA and TensorRT
// (tests/tensorrt): what is copied and when, what the engine reads, and what a failure leaves.
// How a GPU or TensorRT itself behaves is not tested here.
#include <array>
#include <atomic>
#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "backend.h"
#include "engine_cache.h"
#include "error.h"
#include "scratch.h"
#include "session.h"
#include "sha256.h"
#include "tensorrt/stand_in.h"
#include "trt_library.h"

namespace {

using namespace edge_ovss::internal;
using nlohmann::json;
using Floats = std::vector<float>;
using Labels = std::vector<std::uint8_t>;

constexpr std::size_t kPlaceCount = 4;
constexpr std::size_t kRow = 6;  // P D, numbers of a word
constexpr std::size_t kTextBytes = kPlaceCount * kRow * sizeof(float);
const std::string kEnds =
    "in frame uint8 1 -1 -1 3\n"
    "in thresholds float 4\n"
    "in text float -1 2 3\n"
    "in places float -1\n"
    "out labels uint8 1 -1 -1\n"
    "out alive int32 4\n";

// Words by the shades of red that they are nearest to.
Words words(const Floats& shades) {
    Words made;
    for (std::size_t i = 0; i < shades.size(); ++i) {
        const std::string name = "word " + std::to_string(i) + " of " + std::to_string(shades[i]);
        made.vocabulary.names.push_back(name);
        made.vocabulary.texts.push_back(name);
        made.vocabulary.output_map.push_back(static_cast<std::int64_t>(i));
        made.text.resize(made.text.size() + kRow, shades[i]);
    }
    made.vocabulary.name = "shades";
    made.vocabulary.palette.resize(shades.size());
    made.vocabulary.categories = shades.size();
    return made;
}

Bundle bundle_of(const std::filesystem::path& folder, const Floats& shades, bool open) {
    Bundle bundle;
    bundle.folder = folder;
    Manifest& manifest = bundle.manifest;
    manifest.graph_file = "model.onnx";
    manifest.files["model.onnx"].sha256 = std::string(64, 'a');
    manifest.labels_dtype = "uint8";
    manifest.answers = {"labels", "alive"};
    manifest.takes_thresholds = true;
    manifest.thresholds.assign(shades.size(), 0.0F);
    manifest.categories = manifest.outputs = static_cast<std::int64_t>(shades.size());
    Words first = words(shades);
    if (open) {
        manifest.places = kPlaceCount;
        manifest.least = 1;
        manifest.prompts = 2;
        manifest.width = 3;
        bundle.text = std::move(first.text);
    }
    bundle.vocabulary = std::move(first.vocabulary);
    return bundle;
}

// A folder with an engine for frames of 1 to 64 pixels each way.
class Engines {
public:
    explicit Engines(const std::string& data, const std::string& plan = kEnds)
        : scratch_(data + "/things") {
        put(plan, {1, 1}, {64, 64});
    }

    void put(const std::string& plan, std::array<int, 2> least, std::array<int, 2> most) const {
        const Bundle bundle = bundle_of(scratch_.path(), {0.0F}, true);
        const auto folder = scratch_.path() / "engines" / "tensorrt-a";
        std::filesystem::create_directories(folder);
        const Gpu gpu{"Stand-in", "8.7", trt::system_name()};
        const auto here = surroundings_here("tensorrt", trt::library_version(), gpu);
        json key{{"graph", graph_hash(bundle)}, {"backend", "tensorrt"},
                 {"library", here.library},     {"platform", here.platform},
                 {"capabilities", {"8.7"}},     {"device", gpu.name},
                 {"system", gpu.system},        {"recipe", here.recipe}};
        key["frames"] = {{"min", least}, {"opt", most}, {"max", most}};
        const json record{{"schema", 1},
                          {"created", "2026-11-26T00:00:00Z"},
                          {"labels", "uint8"},
                          {"plan", {{"sha256", sha256_of_bytes(plan)}, {"bytes", plan.size()}}},
                          {"key", key}};
        scratch_.write("engines/tensorrt-a/build.json", record.dump());
        scratch_.write("engines/tensorrt-a/model.plan", plan);
        using std::filesystem::perms;
        std::filesystem::permissions(folder, perms::owner_all);
        std::filesystem::permissions(folder / "model.plan", perms::owner_all);
    }

    Bundle bundle(const Floats& shades, bool open = true) const {
        return bundle_of(scratch_.path(), shades, open);
    }

private:
    Scratch scratch_;
};

// A session on the stand-in. The backend refers to a bundle that must outlive it.
class Opened {
public:
    explicit Opened(const Bundle& bundle)
        : bundle_(bundle), session(bundle, create_trt_backend(bundle_, Settings())) {}

    // The labels of a frame of one row, whose pixels have these shades of red.
    Labels segment(const Floats& shades) {
        std::vector<std::uint8_t> pixels(3 * shades.size(), 0);
        for (std::size_t i = 0; i < shades.size(); ++i) {
            pixels[3 * i] = static_cast<std::uint8_t>(shades[i] * 255.0F);
        }
        edge_ovss_frame frame = edge_ovss_frame_default();
        frame.data = pixels.data();
        frame.data_size = pixels.size();
        frame.format = EDGE_OVSS_FORMAT_RGB8;
        frame.height = 1;
        frame.width = static_cast<std::int32_t>(shades.size());
        Labels labels(shades.size());
        edge_ovss_result result = edge_ovss_result_default();
        result.labels = labels.data();
        result.labels_capacity = labels.size();
        session.segment(frame, result);
        return labels;
    }

private:
    Bundle bundle_;

public:
    Session session;
};

const Floats kFrame{0.0F, 0.2F, 0.4F, 0.6F, 0.8F, 1.0F};

Floats floats_read(const std::string& name) {
    const auto& bytes = stand_in::read.at(name);
    Floats found(bytes.size() / sizeof(float));
    memcpy(found.data(), bytes.data(), bytes.size());
    return found;
}

template <class Action>
void refused(const std::string& wanted, Action action) {
    std::string said = "nothing";
    try {
        action();
    } catch (const Error& err) {
        said = err.what() + err.hint;
    }
    if (said.find(wanted) == std::string::npos) {
        fprintf(stderr, "expected '%s' in: %s\n", wanted.c_str(), said.c_str());
        CHECK(false);
    }
}

void the_release_of_a_jetson_is_read() {
    const std::string rest = ", GCID: 38968081, BOARD: generic, EABI: aarch64, DATE: Wed Jan  8";
    CHECK(trt::l4t_release("# R36 (release), REVISION: 4.3" + rest) == "36.4.3");
    CHECK(trt::l4t_release("# R35 (release), REVISION:6.0") == "35.6.0");
    for (const char* line : {"", "# R36 (release)", "REVISION: 4.3", "# R (release), REVISION: 4.3",
                             "# R36 (release), REVISION: ", "REVISION: 4.3, R36"}) {
        CHECK(trt::l4t_release(line).empty());
    }
}

void words_are_copied_once(const Engines& engines) {
    stand_in::done.clear();
    Opened opened(engines.bundle({0.0F, 1.0F}));
    CHECK(stand_in::count("copy 96 bytes") == 1 && kTextBytes == 96);
    CHECK(stand_in::count("copy 16 bytes") == 1);  // `places`
    for (int frame = 0; frame < 3; ++frame) {
        CHECK(opened.segment(kFrame) == Labels({0, 0, 0, 1, 1, 1}));
    }
    CHECK(stand_in::count("run") == 4);  // one before the recording
    const std::size_t copies = stand_in::integrated ? 0 : 4;
    CHECK(stand_in::count("copy frame") == copies && stand_in::count("copy thresholds") == copies);
    CHECK(stand_in::count("copy text") == 0 && stand_in::count("copy places") == 0);
    CHECK(stand_in::count("capture") == (stand_in::captures ? 1 : 0));
}

// Empty places are all zeros and -1, whatever was in the memory before.
void places_are_filled(const Engines& engines) {
    Opened opened(engines.bundle({0.25F, 0.5F, 0.75F}));
    opened.session.use_thresholds({0.5F, 0.5F, 0.5F}, false);
    opened.segment(kFrame);
    CHECK(floats_read("places") == Floats({0.0F, 1.0F, 2.0F, -1.0F}));
    CHECK(floats_read("thresholds") == Floats({0.5F, 0.5F, 0.5F, 0.0F}));
    opened.session.use_words(words({0.125F}));
    opened.segment(kFrame);
    CHECK(floats_read("places") == Floats({0.0F, -1.0F, -1.0F, -1.0F}));
    CHECK(floats_read("thresholds") == Floats({0.5F, 0.0F, 0.0F, 0.0F}));
    Floats text(kPlaceCount * kRow, 0.0F);
    std::fill_n(text.begin(), kRow, 0.125F);
    CHECK(floats_read("text") == text);
}

void words_change_between_frames(const Engines& engines) {
    Opened opened(engines.bundle({0.0F, 1.0F}));
    opened.segment(kFrame);
    for (int turn = 0; turn < 3; ++turn) {
        stand_in::done.clear();
        opened.session.use_words(words({1.0F, 0.7F, 0.3F, 0.0F}));
        CHECK(stand_in::done == std::vector<std::string>({"copy text", "copy places"}));
        CHECK(opened.segment(kFrame) == Labels({3, 2, 2, 1, 1, 0}));
        opened.session.use_words(words({0.5F}));
        CHECK(opened.segment(kFrame) == Labels(6, 0));
        opened.segment(kFrame);
        CHECK(stand_in::count("copy text") == 2 && stand_in::count("copy places") == 2);
        CHECK(stand_in::count("malloc") + stand_in::count("pin") == 0);
        CHECK(stand_in::count("capture") == 0 && stand_in::count("run") == 3);
    }
}

void words_stay_when_the_frames_change(const Engines& engines) {
    Opened opened(engines.bundle({0.0F, 1.0F}));
    opened.session.use_words(words({1.0F, 0.0F}));  // before there is a context
    CHECK(opened.segment(kFrame) == Labels({1, 1, 1, 0, 0, 0}));
    stand_in::done.clear();
    CHECK(opened.segment({0.0F, 1.0F}) == Labels({1, 0}));
    CHECK(opened.segment(kFrame) == Labels({1, 1, 1, 0, 0, 0}));
    CHECK(stand_in::count("copy text") == 0 && stand_in::count("copy places") == 0);
    refused("The frame is 1x65", [&] { opened.segment(Floats(65, 0.0F)); });
    opened.session.use_words(words({0.0F, 1.0F}));
    CHECK(opened.segment({0.0F, 1.0F}) == Labels({0, 1}));
}

// Each copy and the wait behind them fail once; half of the new words may be there already.
void a_failed_change_leaves_the_words_before(const Engines& engines) {
    const Labels before{0, 0, 0, 1, 1, 1};
    for (const int step : {0, 1, 2, 3}) {
        Opened opened(engines.bundle({0.0F, 1.0F}));
        CHECK(opened.segment(kFrame) == before);
        const auto change = [&] { opened.session.use_words(words({1.0F, 0.7F, 0.3F, 0.0F})); };
        stand_in::copies_left = step < 2 ? step : -1;
        stand_in::waits_left = step < 2 ? -1 : step - 2;  // before the copies, and after
        refused("CUDA failed to", change);
        CHECK(stand_in::waiting() == 0);  // nothing reads the new words, which are gone
        CHECK(opened.session.bundle()->vocabulary.names.size() == 2);
        CHECK(opened.segment(kFrame) == before);
        CHECK(floats_read("places") == Floats({0.0F, 1.0F, -1.0F, -1.0F}));
        change();
        CHECK(opened.segment(kFrame) == Labels({3, 2, 2, 1, 1, 0}));
    }
}

// A frame is answered with whole words or not at all.
void a_gpu_that_goes_on_failing_answers_nothing(const Engines& engines) {
    Opened opened(engines.bundle({0.0F, 1.0F}));
    opened.segment(kFrame);
    stand_in::waits_left = 1;
    refused("CUDA failed to", [&] { opened.session.use_words(words({1.0F, 0.0F})); });
    stand_in::copies_left = 1;
    refused("CUDA failed to copy words", [&] { opened.segment(kFrame); });
    CHECK(opened.segment(kFrame) == Labels({0, 0, 0, 1, 1, 1}));
}

void a_gpu_without_room_is_said(const Engines& engines) {
    const std::size_t held = stand_in::held();
    for (const int pieces : {0, 1}) {
        stand_in::pieces_left = pieces;
        refused("The GPU has not enough memory", [&] { Opened(engines.bundle({0.0F, 1.0F})); });
    }
    CHECK(stand_in::held() == held);
}

void frames_see_the_old_words_or_the_new_ones(const Engines& engines) {
    Opened opened(engines.bundle({0.0F, 1.0F}));
    std::set<Labels> seen;
    std::atomic<bool> stop{false};
    std::thread frames([&] {
        while (!stop) {
            seen.insert(opened.segment(kFrame));
        }
    });
    for (int turn = 0; turn < 200; ++turn) {
        opened.session.use_words(words({1.0F, 0.7F, 0.3F, 0.0F}));
        opened.session.use_words(words({0.0F, 1.0F}));
    }
    stop = true;
    frames.join();
    seen.insert(opened.segment(kFrame));
    for (const Labels& labels : seen) {
        CHECK(labels == Labels({0, 0, 0, 1, 1, 1}) || labels == Labels({3, 2, 2, 1, 1, 0}));
    }
}

std::string replaced(const std::string& from, const std::string& to) {
    std::string plan = kEnds;
    return plan.replace(plan.find(from), from.size(), to);
}

void engines_with_other_ends_are_refused(const std::string& data) {
    struct Case {
        std::string plan, said;
    };
    const std::string frozen = replaced("in text float -1 2 3\nin places float -1\n", "");
    const Case cases[] = {
        {replaced("-1 2 3", "5 2 3"), "does not take 'text' of 4 x 2 x 3"},
        {replaced("-1 2 3", "-1 2 2"), "does not take 'text' of 4 x 2 x 3"},
        {replaced("-1 2 3", "4 6"), "does not take 'text' of 4 x 2 x 3"},
        {replaced("places float -1", "places float 3"), "does not take 'places' of 4"},
        {replaced("in places float -1\n", ""), "does not take 'places' of 4"},
        {frozen, "does not take 'text'"},
        {replaced("text float", "text half"), "The engine has 'text', which is not"},
        {replaced("places float", "places int32"), "The engine has 'places', which is not"},
        {replaced("thresholds float 4", "thresholds float 2"), "The engine has 'thresholds'"},
        {replaced("in thresholds float 4\n", ""), "other inputs or outputs"},
        {kEnds + "in more float 1\n", "The engine has 'more', which is not"},
        {kEnds + "in more float -1\n", "needs other inputs"},
        {kEnds + "out scores float 4 2 2\n", "The engine has 'scores', which is not"},
        {"", "refuses engine 'tensorrt-a': the plan is empty"},
    };
    for (const Case& each : cases) {
        const Engines engines(data, each.plan);
        Opened opened(engines.bundle({0.0F, 1.0F}));
        refused(each.said, [&] { opened.segment(kFrame); });
    }
}

void frozen_words_are_as_before(const std::string& data) {
    std::string plan = replaced("in text float -1 2 3\nin places float -1\n", "");
    plan.replace(plan.find("float 4"), 7, "float 2");
    const Engines engines(data, plan);
    Opened opened(engines.bundle({0.0F, 1.0F}, false));
    CHECK(opened.segment(kFrame) == Labels({0, 0, 0, 1, 1, 1}));
    opened.session.use_thresholds({0.9F, 0.0F}, true);
    CHECK(opened.segment(kFrame) == Labels({0, 255, 255, 1, 1, 1}));
    const Engines open(data);
    Opened wrong(open.bundle({0.0F, 1.0F}, false));
    refused("needs other inputs", [&] { wrong.segment(kFrame); });
}

void all_of_it(const std::string& data) {
    const Engines engines(data);
    words_are_copied_once(engines);
    places_are_filled(engines);
    words_change_between_frames(engines);
    words_stay_when_the_frames_change(engines);
    a_failed_change_leaves_the_words_before(engines);
    a_gpu_that_goes_on_failing_answers_nothing(engines);
    a_gpu_without_room_is_said(engines);
    frames_see_the_old_words_or_the_new_ones(engines);
    engines_with_other_ends_are_refused(data);
    frozen_words_are_as_before(data);
    CHECK(stand_in::held() == 0);
}

}  // namespace

int main(int, char** arguments) {
    for (const bool captures : {true, false}) {
        for (const bool integrated : {false, true}) {  // as on a Jetson
            stand_in::captures = captures;
            stand_in::integrated = integrated;
            all_of_it(arguments[1]);
        }
    }
    the_release_of_a_jetson_is_read();
    puts("tensorrt_test: all held");
    return 0;
}
