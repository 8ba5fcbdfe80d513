// SPDX-License-Identifier: Apache-2.0
// A camera of Linux.
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

#include "../picture_files.h"
#include "../words.h"
#include "source.h"

namespace apps {

namespace {

constexpr int kBuffers = 4;
constexpr int kTickMs = 100;  // so long it may take to notice that the program ends

edge_ovss::Error device_error(const std::string& device, const std::string& what) {
    return edge_ovss::Error(EDGE_OVSS_ERROR_INPUT,
                            "'" + device + "': " + what + ": " + std::strerror(errno) + ".",
                            "Check the cable, the permissions (group 'video'), and that no other "
                            "program uses it; v4l2-ctl --list-formats-ext lists what it can do.");
}

// What most often keeps a device from being used, in words.
edge_ovss::Error refused(const std::string& device) {
    const std::string start = "Video source '" + device + "' cannot be opened: ";
    const auto error = [&start](const std::string& why, const std::string& hint) {
        return edge_ovss::Error(EDGE_OVSS_ERROR_INPUT, start + why + ".", hint);
    };
    switch (errno) {
        case ENOENT:
            return error("there is no such camera", "Check the cable; ls /dev/video* lists them.");
        case EBUSY:
            return error("it is in use", "End the other program that reads it.");
        case EACCES:
        case EPERM:
            return error("permission is denied",
                         "Add yourself to the group 'video', and log in again; in a container, "
                         "pass --device.");
        default:
            return error(std::strerror(errno), "Check the cable and the driver.");
    }
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
    V4l2Source(const Address& address, const Reading& reading)
        : name_(address.place), reading_(reading) {
        device_ = open(name_.c_str(), O_RDWR | O_NONBLOCK | O_CLOEXEC);
        if (device_ < 0) {
            throw refused(name_);
        }
        try {
            choose_format(address);
            choose_rate(address.fps);
            map_buffers();
        } catch (...) {
            release();
            throw;
        }
    }

    ~V4l2Source() override { release(); }

    bool ends() const override { return false; }

    bool read(Captured& captured) override {
        v4l2_buffer buffer = describe(0);
        if (!dequeue(buffer)) {
            return false;
        }
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

    // Take the first format that the driver agrees to, or the one that was asked for.
    void choose_format(const Address& address) {
        for (const std::uint32_t wanted :
             {V4L2_PIX_FMT_YUYV, V4L2_PIX_FMT_NV12, V4L2_PIX_FMT_MJPEG, V4L2_PIX_FMT_GREY,
              V4L2_PIX_FMT_RGB24, V4L2_PIX_FMT_BGR24}) {
            if (!address.format.empty() && code_of(address.format) != wanted) {
                continue;
            }
            std::memset(&format_, 0, sizeof format_);
            format_.type = V4L2_BUF_TYPE_VIDEO_CAPTURE;
            format_.fmt.pix.width = static_cast<std::uint32_t>(address.width);
            format_.fmt.pix.height = static_cast<std::uint32_t>(address.height);
            format_.fmt.pix.pixelformat = wanted;
            format_.fmt.pix.field = V4L2_FIELD_NONE;
            // A driver answers with what it can do instead.
            if (control(device_, VIDIOC_S_FMT, &format_) == 0 &&
                format_.fmt.pix.pixelformat == wanted) {
                note_other_size(address);
                return;
            }
        }
        const std::string asked = address.format;
        throw device_error(name_, asked.empty()
                                      ? "it offers none of YUYV, NV12, MJPG, GREY, RGB3, BGR3"
                                      : "it does not offer the format " + asked +
                                            " (of YUYV, NV12, MJPG, GREY, RGB3, BGR3)");
    }

    void note_other_size(const Address& address) const {
        const int height = static_cast<int>(format_.fmt.pix.height);
        const int width = static_cast<int>(format_.fmt.pix.width);
        if (address.is_size_asked && (address.height != height || address.width != width)) {
            std::fprintf(stderr,
                         "ovss-camera: note: '%s' gives %d x %d pixels (height x width), not "
                         "%d x %d as asked\n",
                         name_.c_str(), height, width, address.height, address.width);
        }
    }

    // "MJPG" as a number.
    static std::uint32_t code_of(const std::string& letters) {
        std::uint32_t code = 0;
        for (std::size_t i = 0; i < 4; ++i) {
            const char letter = i < letters.size() ? letters[i] : ' ';
            const auto upper = std::toupper(static_cast<unsigned char>(letter));
            code |= static_cast<std::uint32_t>(upper) << (8 * i);
        }
        return code;
    }

    // A driver may choose a rate close by; one that cannot change its rate is taken as it is.
    void choose_rate(double fps) {
        if (fps <= 0.0) {
            return;
        }
        v4l2_streamparm rate{};
        rate.type = V4L2_BUF_TYPE_VIDEO_CAPTURE;
        rate.parm.capture.timeperframe.numerator = 1000;
        rate.parm.capture.timeperframe.denominator = static_cast<std::uint32_t>(1000.0 * fps + 0.5);
        if (control(device_, VIDIOC_S_PARM, &rate) != 0) {
            std::fprintf(stderr, "ovss-camera: warning: '%s' keeps its own frame rate\n",
                         name_.c_str());
        }
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

    // Wait for a frame; false if the program is ending.
    bool dequeue(v4l2_buffer& buffer) {
        const auto patience = std::chrono::duration<double>(reading_.timeout_s);
        const auto start = std::chrono::steady_clock::now();
        while (control(device_, VIDIOC_DQBUF, &buffer) != 0) {
            if (errno != EAGAIN) {
                throw device_error(name_, "it gives no more frames");
            }
            if (reading_.is_over()) {
                return false;
            }
            if (std::chrono::steady_clock::now() - start > patience) {
                errno = ETIMEDOUT;
                throw device_error(name_, in_words("no frame for %g seconds", reading_.timeout_s));
            }
            pollfd ready{device_, POLLIN, 0};
            poll(&ready, 1, kTickMs);
        }
        return true;
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
    Reading reading_;
    int device_ = -1;
    v4l2_format format_{};
    std::vector<Map> maps_;
};

}  // namespace

std::unique_ptr<Source> open_v4l2(const Address& address, const Reading& reading) {
    return std::make_unique<V4l2Source>(address, reading);
}

}  // namespace apps
