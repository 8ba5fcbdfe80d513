// SPDX-License-Identifier: Apache-2.0
#include "painter.h"

#include <algorithm>
#include <cstring>

namespace apps {

namespace {

constexpr double kBorder = 0.55;
constexpr std::size_t kBytes = 256;
constexpr std::size_t kBorders = kBytes;
constexpr std::size_t kSame = 2 * kBytes;

template <typename Label>
std::uint32_t label_at(const std::uint8_t* row, std::size_t x) {
    Label label = 0;
    std::memcpy(&label, row + x * sizeof label, sizeof label);
    return label;
}

// For every pixel of a row 2 k, or 2 k + 1 where the pixel right of it or below is of another
// class.
template <typename Label>
void classify(const std::uint8_t* here, const std::uint8_t* below, std::uint32_t known,
              std::size_t width, std::uint32_t* which) {
    for (std::size_t x = 0; x + 1 < width; ++x) {
        const std::uint32_t label = label_at<Label>(here, x);
        const std::uint32_t right = label_at<Label>(here, x + 1);
        const std::uint32_t under = label_at<Label>(below, x);
        const std::uint32_t is_border = (label != right) | (label != under);
        which[x] = 2 * std::min(label, known) + is_border;
    }
    const std::uint32_t last = label_at<Label>(here, width - 1);
    const std::uint32_t is_border = label_at<Label>(below, width - 1) != last ? 1 : 0;
    which[width - 1] = 2 * std::min(last, known) + is_border;
}

}  // namespace

void Painter::use(const Palette& palette, double alpha) {
    if (alpha != alpha_) {
        make_table(alpha);
        alpha_ = alpha;
    }
    if (palette != palette_ || rows_.empty()) {
        find_rows(palette);
        palette_ = palette;
    }
}

void Painter::make_table(double alpha) {
    made_.resize((kSame + 1) * kBytes);
    for (std::size_t color = 0; color < kBytes; ++color) {
        for (std::size_t byte = 0; byte < kBytes; ++byte) {
            const double mixed =
                (1.0 - alpha) * static_cast<double>(byte) + alpha * static_cast<double>(color);
            const double dark = (alpha > 0.0 ? kBorder : 1.0) * mixed;
            made_[color * kBytes + byte] = static_cast<std::uint8_t>(mixed + 0.5);
            made_[(kBorders + color) * kBytes + byte] = static_cast<std::uint8_t>(dark + 0.5);
        }
    }
    for (std::size_t byte = 0; byte < kBytes; ++byte) {
        made_[kSame * kBytes + byte] = static_cast<std::uint8_t>(byte);
    }
}

void Painter::find_rows(const Palette& palette) {
    constexpr std::uint32_t same = kSame * kBytes;
    rows_.assign(2 * (palette.size() + 1), {same, same, same});
    for (std::size_t label = 0; label < palette.size(); ++label) {
        for (std::size_t c = 0; c < 3; ++c) {
            const std::size_t color = palette[label][c];
            rows_[2 * label][c] = static_cast<std::uint32_t>(color * kBytes);
            rows_[2 * label + 1][c] = static_cast<std::uint32_t>((kBorders + color) * kBytes);
        }
    }
}

template <typename Label>
void Painter::paint_labels(const Plane<const std::uint8_t>& from, const edge_ovss::Result& result,
                           const Plane<std::uint8_t>& to) {
    const auto width = static_cast<std::size_t>(result.width);
    const auto known = static_cast<std::uint32_t>(palette_.size());
    const std::uint8_t* here = result.labels.data();
    for (int y = 0; y < result.height; ++y, here += width * sizeof(Label)) {
        const bool is_last = y + 1 == result.height;
        classify<Label>(here, is_last ? here : here + width * sizeof(Label), known, width,
                        which_.data());
        paint_row(from.row(y), to.row(y), width);
    }
}

// Both by value, so that no byte written could be one of theirs.
void Painter::paint_row(Plane<const std::uint8_t> from, Plane<std::uint8_t> to,
                        std::size_t width) const {
    const std::uint8_t* made = made_.data();
    const Rows* rows = rows_.data();
    const std::uint32_t* which = which_.data();
    for (std::size_t x = 0; x < width; ++x, from.data += from.step, to.data += to.step) {
        const Rows& row = rows[which[x]];
        const std::uint8_t red = made[row[0] + from.data[from.at[0]]];
        const std::uint8_t green = made[row[1] + from.data[from.at[1]]];
        const std::uint8_t blue = made[row[2] + from.data[from.at[2]]];
        to.data[to.at[0]] = red;
        to.data[to.at[1]] = green;
        to.data[to.at[2]] = blue;
        if (to.step == 4) {
            to.data[3] = 255;
        }
    }
}

void Painter::paint(const Plane<const std::uint8_t>& from, const edge_ovss::Result& result,
                    const Plane<std::uint8_t>& to) {
    if (result.height <= 0 || result.width <= 0) {
        return;
    }
    which_.resize(static_cast<std::size_t>(result.width));
    if (result.label_bytes == 1) {
        paint_labels<std::uint8_t>(from, result, to);
    } else {
        paint_labels<std::uint16_t>(from, result, to);
    }
}

}  // namespace apps
