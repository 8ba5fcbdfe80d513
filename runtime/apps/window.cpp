// SPDX-License-Identifier: Apache-2.0
#include "window.h"

#include <opencv2/highgui.hpp>

#include <cstdlib>

#include "arguments.h"

namespace apps {

void open_window(const std::string& name) {
    for (const char* variable : {"DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM"}) {
        if (std::getenv(variable) != nullptr) {
            cv::namedWindow(name, cv::WINDOW_AUTOSIZE | cv::WINDOW_GUI_NORMAL);
            return;
        }
    }
    throw usage(
        "--window needs a display, and neither DISPLAY nor WAYLAND_DISPLAY is set; or pipe "
        "--out - into a player: | mpv -");
}

bool show(const std::string& name, const std::uint8_t* rgb, int height, int width) {
    static cv::Mat bgr;
    bgr.create(height, width, CV_8UC3);
    for (std::size_t i = 0; i < bgr.total(); ++i) {
        bgr.data[3 * i] = rgb[3 * i + 2];
        bgr.data[3 * i + 1] = rgb[3 * i + 1];
        bgr.data[3 * i + 2] = rgb[3 * i];
    }
    cv::imshow(name, bgr);
    const int key = cv::waitKey(1);
    return key != 'q' && key != 27 && cv::getWindowProperty(name, cv::WND_PROP_VISIBLE) >= 1;
}

}  // namespace apps
