// SPDX-License-Identifier: Apache-2.0
// The C interface: every entry is fenced, so that no exception crosses it.
#include <edge_ovss/edge_ovss.h>

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <memory>
#include <new>
#include <string>
#include <vector>

#include "backend.h"
#include "error.h"
#include "fence.h"
#include "handles.h"
#include "pixels.h"
#include "selftest.h"
#include "session.h"
#include "unknown.h"
#include "words.h"

namespace {

using namespace edge_ovss::internal;

using Sessions = HandleTable<edge_ovss_session, Session>;

Sessions& sessions() {
    static Sessions* const table =
        new Sessions("session", "Use the handle that edge_ovss_open gave, before edge_ovss_close.");
    return *table;
}

Settings settings_of(const edge_ovss_options& options) {
    const std::int32_t numbers[] = {options.threads, options.device, options.frame_height,
                                    options.frame_width};
    if (std::any_of(std::begin(numbers), std::end(numbers), [](auto n) { return n < 0; })) {
        throw usage_error("A number in 'options' is negative; expected 0 or more.");
    }
    for (const std::int32_t choice : {options.skip_hashes, options.auto_build}) {
        if (choice < 0 || choice > 1) {
            throw usage_error("'options.skip_hashes' and 'options.auto_build' must be 0 or 1.",
                              "Start from edge_ovss_options_default().");
        }
    }
    Settings settings;
    settings.backend = options.backend == nullptr ? "" : options.backend;
    settings.cache = options.cache == nullptr ? "" : options.cache;
    settings.threads = options.threads;
    settings.device = options.device;
    settings.frame_height = options.frame_height;
    settings.frame_width = options.frame_width;
    settings.auto_build = options.auto_build == 1;
    return settings;
}

}  // namespace

#define EDGE_OVSS_TEXT_(number) #number
#define EDGE_OVSS_TEXT(number) EDGE_OVSS_TEXT_(number)

const char* edge_ovss_version(void) {
    return EDGE_OVSS_TEXT(EDGE_OVSS_VERSION_MAJOR) "." EDGE_OVSS_TEXT(
        EDGE_OVSS_VERSION_MINOR) "." EDGE_OVSS_TEXT(EDGE_OVSS_VERSION_PATCH);
}

const char* edge_ovss_status_name(edge_ovss_status status) {
    static const char* const names[] = {"ok",    "internal", "usage", "missing",
                                        "input", "artifact", "gate",  "capacity"};
    constexpr auto count = static_cast<edge_ovss_status>(sizeof names / sizeof *names);
    return status >= 0 && status < count ? names[status] : "unknown";
}

const char* edge_ovss_last_error(void) {
    return last_error().message;
}

const char* edge_ovss_last_hint(void) {
    return last_error().hint;
}

edge_ovss_status edge_ovss_open(const char* path, const edge_ovss_options* options,
                                edge_ovss_session** session) {
    if (session != nullptr) {
        *session = nullptr;
    }
    return fence([&] {
        require(session, "session");
        require(path, "path");
        const edge_ovss_options given = options == nullptr
                                            ? edge_ovss_options_default()
                                            : take(options, "options", sizeof(edge_ovss_options));
        const Settings settings = settings_of(given);
        resolve_backend(settings.backend);  // before the bundle is hashed
        *session =
            sessions().add(std::make_shared<Session>(path, settings, given.skip_hashes == 0));
    });
}

edge_ovss_status edge_ovss_close(edge_ovss_session* session) {
    return fence([&] {
        if (session != nullptr) {
            sessions().remove(session);
        }
    });
}

const char* edge_ovss_backend_name(int32_t index) {
    const char* name = nullptr;
    fence([&] {
        const auto& names = backend_names();
        if (index >= 0 && static_cast<std::size_t>(index) < names.size()) {
            name = names[static_cast<std::size_t>(index)].c_str();
        }
    });
    return name;
}

edge_ovss_status edge_ovss_describe(edge_ovss_session* session, edge_ovss_info* info) {
    return fence([&] {
        take(info, "info", offsetof(edge_ovss_info, takes_thresholds));
        give(sessions().find(session)->info(), info);
    });
}

const char* edge_ovss_name(edge_ovss_session* session, int32_t index) {
    const char* name = nullptr;
    fence([&] {
        const auto held = sessions().find(session);
        const auto bundle = held->bundle();
        const auto& names = bundle->vocabulary.names;
        const Manifest& manifest = bundle->manifest;
        if (manifest.takes_thresholds && index >= 0 &&
            static_cast<std::size_t>(index) == unknown_label(manifest)) {
            name = "unknown";
            return;
        }
        if (index < 0 || static_cast<std::size_t>(index) >= names.size()) {
            throw usage_error(
                text("There is no output ", index, "; expected 0 to ", names.size() - 1, "."));
        }
        name = held->keep(names[static_cast<std::size_t>(index)]);
    });
    return name;
}

