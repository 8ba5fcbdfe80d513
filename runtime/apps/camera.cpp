// SPDX-License-Identifier: Apache-2.0
// ovss-camera: cameras in, overlays with their latency out. A frame that comes while another one is
// being segmented replaces the one that waits: frames are dropped, never queued.
#include <algorithm>
#include <atomic>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <limits>
#include <memory>
#include <string>

#include "addresses.h"
#include "arguments.h"
#include "live/grabber.h"
#include "live/screen.h"
#include "live/watchdog.h"
#include "memory.h"
#include "sources/kinds.h"

namespace {

constexpr const char* kHelp =
    "ovss-camera - segment the frames of cameras as they come\n"
    "\n"
    "  ovss-camera BUNDLE SOURCE [SOURCE ...] [options]\n"
    "\n"
    "  --size HxW       ask a camera device for this size (default 480x640)\n"
    "  --out FILE       write the overlays as YUV4MPEG2 (FILE.y4m, or - for stdout: | mpv -); "
    "those\n"
    "                   of a second camera into FILE-2.y4m\n"
    "  --window         show the overlays (with OpenCV); q ends\n"
    "  --fps N          pace written into the file (default 30)\n"
    "  --alpha A        weight of the colors, 0 to 1 (default 0.55)\n"
    "  --no-legend      do not write the names of the classes\n"
    "  --limit N        end after N frames were segmented\n"
    "  --duration S     end after S seconds\n"
    "  --timeout S      longest wait for a source to open, and for a frame (default 10)\n"
    "  --reconnect S    how long to try to open a lost camera again (default 300; 0 never, inf\n"
    "                   always)\n"
    "  --all            of a video: segment every frame, however long it takes; drop none\n"
    "  --unknown WHEN   off, auto, a threshold such as 0.2, or a file of eval --tune-unknown\n"
    "                   (default as the bundle says)\n"
    "  --stabilize MS   follow labels from frame to frame, and hold one against the network for\n"
    "                   at most MS (150 is usual)\n"
    "  --keyframe N     the network sees every N-th frame; labels move along in between. async: "
    "it\n"
    "                   runs in its own thread, on the newest frame (default with OpenCV, but\n"
    "                   not with --all)\n"
    "  --flow NAME      how labels move: dis (with OpenCV), none (they stay where they are)\n"
    "  --backend NAME   default auto\n"
    "  --threads N      CPU threads (default: all)\n"
    "\n"
    "Several cameras share one session and take turns. Recordings are read one after the other.\n"
    "Pipelines, rtsp://, http:// and videos need a build with GStreamer or OpenCV.\n"
    "\n"
    "Ends at the end of the sources or with Ctrl-C, and then prints one JSON object. Exit status: "
    "0\n"
    "done, 2 wrong use, 3 something is not installed, 4 bad input, 5 the bundle does not fit, 130 "
    "and\n"
    "143 after SIGINT and SIGTERM.\n";

constexpr std::chrono::milliseconds kTick(100);

std::atomic<int> signalled{0};
std::atomic<int> signals{0};

// Supervisors may signal a process and its group; who presses Ctrl-C a third time is in a hurry.
void stop(int number) {
    signalled = number;
    if (++signals > 2) {
        std::_Exit(128 + number);
    }
}

void warn(const std::string& words) {
    std::fprintf(stderr, "ovss-camera: warning: %s\n", apps::without_secrets(words).c_str());
}

double seconds_since(std::chrono::steady_clock::time_point start) {
    const std::chrono::duration<double> passed = std::chrono::steady_clock::now() - start;
    return passed.count();
}

struct Totals {
    long frames = 0;
    long key_frames = 0;
    long overflows = 0;
    double infer_ms = 0.0;
    double latency_ms = 0.0;
};

// One source with its reader, its memory of earlier frames and its views.
struct Channel {
    std::unique_ptr<apps::Memory> memory;
    std::unique_ptr<apps::Screen> screen;
    edge_ovss::Result result;
    long segmented = 0;
};

struct Limits {
    long frames = 0;        // 0: none
    double duration = 0.0;  // seconds; 0: none
};

class Run {
public:
    Run(const apps::Arguments& arguments, edge_ovss::Segmenter& segmenter,
        const std::vector<apps::Address>& sources)
        : limits_{arguments.number("--limit", 0, 1, 1000000000),
                  arguments.real("--duration", 0.0, 0.001, 1e9)},
          timeout_s_(arguments.real("--timeout", 10.0, 0.1, 86400.0)),
          watchdog_(timeout_s_, warn) {
        const bool all = arguments.has("--all");
        bool are_images = false;
        for (const apps::Address& source : sources) {
            are_images = are_images || source.kind == apps::Kind::kPictures;
            if (all && !source.waits()) {
                throw apps::usage("--all is for files: a camera does not wait.");
            }
        }
        // An image is not replaced by another one that is newer.
        const bool keep_all = all || are_images;
        heed_stalls_ = sources.front().is_live() && !keep_all;
        const std::vector<apps::LiveSource> readers = readers_of(sources, !keep_all);
        newest_ = std::make_shared<apps::Newest>(readers.size(), keep_all);
        for (std::size_t i = 0; i < readers.size(); ++i) {
            channels_.emplace_back();
            channels_[i].memory = std::make_unique<apps::Memory>(arguments, segmenter, !are_images);
            channels_[i].screen = std::make_unique<apps::Screen>(arguments, segmenter, i,
                                                                 readers.size(), readers[i].label);
        }
        apps::Persistence persistence;
        persistence.reconnect_s =
            arguments.real("--reconnect", 300.0, 0.0, std::numeric_limits<double>::infinity());
        for (std::size_t i = 0; i < readers.size(); ++i) {
            grabbers_.push_back(
                std::make_unique<apps::Grabber>(i, readers[i], newest_, persistence, warn));
        }
    }

