// SPDX-License-Identifier: Apache-2.0
#include "camera_source.h"

#include <fcntl.h>
#include <linux/videodev2.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <thread>

#include "addresses.h"
#include "arguments.h"
#include "picture_files.h"

namespace apps {

namespace {

constexpr int kBuffers = 4;
constexpr int kPatienceMs = 5000;

constexpr const char* kFormats[] = {"RGB8", "BGR8", "RGBA8", "BGRA8", "GRAY8", "NV12", "YUYV"};

edge_ovss::Error device_error(const std::string& device, const std::string& what) {
    return edge_ovss::Error(EDGE_OVSS_ERROR_MISSING,
                            "'" + device + "': " + what + ": " + std::strerror(errno) + ".",
                            "Check the cable, the permissions (group 'video'), and that no other "
                            "program uses it; v4l2-ctl --list-formats-ext lists what it can do.");
}

int control(int device, unsigned long request, void* argument) {
    int done = 0;
    do {
        done = ioctl(device, request, argument);
    } while (done == -1 && errno == EINTR);
    return done;
}

class V4l2Source final : public Source {
public:
    V4l2Source(std::string name, int height, int width) : name_(std::move(name)) {
        device_ = open(name_.c_str(), O_RDWR | O_NONBLOCK | O_CLOEXEC);
        if (device_ < 0) {
            throw device_error(name_, "cannot be opened");
        }
        try {
            choose_format(height, width);
            map_buffers();
        } catch (...) {
            release();
            throw;
        }
    }

    ~V4l2Source() override { release(); }

    bool read(Captured& captured) override {
        v4l2_buffer buffer = dequeue();
        captured.time = std::chrono::steady_clock::now();
        const auto* from = static_cast<const std::uint8_t*>(maps_[buffer.index].address);
        const std::size_t size = std::min<std::size_t>(buffer.bytesused, maps_[buffer.index].size);
        take(from, size, captured);
        if (control(device_, VIDIOC_QBUF, &buffer) != 0) {
            throw device_error(name_, "a buffer cannot be given back");
        }
        return true;
    }

private:
    struct Map {
        void* address;
        std::size_t size;
    };

    void choose_format(int height, int width) {
        for (const std::uint32_t wanted :
             {V4L2_PIX_FMT_YUYV, V4L2_PIX_FMT_NV12, V4L2_PIX_FMT_MJPEG, V4L2_PIX_FMT_GREY,
              V4L2_PIX_FMT_RGB24, V4L2_PIX_FMT_BGR24}) {
            std::memset(&format_, 0, sizeof format_);
            format_.type = V4L2_BUF_TYPE_VIDEO_CAPTURE;
            format_.fmt.pix.width = static_cast<std::uint32_t>(width);
            format_.fmt.pix.height = static_cast<std::uint32_t>(height);
            format_.fmt.pix.pixelformat = wanted;
            format_.fmt.pix.field = V4L2_FIELD_NONE;
            // A driver answers with what it can do instead.
            if (control(device_, VIDIOC_S_FMT, &format_) == 0 &&
                format_.fmt.pix.pixelformat == wanted) {
                return;
            }
        }
        throw device_error(name_, "it offers none of YUYV, NV12, MJPG, GREY, RGB3, BGR3");
    }

    void map_buffers() {
        v4l2_requestbuffers request{};
        request.count = kBuffers;
        request.type = V4L2_BUF_TYPE_VIDEO_CAPTURE;
        request.memory = V4L2_MEMORY_MMAP;
        if (control(device_, VIDIOC_REQBUFS, &request) != 0) {
            throw device_error(name_, "it gives no buffers");
        }
        for (std::uint32_t i = 0; i < request.count; ++i) {
            v4l2_buffer buffer = describe(i);
            if (control(device_, VIDIOC_QUERYBUF, &buffer) != 0) {
                throw device_error(name_, "a buffer cannot be asked for");
            }
            void* address = mmap(nullptr, buffer.length, PROT_READ | PROT_WRITE, MAP_SHARED,
                                 device_, static_cast<off_t>(buffer.m.offset));
            if (address == MAP_FAILED) {
                throw device_error(name_, "a buffer cannot be mapped");
            }
            maps_.push_back(Map{address, buffer.length});
            if (control(device_, VIDIOC_QBUF, &buffer) != 0) {
                throw device_error(name_, "a buffer cannot be queued");
            }
        }
        int type = V4L2_BUF_TYPE_VIDEO_CAPTURE;
        if (control(device_, VIDIOC_STREAMON, &type) != 0) {
            throw device_error(name_, "it does not start");
        }
    }

    static v4l2_buffer describe(std::uint32_t index) {
        v4l2_buffer buffer{};
        buffer.type = V4L2_BUF_TYPE_VIDEO_CAPTURE;
        buffer.memory = V4L2_MEMORY_MMAP;
        buffer.index = index;
        return buffer;
    }

    v4l2_buffer dequeue() {
        v4l2_buffer buffer = describe(0);
        pollfd ready{device_, POLLIN, 0};
        while (control(device_, VIDIOC_DQBUF, &buffer) != 0) {
            if (errno != EAGAIN) {
                throw device_error(name_, "it gives no more frames");
            }
            if (poll(&ready, 1, kPatienceMs) == 0) {
                errno = ETIMEDOUT;
                throw device_error(name_, "no frame for five seconds");
            }
        }
        return buffer;
    }

