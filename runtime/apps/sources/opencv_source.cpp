// SPDX-License-Identifier: Apache-2.0
// OpenCV as a source: files, streams, and pipelines where it has GStreamer.
#include <opencv2/core/utils/logger.hpp>
#include <opencv2/core/version.hpp>
#include <opencv2/videoio.hpp>
#include <opencv2/videoio/registry.hpp>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <thread>

#include "../arguments.h"
#include "source.h"

namespace apps {

namespace {

constexpr double kEndless = 1e9;
constexpr const char* kStreamHint =
    "Check the address, the user name and the password, and that it can be reached and sends "
    "frames in time.";

bool has_backend(int backend) {
    return cv::videoio_registry::hasBackend(static_cast<cv::VideoCaptureAPIs>(backend));
}

// OpenCV and FFmpeg say nothing on stderr: their lines repeat addresses with passwords. FFmpeg's
// level is read once; what a user has set stays.
class Quiet {
public:
    Quiet() : before_(cv::utils::logging::setLogLevel(cv::utils::logging::LOG_LEVEL_SILENT)) {
        setenv("OPENCV_FFMPEG_LOGLEVEL", "-8", 0);
    }
    ~Quiet() { cv::utils::logging::setLogLevel(before_); }
    Quiet(const Quiet&) = delete;
    Quiet& operator=(const Quiet&) = delete;

private:
    cv::utils::logging::LogLevel before_;
};

class OpenCvSource final : public Source {
public:
    OpenCvSource(const Address& address, const Reading& reading) : address_(address) {
        open(reading);
        if (!capture_.isOpened()) {
            const bool is_file = address.kind == Kind::kVideo;
            throw edge_ovss::Error(EDGE_OVSS_ERROR_INPUT,
                                   "Video source '" + address.label + "' cannot be opened.",
                                   is_file ? "Try it in a player; if that fails too, record it "
                                             "again."
                                           : kStreamHint);
        }
        const double count = capture_.get(cv::CAP_PROP_FRAME_COUNT);
        expected_ = count > 0 && count < kEndless ? std::lround(count) : 0;
        // A file is read in no time: without a pace all but its last frame would be dropped.
        if (reading.paced && is_recording()) {
            const double fps = capture_.get(cv::CAP_PROP_FPS);
            pause_ = std::chrono::microseconds(static_cast<long>(1e6 / (fps >= 1 ? fps : 30)));
        }
        next_ = std::chrono::steady_clock::now();
    }

    bool ends() const override { return address_.ends || is_recording(); }

    bool read(Captured& captured) override {
        if (!capture_.read(picture_) || picture_.empty()) {
            check_whole();
            return false;
        }
        if (picture_.type() == CV_8UC1) {  // a camera that sends gray
            captured.format = EDGE_OVSS_FORMAT_GRAY8;
        } else if (picture_.type() == CV_8UC3) {
            captured.format = EDGE_OVSS_FORMAT_BGR8;
        } else {
            throw bad_input("OpenCV gives frames of '" + address_.label +
                            "' that are not of 8 bits, gray or color.");
        }
        ++count_;
        std::this_thread::sleep_until(next_);
        next_ += pause_;
        take(captured);
        return true;
    }

private:
    void open(const Reading& reading) {
        const Quiet quiet;
        if (address_.kind == Kind::kPipeline) {
            if (!has_backend(cv::CAP_GSTREAMER)) {
                throw edge_ovss::Error(
                    EDGE_OVSS_ERROR_MISSING,
                    "'" + address_.label +
                        "' needs GStreamer, which OpenCV " CV_VERSION
                        " here lacks, and this build of ovss-camera has none of its own.",
                    "Build it with -DEDGE_OVSS_WITH_GSTREAMER=ON.");
            }
            capture_.open(with_appsink(address_.place), cv::CAP_GSTREAMER);
        } else if (address_.kind == Kind::kNetwork && has_backend(cv::CAP_FFMPEG)) {
            const int wait = std::max(1, static_cast<int>(std::lround(1000 * reading.timeout_s)));
            capture_.open(
                address_.place, cv::CAP_FFMPEG,
                {cv::CAP_PROP_OPEN_TIMEOUT_MSEC, wait, cv::CAP_PROP_READ_TIMEOUT_MSEC, wait});
        } else {
            capture_.open(address_.place);
        }
    }

    // A file, also on a web server: it says how many frames it has.
    bool is_recording() const {
        return address_.kind == Kind::kVideo || (address_.kind == Kind::kNetwork && expected_ > 0);
    }

    // A file that says how many frames it has, and has far fewer, is cut off. A few are often
    // missing at the end of one that is whole.
    void check_whole() const {
        const long missing = expected_ - count_;
        if (is_recording() && missing > std::max(5L, expected_ / 20)) {
            throw edge_ovss::Error(
                EDGE_OVSS_ERROR_INPUT,
                "Video '" + address_.label + "' ends after " + std::to_string(count_) + " of " +
                    std::to_string(expected_) + " frames: it is cut off or damaged.",
                "All frames before the damage were used. Copy or record it again.");
        }
    }

    void take(Captured& captured) const {
        captured.time = std::chrono::steady_clock::now();
        captured.height = picture_.rows;
        captured.width = picture_.cols;
        captured.stride = picture_.step;
        const std::size_t last = picture_.step * static_cast<std::size_t>(picture_.rows - 1);
        const std::size_t row = static_cast<std::size_t>(picture_.cols) * picture_.elemSize();
        captured.bytes.assign(picture_.data, picture_.data + last + row);
    }

    Address address_;
    cv::VideoCapture capture_;
    cv::Mat picture_;
    long expected_ = 0;
    long count_ = 0;
    std::chrono::microseconds pause_{0};
    std::chrono::steady_clock::time_point next_;
};

}  // namespace

std::unique_ptr<Source> open_opencv(const Address& address, const Reading& reading) {
    return std::make_unique<OpenCvSource>(address, reading);
}

}  // namespace apps
