// SPDX-License-Identifier: Apache-2.0
// Show a label map over its picture.
#pragma once

#include <cstdint>
#include <edge_ovss/edge_ovss.hpp>
#include <utility>
#include <vector>

#include "painter.h"

namespace apps {

// Mix the categories' colors into `rgb` (height * width * 3 of the result's size) with weight
// `alpha`, borders darker. Where the label is unknown, `rgb` stays as it is.
void blend(std::uint8_t* rgb, const edge_ovss::Result& result, const Palette& palette,
           double alpha);

// Shares of an image's pixels, 0 to 1.
struct Shares {
    std::vector<std::pair<int, double>> classes;  // by output, the largest first; none is 0
    double unknown = 0.0;
};

Shares shares(const edge_ovss::Result& result, int outputs);

}  // namespace apps
