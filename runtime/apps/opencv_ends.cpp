// SPDX-License-Identifier: Apache-2.0
// OpenCV as a source (files, streams, pipelines) and as a window.
#include <opencv2/highgui.hpp>
#include <opencv2/videoio.hpp>

#include "arguments.h"
#include "camera_source.h"
#include "window.h"

namespace apps {

namespace {

class OpenCvSource final : public Source {
public:
    explicit OpenCvSource(const std::string& words) : capture_(words) {
        if (!capture_.isOpened()) {
            throw bad_input("OpenCV cannot open '" + words + "'.");
        }
    }

    bool read(Captured& captured) override {
        if (!capture_.read(picture_) || picture_.type() != CV_8UC3) {
            return false;
        }
        captured.time = std::chrono::steady_clock::now();
        captured.format = EDGE_OVSS_FORMAT_BGR8;
        captured.height = picture_.rows;
        captured.width = picture_.cols;
        captured.stride = picture_.step;
        captured.bytes.assign(picture_.data, picture_.data + picture_.total() * picture_.elemSize());
        return true;
    }

private:
    cv::VideoCapture capture_;
    cv::Mat picture_;
};

}  // namespace

std::unique_ptr<Source> open_opencv(const std::string& words) {
    return std::make_unique<OpenCvSource>(words);
}

bool show(const std::uint8_t* rgb, int height, int width) {
    static cv::Mat bgr;
    bgr.create(height, width, CV_8UC3);
    for (std::size_t i = 0; i < bgr.total(); ++i) {
        bgr.data[3 * i] = rgb[3 * i + 2];
        bgr.data[3 * i + 1] = rgb[3 * i + 1];
        bgr.data[3 * i + 2] = rgb[3 * i];
    }
    cv::imshow("ovss-camera", bgr);
    const int key = cv::waitKey(1);
    return key != 'q' && key != 27;
}

}  // namespace apps