edge_ovss_status edge_ovss_palette(edge_ovss_session* session, uint8_t* rgb, size_t size) {
    return fence([&] {
        require(rgb, "rgb");
        const auto bundle = sessions().find(session)->bundle();
        const auto& palette = bundle->vocabulary.palette;
        if (size < 3 * palette.size()) {
            throw capacity_error(
                text("'rgb' has room for ", size, " bytes; expected ", 3 * palette.size(), "."));
        }
        for (const auto& color : palette) {
            rgb = std::copy(color.begin(), color.end(), rgb);
        }
    });
}

size_t edge_ovss_frame_bytes(int32_t format, int32_t height, int32_t width) {
    return frame_bytes(format, height, width);
}

edge_ovss_status edge_ovss_to_rgb(const edge_ovss_frame* frame, uint8_t* rgb, size_t stride,
                                  size_t size) {
    return fence([&] {
        const Pixels pixels = check_frame(take(frame, "frame", sizeof(edge_ovss_frame)));
        require(rgb, "rgb");
        const std::size_t row = 3 * pixels.width;
        const std::size_t step = stride == 0 ? row : stride;
        if (step < row || step > std::size_t{1} << 30) {
            throw usage_error(text("'stride' is ", stride, " bytes; expected at least ", row, "."));
        }
        if (size < (pixels.height - 1) * step + row) {
            throw capacity_error(text("'rgb' has room for ", size, " bytes; expected ",
                                      (pixels.height - 1) * step + row, "."));
        }
        to_rgb(pixels, rgb, step);
    });
}

edge_ovss_status edge_ovss_segment(edge_ovss_session* session, const edge_ovss_frame* frame,
                                   edge_ovss_result* result) {
    return fence([&] {
        const edge_ovss_frame frame_in = take(frame, "frame", sizeof(edge_ovss_frame));
        edge_ovss_result filled = take(result, "result", sizeof(edge_ovss_result));
        try {
            sessions().find(session)->segment(frame_in, filled);
        } catch (...) {
            give(filled, result);  // scores_shape says how much room is needed
            throw;
        }
        give(filled, result);
    });
}

edge_ovss_status edge_ovss_set_unknown(edge_ovss_session* session, const float* thresholds,
                                       size_t count) {
    return fence([&] {
        const auto held = sessions().find(session);
        const auto now = held->bundle();
        const Bundle& bundle = *now;
        if (count == 0) {
            held->use_thresholds(bundle.manifest.thresholds, bundle.manifest.by_output);
            return;
        }
        require(thresholds, "thresholds");
        if (count > std::max<std::size_t>(1, bundle.vocabulary.names.size())) {
            throw usage_error(text("'count' is ", count, "; expected 0, 1 or ",
                                   bundle.vocabulary.names.size(), ", one for each output."));
        }
        held->use_thresholds(
            checked_thresholds(bundle, std::vector<double>(thresholds, thresholds + count)),
            count > 1);
    });
}

edge_ovss_status edge_ovss_choose_unknown(edge_ovss_session* session, const char* words) {
    return fence([&] {
        require(words, "words");
        const auto held = sessions().find(session);
        const auto now = held->bundle();
        bool by_output = false;
        std::vector<float> thresholds = thresholds_of(*now, words, &by_output);
        held->use_thresholds(std::move(thresholds), by_output);
    });
}

edge_ovss_status edge_ovss_get_unknown(edge_ovss_session* session, float* thresholds,
                                       size_t capacity) {
    return fence([&] {
        require(thresholds, "thresholds");
        const auto now = sessions().find(session)->thresholds();
        if (now.empty()) {
            throw usage_error("The bundle was exported before labels could be unknown.",
                              "Export it again.");
        }
        if (capacity < now.size()) {
            throw capacity_error(
                text("'thresholds' has room for ", capacity, "; expected ", now.size(), "."));
        }
        std::copy(now.begin(), now.end(), thresholds);
    });
}

edge_ovss_status edge_ovss_set_words(edge_ovss_session* session, const char* pack) {
    return fence([&] {
        require(pack, "pack");
        const auto held = sessions().find(session);
        held->use_words(read_pack(*held->bundle(), pack));
    });
}

edge_ovss_status edge_ovss_use_words(edge_ovss_session* session, const char* vocabulary,
                                     const float* text, size_t count) {
    return fence([&] {
        require(vocabulary, "vocabulary");
        require(text, "text");
        const auto held = sessions().find(session);
        held->use_words(take_words(*held->bundle(), vocabulary, text, count));
    });
}

edge_ovss_status edge_ovss_selftest(edge_ovss_session* session, edge_ovss_selftest_report* report) {
    return fence([&] {
        if (report != nullptr) {
            take(report, "selftest_report", offsetof(edge_ovss_selftest_report, undecided));
        }
        const auto found = sessions().find(session);
        const edge_ovss_selftest_report filled = run_selftest(*found);
        if (report != nullptr) {
            give(filled, report);
        }
        if (!passed(filled, found->bundle()->manifest)) {
            throw Error(EDGE_OVSS_ERROR_GATE,
                        text("This backend does not reproduce the bundle's reference output: ",
                             100.0 * filled.agreement, " % of the labels that count are equal, ",
                             100.0 * filled.min_agreement, " % expected."),
                        "Try another backend, or export the bundle again.");
        }
    });
}
