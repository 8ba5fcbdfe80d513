// SPDX-License-Identifier: Apache-2.0
// OpenCV as a source (files, streams, pipelines) and as a window.
#include <sys/stat.h>

#include <opencv2/core/utils/logger.hpp>
#include <opencv2/highgui.hpp>
#include <opencv2/videoio.hpp>

#include <cstdlib>
#include <thread>

#include "addresses.h"
#include "arguments.h"
#include "camera_source.h"
#include "window.h"

namespace apps {

namespace {

constexpr const char* kWindow = "ovss-camera";

class OpenCvSource final : public Source {
public:
    OpenCvSource(const std::string& words, bool paced) {
        open(words);
        if (!capture_.isOpened()) {
            throw bad_input("OpenCV cannot open '" + shown_address(words) + "'.");
        }
        // A file is read in no time: without a pace all but its last frame would be dropped.
        if (paced && is_file(words)) {
            const double fps = capture_.get(cv::CAP_PROP_FPS);
            pause_ = std::chrono::microseconds(static_cast<long>(1e6 / (fps >= 1 ? fps : 30)));
        }
        next_ = std::chrono::steady_clock::now();
    }

    bool read(Captured& captured) override {
        if (!capture_.read(picture_)) {
            return false;
        }
        if (picture_.type() != CV_8UC3) {
            throw bad_input("OpenCV gives frames that are not of 3 x 8 bits.");
        }
        std::this_thread::sleep_until(next_);
        next_ += pause_;
        captured.time = std::chrono::steady_clock::now();
        captured.format = EDGE_OVSS_FORMAT_BGR8;
        captured.height = picture_.rows;
        captured.width = picture_.cols;
        captured.stride = picture_.step;
        const std::size_t last = picture_.step * static_cast<std::size_t>(picture_.rows - 1);
        const std::size_t row = static_cast<std::size_t>(picture_.cols) * picture_.elemSize();
        captured.bytes.assign(picture_.data, picture_.data + last + row);
        return true;
    }

private:
    // Without a word of OpenCV and FFmpeg on stderr: their lines repeat addresses with passwords.
    // FFmpeg's level is read once; what a user has set stays.
    void open(const std::string& words) {
        setenv("OPENCV_FFMPEG_LOGLEVEL", "-8", 0);
        const auto before = cv::utils::logging::setLogLevel(cv::utils::logging::LOG_LEVEL_SILENT);
        capture_.open(words);
        cv::utils::logging::setLogLevel(before);
    }

    static bool is_file(const std::string& words) {
        struct stat found{};
        return stat(words.c_str(), &found) == 0 && S_ISREG(found.st_mode);
    }

    cv::VideoCapture capture_;
    cv::Mat picture_;
    std::chrono::microseconds pause_{0};
    std::chrono::steady_clock::time_point next_;
};

}  // namespace

std::unique_ptr<Source> open_opencv(const std::string& words, bool paced) {
    return std::make_unique<OpenCvSource>(words, paced);
}

void open_window() {
    for (const char* name : {"DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM"}) {
        if (std::getenv(name) != nullptr) {
            cv::namedWindow(kWindow, cv::WINDOW_AUTOSIZE | cv::WINDOW_GUI_NORMAL);
            return;
        }
    }
    throw usage(
        "--window needs a display, and neither DISPLAY nor WAYLAND_DISPLAY is set; or pipe "
        "--out - into a player: | mpv -");
}

bool show(const std::uint8_t* rgb, int height, int width) {
    static cv::Mat bgr;
    bgr.create(height, width, CV_8UC3);
    for (std::size_t i = 0; i < bgr.total(); ++i) {
        bgr.data[3 * i] = rgb[3 * i + 2];
        bgr.data[3 * i + 1] = rgb[3 * i + 1];
        bgr.data[3 * i + 2] = rgb[3 * i];
    }
    cv::imshow(kWindow, bgr);
    const int key = cv::waitKey(1);
    return key != 'q' && key != 27 && cv::getWindowProperty(kWindow, cv::WND_PROP_VISIBLE) >= 1;
}

}  // namespace apps
