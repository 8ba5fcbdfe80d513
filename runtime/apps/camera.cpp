// SPDX-License-Identifier: Apache-2.0
// ovss-camera: a camera in, an overlay with its latency out. A frame that comes while another one
// is being segmented replaces the one that waits: frames are dropped, never queued.
#include <atomic>
#include <condition_variable>
#include <csignal>
#include <cstdio>
#include <exception>
#include <mutex>
#include <optional>
#include <string>
#include <thread>

#include "arguments.h"
#include "camera_source.h"
#include "legend.h"
#include "memory.h"
#include "overlay.h"
#include "video_file.h"
#ifdef EDGE_OVSS_HAVE_OPENCV
#include "window.h"
#endif

namespace {

constexpr const char* kHelp =
    "ovss-camera - segment a camera's frames as they come\n"
    "\n"
    "  ovss-camera BUNDLE SOURCE [options]\n"
    "\n"
    "  SOURCE           0, /dev/video0, v4l2:///dev/video0?size=720x1280&fps=30&format=MJPG,\n"
    "                   raw:FILE?format=YUYV&size=480x640&fps=30; with GStreamer csi://0,\n"
    "                   rtsp://..., http://..., gst://PIPELINE and video files; with OpenCV\n"
    "                   rtsp://..., http://... and video files\n"
    "  --size HxW       ask a camera device for this size (default 480x640)\n"
    "  --out FILE       write the overlays as YUV4MPEG2 (FILE.y4m, or - for stdout: | mpv -)\n"
    "  --window         show the overlays (with OpenCV); q ends\n"
    "  --fps N          pace written into the file (default 30)\n"
    "  --alpha A        weight of the colors, 0 to 1 (default 0.55)\n"
    "  --no-legend      do not write the names of the classes\n"
    "  --limit N        end after N frames were segmented\n"
    "  --all            of a file: segment every frame, however long it takes; drop none\n"
    "  --unknown WHEN   off, auto, a threshold such as 0.2, or a file of eval --tune-unknown\n"
    "                   (default as the bundle says)\n"
    "  --stabilize MS   follow labels from frame to frame, and hold one against the network for\n"
    "                   at most MS (150 is usual)\n"
    "  --keyframe N     the network sees every N-th frame; labels move along in between. async: it\n"
    "                   runs in its own thread, on the newest frame (default with OpenCV, but\n"
    "                   not with --all)\n"
    "  --flow NAME      how labels move: dis (with OpenCV), none (they stay where they are)\n"
    "  --backend NAME   default auto\n"
    "  --threads N      CPU threads (default: all)\n"
    "\n"
    "Ends at the end of the source or with Ctrl-C, and then prints one JSON object.\n";

std::atomic<bool> stopped{false};

void stop(int) {
    stopped = true;
}

// Room for one frame: what is not taken in time is replaced, or waited for if all are wanted.
class Mailbox {
public:
    explicit Mailbox(bool keep_all) : keep_all_(keep_all) {}

    // Give a frame; its memory is exchanged for that of an older one.
    void put(apps::Captured& captured) {
        std::unique_lock<std::mutex> lock(mutex_);
        while (keep_all_ && full_ && !closed_) {
            taken_.wait(lock);
        }
        if (closed_) {
            return;
        }
        dropped_ += full_ ? 1 : 0;
        std::swap(slot_, captured);
        full_ = true;
        changed_.notify_one();
    }

    void end(std::exception_ptr failure) {
        const std::lock_guard<std::mutex> lock(mutex_);
        failure_ = failure;
        ended_ = true;
        changed_.notify_one();
    }

    // Nobody takes any more; who waits in `put` goes on.
    void close() {
        const std::lock_guard<std::mutex> lock(mutex_);
        closed_ = true;
        taken_.notify_one();
    }

    // Wait for a frame; false at the end. Throws what the source threw.
    bool take(apps::Captured& captured) {
        std::unique_lock<std::mutex> lock(mutex_);
        while (!full_ && !ended_ && !stopped) {
            changed_.wait_for(lock, std::chrono::milliseconds(100));
        }
        if (full_ && !stopped) {
            std::swap(slot_, captured);
            full_ = false;
            taken_.notify_one();
            return true;
        }
        if (failure_ && !stopped) {
            std::rethrow_exception(failure_);
        }
        return false;
    }

    long dropped() {
        const std::lock_guard<std::mutex> lock(mutex_);
        return dropped_;
    }

private:
    std::mutex mutex_;
    std::condition_variable changed_;
    std::condition_variable taken_;
    const bool keep_all_;
    bool closed_ = false;
    apps::Captured slot_;
    bool full_ = false;
    bool ended_ = false;
    std::exception_ptr failure_;
    long dropped_ = 0;
};

// The thread that reads the camera, and ends with this object.
class Reader {
public:
    Reader(apps::Source& source, Mailbox& mailbox)
        : mailbox_(mailbox), thread_([this, &source, &mailbox] { read(source, mailbox); }) {}

    ~Reader() {
        ending_ = true;
        mailbox_.close();
        thread_.join();
    }

    Reader(const Reader&) = delete;
    Reader& operator=(const Reader&) = delete;

private:
    void read(apps::Source& source, Mailbox& mailbox) {
        apps::Captured captured;
        try {
            while (!ending_ && source.read(captured)) {
                mailbox.put(captured);
            }
            mailbox.end(nullptr);
        } catch (...) {
            mailbox.end(std::current_exception());
        }
    }