    // Segment until something ends it. Throws why, after `finish` only.
    void run() {
        const auto start = std::chrono::steady_clock::now();
        apps::Captured captured;
        while (!is_over(start)) {
            if (heed_stalls_) {
                watchdog_.check(grabbers_);
            }
            if (newest_->take(captured, kTick) && !handle(captured)) {
                return;
            }
        }
    }

    // End the readers, and finish the files.
    void finish() {
        for (const auto& grabber : grabbers_) {
            grabber->stop();
        }
        newest_->close();
        for (const auto& grabber : grabbers_) {
            has_hanging_ = !grabber->join() || has_hanging_;
        }
        for (Channel& channel : channels_) {
            channel.memory.reset();
            channel.screen->close();
        }
    }

    // Why a source ended before the run did, if one did.
    void throw_lost() const {
        for (const auto& grabber : grabbers_) {
            const auto state = grabber->state();
            if (state.failed) {
                throw edge_ovss::Error(*state.failed);
            }
        }
    }

    // Whether a driver keeps a thread, which ends with the program only.
    bool has_hanging() const { return has_hanging_; }

    bool has_begun() const {
        return std::any_of(grabbers_.begin(), grabbers_.end(),
                           [](const auto& grabber) { return grabber->state().read > 0; });
    }

    void print(std::FILE* file) const {
        const double frames = totals_.frames > 0 ? static_cast<double>(totals_.frames) : 1.0;
        std::fprintf(file,
                     "{\"frames\": %ld, \"dropped\": %ld, \"overflows\": %ld, "
                     "\"mean_infer_ms\": %.3f, \"mean_latency_ms\": %.3f, \"key_frames\": %ld, "
                     "\"stalls\": %ld, \"sources\": [",
                     totals_.frames, newest_->dropped(), totals_.overflows,
                     totals_.infer_ms / frames, totals_.latency_ms / frames, totals_.key_frames,
                     watchdog_.stalls());
        for (std::size_t i = 0; i < grabbers_.size(); ++i) {
            print_source(file, i);
        }
        std::fprintf(file, "]}\n");
        std::fflush(file);
    }

private:
    // Each camera has a reader of its own; recordings have one together.
    std::vector<apps::LiveSource> readers_of(const std::vector<apps::Address>& sources,
                                             bool paced) const {
        apps::Reading reading;
        reading.paced = paced;
        reading.timeout_s = timeout_s_;
        if (!sources.front().is_live()) {
            const std::string label = sources.size() == 1
                                          ? sources.front().label
                                          : std::to_string(sources.size()) + " recordings";
            return {{label, [sources, reading](const std::atomic<bool>& ending) mutable {
                         reading.ending = &ending;
                         return apps::open_in_turn(sources, reading);
                     }}};
        }
        std::vector<apps::LiveSource> readers;
        for (const apps::Address& source : sources) {
            readers.push_back(
                {source.label, [source, reading](const std::atomic<bool>& ending) mutable {
                     reading.ending = &ending;
                     return apps::open_source(source, reading);
                 }});
        }
        return readers;
    }

