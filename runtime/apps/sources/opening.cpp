// SPDX-License-Identifier: Apache-2.0
// Which reader opens a source, and what this build lacks for it.
#include <optional>

#include "source.h"

namespace apps {

namespace {

constexpr const char* kGStreamer =
    "-DEDGE_OVSS_WITH_GSTREAMER=ON (Debian: libgstreamer-plugins-base1.0-dev "
    "gstreamer1.0-plugins-good gstreamer1.0-plugins-bad gstreamer1.0-libav)";
constexpr const char* kOpenCv = "-DEDGE_OVSS_WITH_OPENCV=ON (Debian: libopencv-dev)";

[[noreturn, maybe_unused]] void refuse(const Address& address) {
    std::string hint = std::string("Build it with ") + kGStreamer;
    if (address.kind != Kind::kPipeline) {
        hint += std::string(" or ") + kOpenCv;
    }
    throw edge_ovss::Error(EDGE_OVSS_ERROR_MISSING,
                           "This build of ovss-camera cannot open '" + address.label +
                               "': it has no GStreamer" +
                               (address.kind == Kind::kPipeline ? "." : " and no OpenCV."),
                           hint + ", as docs/cpp.md says.");
}

// Pipelines, streams and video files.
std::unique_ptr<Source> open_other(const Address& address, const Reading& reading) {
#if defined EDGE_OVSS_HAVE_GSTREAMER
    return open_gstreamer(address, reading);
#elif defined EDGE_OVSS_HAVE_OPENCV
    return open_opencv(address, reading);
#else
    (void)reading;
    refuse(address);
#endif
}

class InTurn final : public Source {
public:
    InTurn(const std::vector<Address>& addresses, const Reading& reading)
        : addresses_(addresses), reading_(reading) {
        open_next();
    }

    bool ends() const override { return true; }

    bool read(Captured& captured) override {
        while (!reading_.is_over()) {
            if (read_now(captured)) {
                return true;
            }
            if (next_ == addresses_.size()) {
                if (failed_) {
                    throw *failed_;
                }
                return false;
            }
            open_next();
        }
        return false;
    }

private:
    void open_next() { source_ = open_source(addresses_[next_++], reading_); }

    // What is wrong with some images of a folder is said at the end of all.
    bool read_now(Captured& captured) {
        try {
            return source_->read(captured);
        } catch (const edge_ovss::Error& err) {
            if (addresses_[next_ - 1].kind != Kind::kPictures) {
                throw;
            }
            failed_ = err;
            return false;
        }
    }

    std::vector<Address> addresses_;
    Reading reading_;
    std::size_t next_ = 0;
    std::unique_ptr<Source> source_;
    std::optional<edge_ovss::Error> failed_;
};

}  // namespace

std::unique_ptr<Source> open_source(const Address& address, const Reading& reading) {
    switch (address.kind) {
        case Kind::kDevice:
            return open_v4l2(address, reading);
        case Kind::kRaw:
            return open_raw(address, reading);
        case Kind::kPictures:
            return open_pictures(address, reading);
        default:
            return open_other(address, reading);
    }
}

std::unique_ptr<Source> open_in_turn(const std::vector<Address>& addresses,
                                     const Reading& reading) {
    if (addresses.size() == 1) {
        return open_source(addresses.front(), reading);
    }
    return std::make_unique<InTurn>(addresses, reading);
}

}  // namespace apps