    void take(const std::uint8_t* from, std::size_t size, Captured& captured) const {
        const auto& pixels = format_.fmt.pix;
        captured.height = static_cast<int>(pixels.height);
        captured.width = static_cast<int>(pixels.width);
        captured.stride = pixels.bytesperline;
        switch (pixels.pixelformat) {
            case V4L2_PIX_FMT_MJPEG: {
                Picture picture = decode_jpeg(from, size, name_, Damage::kKept);
                captured.format = EDGE_OVSS_FORMAT_RGB8;
                captured.height = picture.height;
                captured.width = picture.width;
                captured.stride = 0;
                captured.bytes.swap(picture.rgb);
                return;
            }
            case V4L2_PIX_FMT_NV12:
                captured.format = EDGE_OVSS_FORMAT_NV12;
                break;
            case V4L2_PIX_FMT_GREY:
                captured.format = EDGE_OVSS_FORMAT_GRAY8;
                break;
            case V4L2_PIX_FMT_RGB24:
                captured.format = EDGE_OVSS_FORMAT_RGB8;
                break;
            case V4L2_PIX_FMT_BGR24:
                captured.format = EDGE_OVSS_FORMAT_BGR8;
                break;
            default:
                captured.format = EDGE_OVSS_FORMAT_YUYV;
                break;
        }
        captured.bytes.assign(from, from + size);
    }

    void release() {
        int type = V4L2_BUF_TYPE_VIDEO_CAPTURE;
        control(device_, VIDIOC_STREAMOFF, &type);
        for (const Map& map : maps_) {
            munmap(map.address, map.size);
        }
        close(device_);
    }

    std::string name_;
    int device_ = -1;
    v4l2_format format_{};
    std::vector<Map> maps_;
};

// Frames without gaps, one after the other in a file, at the pace of a camera.
class RawSource final : public Source {
public:
    RawSource(const std::string& words, bool paced)
        : path_(words.substr(4, words.find('?') - 4)), file_(nullptr, std::fclose), paced_(paced) {
        const auto mark = words.find('?');
        std::string rest = mark == std::string::npos ? "" : words.substr(mark + 1);
        while (!rest.empty()) {
            const auto end = std::min(rest.find('&'), rest.size());
            set(rest.substr(0, end));
            rest.erase(0, end + 1);
        }
        file_.reset(std::fopen(path_.c_str(), "rb"));
        if (!file_) {
            throw bad_input("'" + path_ + "' cannot be opened: " + std::strerror(errno) + ".");
        }
        next_ = std::chrono::steady_clock::now();
    }

    bool read(Captured& captured) override {
        captured.format = format_;
        captured.height = height_;
        captured.width = width_;
        captured.stride = 0;
        captured.bytes.resize(edge_ovss_frame_bytes(format_, height_, width_));
        if (paced_) {
            std::this_thread::sleep_until(next_);
        }
        next_ += std::chrono::microseconds(1000000 / fps_);
        captured.time = std::chrono::steady_clock::now();
        const auto count = std::fread(captured.bytes.data(), 1, captured.bytes.size(), file_.get());
        return count == captured.bytes.size();
    }

private:
    void set(const std::string& pair) {
        const auto equals = std::min(pair.find('='), pair.size());
        const std::string key = pair.substr(0, equals);
        const std::string value = pair.substr(std::min(equals + 1, pair.size()));
        if (key == "fps") {
            fps_ = parse_number(value, "fps", 1, 1000);
        } else if (key == "size") {
            const auto cross = std::min(value.find('x'), value.size());
            height_ = parse_number(value.substr(0, cross), "The height in size", 1, 32768);
            width_ = parse_number(value.substr(std::min(cross + 1, value.size())),
                                  "The width in size", 1, 32768);
        } else if (key == "format") {
            const auto* at = std::find(std::begin(kFormats), std::end(kFormats), value);
            if (at == std::end(kFormats)) {
                throw usage("The format '" + value + "' is not known.");
            }
            format_ = static_cast<int>(at - std::begin(kFormats));
        } else {
            throw usage("'" + key + "' is not known; expected format, size or fps.");
        }
    }

    std::string path_;
    std::unique_ptr<std::FILE, int (*)(std::FILE*)> file_;
    int format_ = EDGE_OVSS_FORMAT_YUYV;
    int height_ = 480;
    int width_ = 640;
    int fps_ = 30;
    bool paced_;
    std::chrono::steady_clock::time_point next_;
};

// A camera is any character device, and a link to one: /dev/v4l/by-id/... keeps its name.
bool is_camera(const std::string& words) {
    struct stat found{};
    return words.compare(0, 10, "/dev/video") == 0 ||
           (stat(words.c_str(), &found) == 0 && S_ISCHR(found.st_mode));
}

}  // namespace

std::unique_ptr<Source> open_source(const std::string& words, int height, int width, bool paced) {
    if (words.compare(0, 4, "raw:") == 0) {
        return std::make_unique<RawSource>(words, paced);
    }
    if (is_camera(words)) {
        if (!paced) {
            throw usage("--all is for files: a camera does not wait.");
        }
        return std::make_unique<V4l2Source>(words, height, width);
    }
#ifdef EDGE_OVSS_HAVE_OPENCV
    return open_opencv(words, paced);
#else
    throw usage("The source '" + shown_address(words) +
                "' is not known; expected /dev/videoN or raw:FILE "
                "(others need a build with EDGE_OVSS_WITH_OPENCV).");
#endif
}

}  // namespace apps
