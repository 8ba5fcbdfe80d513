// SPDX-License-Identifier: Apache-2.0
// Images as frames: every one counts, and one that cannot be read does not keep the others back.
#include <cstdio>

#include "../addresses.h"
#include "../picture_files.h"
#include "source.h"

namespace apps {

namespace {

class PictureSource final : public Source {
public:
    explicit PictureSource(const Address& address)
        : label_(address.label), paths_(address.pictures) {}

    bool ends() const override { return true; }

    bool read(Captured& captured) override {
        while (next_ < paths_.size()) {
            if (take(paths_[next_++], captured)) {
                return true;
            }
        }
        if (failed_ > 0) {
            throw edge_ovss::Error(EDGE_OVSS_ERROR_INPUT,
                                   std::to_string(failed_) + " of " +
                                       std::to_string(paths_.size()) + " images of '" + label_ +
                                       "' could not be read.",
                                   "The warnings say why.");
        }
        return false;
    }

private:
    bool take(const std::string& path, Captured& captured) {
        try {
            Picture picture = read_picture(path);
            captured.format = EDGE_OVSS_FORMAT_RGB8;
            captured.height = picture.height;
            captured.width = picture.width;
            captured.stride = 0;
            captured.bytes.swap(picture.rgb);
            captured.time = std::chrono::steady_clock::now();
            return true;
        } catch (const edge_ovss::Error& err) {
            if (paths_.size() == 1) {
                throw;
            }
            std::fprintf(stderr, "ovss-camera: warning: %s\n", without_secrets(err.what()).c_str());
            ++failed_;
            return false;
        }
    }

    std::string label_;
    std::vector<std::string> paths_;
    std::size_t next_ = 0;
    std::size_t failed_ = 0;
};

}  // namespace

std::unique_ptr<Source> open_pictures(const Address& address, const Reading&) {
    return std::make_unique<PictureSource>(address);
}

}  // namespace apps