    Mailbox& mailbox_;
    std::atomic<bool> ending_{false};
    std::thread thread_;  // last: it uses the others
};

double milliseconds_since(std::chrono::steady_clock::time_point start) {
    const std::chrono::duration<double, std::milli> passed =
        std::chrono::steady_clock::now() - start;
    return passed.count();
}

// What becomes of every answer.
class Screen {
public:
    Screen(const apps::Arguments& arguments, const edge_ovss::Segmenter& segmenter)
        : palette_(segmenter.palette()),
          names_(segmenter.names()),
          legend_(!arguments.has("--no-legend")),
          alpha_(arguments.real("--alpha", 0.55, 0.0, 1.0)),
          window_(arguments.has("--window")) {
        if (arguments.has("--out")) {
            file_.emplace(arguments.value("--out", ""), arguments.number("--fps", 30, 1, 1000));
        }
        for (std::size_t i = 0; legend_ && i < names_.size(); ++i) {
            if (!apps::can_draw(names_[i])) {
                std::fprintf(stderr, "ovss-camera: in the legend %s stands for '%s'\n",
                             apps::shown_name(names_, i).c_str(), names_[i].c_str());
            }
        }
        if (window_) {
#ifdef EDGE_OVSS_HAVE_OPENCV
            apps::open_window();
#else
            throw apps::usage(
                "--window needs a build with EDGE_OVSS_WITH_OPENCV; or pipe "
                "--out - into a player: | mpv -");
#endif
        }
    }

    // Returns false when the user closes the window.
    bool show(const apps::Captured& captured, const edge_ovss::Result& result, long dropped) {
        if (!file_ && !window_) {
            return true;
        }
        const auto frame = captured.frame();
        rgb_.resize(static_cast<std::size_t>(captured.height) *
                    static_cast<std::size_t>(captured.width) * 3);
        edge_ovss::check(edge_ovss_to_rgb(&frame.c, rgb_.data(), 0, rgb_.size()));
        apps::blend(rgb_.data(), result, palette_, alpha_);
        char words[64];
        std::snprintf(words, sizeof words, "%.0f ms  dropped %ld",
                      milliseconds_since(captured.time), dropped);
        const apps::Canvas canvas{rgb_.data(), captured.height, captured.width};
        if (legend_) {
            apps::draw_legend(canvas, result, names_, palette_);
        }
        apps::draw_banner(canvas, words);
        if (file_) {
            file_->write(rgb_.data(), captured.height, captured.width);
        }
#ifdef EDGE_OVSS_HAVE_OPENCV
        return !window_ || apps::show(rgb_.data(), captured.height, captured.width);
#else
        return true;
#endif
    }

private:
    apps::Palette palette_;
    std::vector<std::string> names_;
    bool legend_;
    double alpha_;
    bool window_;
    std::optional<apps::VideoFile> file_;
    std::vector<std::uint8_t> rgb_;
};

struct Totals {
    long frames = 0;
    long key_frames = 0;
    long overflows = 0;
    double infer_ms = 0.0;
    double latency_ms = 0.0;
};

void print(const Totals& totals, long dropped, bool to_stderr) {
    const double frames = totals.frames > 0 ? static_cast<double>(totals.frames) : 1.0;
    std::fprintf(to_stderr ? stderr : stdout,
                 "{\"frames\": %ld, \"dropped\": %ld, \"overflows\": %ld, "
                 "\"mean_infer_ms\": %.3f, \"mean_latency_ms\": %.3f, \"key_frames\": %ld}\n",
                 totals.frames, dropped, totals.overflows, totals.infer_ms / frames,
                 totals.latency_ms / frames, totals.key_frames);
}

int run(int argc, char** argv) {
    const apps::Arguments arguments(
        argc, argv,
        {"--size", "--out", "--fps", "--alpha", "--limit", "--unknown", "--stabilize",
         "--keyframe", "--flow", "--backend", "--threads"},
        {"--window", "--all", "--no-legend", "--help"});
    if (arguments.has("--help")) {
        std::fputs(kHelp, stdout);
        return 0;
    }
    const auto& words = arguments.positional();
    if (words.size() != 2) {
        throw apps::usage("Expected BUNDLE and SOURCE.");
    }
    const auto [height, width] = apps::parse_size(arguments.value("--size", "480x640"), "--size");
    const int limit = arguments.number("--limit", 0, 1, 1000000000);

    edge_ovss::Segmenter segmenter(words[0], apps::session_options(arguments));
    apps::choose_unknown(arguments, segmenter);
    apps::Memory memory(arguments, segmenter);
    Screen screen(arguments, segmenter);
    const auto source = apps::open_source(words[1], height, width, !arguments.has("--all"));
    std::signal(SIGINT, stop);
    std::signal(SIGTERM, stop);

    Mailbox mailbox(arguments.has("--all"));
    Totals totals;
    apps::Captured captured;
    edge_ovss::Result result;
    {
        const Reader reader(*source, mailbox);
        while ((limit == 0 || totals.frames < limit) && mailbox.take(captured)) {
            const bool key = memory.segment(captured, result);
            const bool goes_on = screen.show(captured, result, mailbox.dropped());
            ++totals.frames;
            totals.key_frames += key ? 1 : 0;
            totals.overflows += key ? result.c.overflow : 0;
            totals.infer_ms += key ? result.c.infer_ms : 0.0;
            totals.latency_ms += milliseconds_since(captured.time);
            if (!goes_on) {
                break;
            }
        }
    }
    print(totals, mailbox.dropped(), arguments.value("--out", "") == "-");
    return 0;
}

}  // namespace

int main(int argc, char** argv) {
    return apps::guarded("ovss-camera", [&] { return run(argc, argv); });
}