    bool is_over(std::chrono::steady_clock::time_point start) const {
        if (signalled != 0 || (limits_.frames > 0 && totals_.frames >= limits_.frames) ||
            (limits_.duration > 0.0 && seconds_since(start) >= limits_.duration)) {
            return true;
        }
        bool goes_on = newest_->is_waiting();
        for (const auto& grabber : grabbers_) {
            const auto state = grabber->state();
            if (state.failed && state.read == 0) {
                return true;
            }
            goes_on = goes_on || !state.has_ended;
        }
        // A last frame may have come between the two looks.
        return !goes_on && !newest_->is_waiting();
    }

    bool handle(const apps::Captured& captured) {
        Channel& channel = channels_[captured.source];
        const bool key = channel.memory->segment(captured, channel.result);
        ++channel.segmented;
        ++totals_.frames;
        totals_.key_frames += key ? 1 : 0;
        totals_.overflows += key ? channel.result.c.overflow : 0;
        totals_.infer_ms += key ? channel.result.c.infer_ms : 0.0;
        const bool goes_on = channel.screen->show(captured, channel.result, newest_->dropped());
        totals_.latency_ms += 1000.0 * seconds_since(captured.time);
        return goes_on;
    }

    void print_source(std::FILE* file, std::size_t number) const {
        const auto state = grabbers_[number]->state();
        std::fprintf(file,
                     "%s{\"source\": %s, \"read\": %ld, \"segmented\": %ld, \"dropped\": %ld, "
                     "\"skipped\": %ld, \"reconnects\": %ld, \"error\": %s}",
                     number == 0 ? "" : ", ", apps::json_string(grabbers_[number]->label()).c_str(),
                     state.read, channels_[number].segmented, newest_->dropped(number),
                     newest_->left(number), state.reconnects,
                     state.failed
                         ? apps::json_string(apps::without_secrets(state.failed->what())).c_str()
                         : "null");
    }

    Limits limits_;
    double timeout_s_;
    bool heed_stalls_ = false;
    bool has_hanging_ = false;
    Totals totals_;
    apps::Watchdog watchdog_;
    std::shared_ptr<apps::Newest> newest_;
    std::vector<Channel> channels_;
    std::vector<std::unique_ptr<apps::Grabber>> grabbers_;
};

std::vector<apps::Address> sources_of(const apps::Arguments& arguments) {
    const auto& words = arguments.positional();
    if (words.size() < 2) {
        throw edge_ovss::Error(EDGE_OVSS_ERROR_USAGE, "Expected BUNDLE and SOURCE.",
                               apps::kGrammar);
    }
    auto sources = apps::find_sources({words.begin() + 1, words.end()});
    const auto [height, width] = apps::parse_size(arguments.value("--size", "480x640"), "--size");
    for (apps::Address& source : sources) {
        if (source.kind == apps::Kind::kDevice && source.height == 0) {
            source.height = height;
            source.width = width;
            source.is_size_asked = arguments.has("--size");
        }
    }
    return sources;
}

int run(int argc, char** argv) {
    const apps::Arguments arguments(
        argc, argv,
        {"--size", "--out", "--fps", "--alpha", "--limit", "--duration", "--timeout", "--reconnect",
         "--unknown", "--stabilize", "--keyframe", "--flow", "--backend", "--threads"},
        {"--window", "--all", "--no-legend", "--help"});
    if (arguments.has("--help")) {
        std::printf("%s\n%s\n", kHelp, apps::kGrammar);
        return 0;
    }
    const std::vector<apps::Address> sources = sources_of(arguments);
    edge_ovss::Segmenter segmenter(arguments.positional()[0], apps::session_options(arguments));
    apps::choose_unknown(arguments, segmenter);
    std::signal(SIGINT, stop);
    std::signal(SIGTERM, stop);
    auto run = std::make_unique<Run>(arguments, segmenter, sources);
    std::exception_ptr failure;
    try {
        run->run();
    } catch (...) {  // the summary is printed first
        failure = std::current_exception();
    }
    try {
        run->finish();
    } catch (...) {
        failure = failure ? failure : std::current_exception();
    }
    if (run->has_begun()) {
        run->print(arguments.value("--out", "") == "-" ? stderr : stdout);
    }
    const int status = apps::guarded("ovss-camera", [&] {
        if (failure) {
            std::rethrow_exception(failure);
        }
        if (signalled == 0) {
            run->throw_lost();
        }
        return signalled == 0 ? 0 : 128 + signalled;
    });
    if (run->has_hanging()) {  // its thread uses what an orderly end would destroy
        std::fflush(nullptr);
        std::_Exit(status);
    }
    return status;
}

}  // namespace

int main(int argc, char** argv) {
    return apps::guarded("ovss-camera", [&] { return run(argc, argv); });
}
