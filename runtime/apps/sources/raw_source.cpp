// SPDX-License-Identifier: Apache-2.0
// Frames without gaps, one after the other in a file, at the pace of a camera.
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <thread>

#include "../arguments.h"
#include "../camera_formats.h"
#include "source.h"

namespace apps {

namespace {

class RawSource final : public Source {
public:
    RawSource(const Address& address, const Reading& reading)
        : file_(std::fopen(address.place.c_str(), "rb"), close_file),
          format_(address.format.empty() ? EDGE_OVSS_FORMAT_YUYV : parse_format(address.format)),
          height_(address.height > 0 ? address.height : 480),
          width_(address.width > 0 ? address.width : 640),
          pause_(static_cast<long>(1e6 / (address.fps > 0.0 ? address.fps : 30.0))),
          paced_(reading.paced) {
        if (!file_) {
            throw bad_input("'" + address.place + "' cannot be opened: " + std::strerror(errno) +
                            ".");
        }
        next_ = std::chrono::steady_clock::now();
    }

    bool ends() const override { return true; }

    bool read(Captured& captured) override {
        captured.format = format_;
        captured.height = height_;
        captured.width = width_;
        captured.stride = 0;
        captured.bytes.resize(edge_ovss_frame_bytes(format_, height_, width_));
        if (paced_) {
            std::this_thread::sleep_until(next_);
        }
        next_ += pause_;
        captured.time = std::chrono::steady_clock::now();
        const auto count = std::fread(captured.bytes.data(), 1, captured.bytes.size(), file_.get());
        return count == captured.bytes.size();
    }

private:
    static int close_file(std::FILE* file) { return file == nullptr ? 0 : std::fclose(file); }

    std::unique_ptr<std::FILE, int (*)(std::FILE*)> file_;
    int format_;
    int height_;
    int width_;
    std::chrono::microseconds pause_;
    bool paced_;
    std::chrono::steady_clock::time_point next_;
};

}  // namespace

std::unique_ptr<Source> open_raw(const Address& address, const Reading& reading) {
    return std::make_unique<RawSource>(address, reading);
}

}  // namespace apps
