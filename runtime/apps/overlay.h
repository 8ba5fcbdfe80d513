// SPDX-License-Identifier: Apache-2.0
// Show a label map over its picture.
#pragma once

#include <edge_ovss/edge_ovss.hpp>

#include <array>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace apps {

using Palette = std::vector<std::array<std::uint8_t, 3>>;

// Mix the categories' colors into `rgb` (height * width * 3 of the result's size) with weight
// `alpha`, borders darker. Where the label is unknown, `rgb` stays as it is.
void blend(std::uint8_t* rgb, const edge_ovss::Result& result, const Palette& palette,
           double alpha);

// Share of pixels in (0, 1] by output, the largest first.
std::vector<std::pair<int, double>> shares(const edge_ovss::Result& result, int outputs);

// Share of pixels whose label is unknown, 0 to 1.
double unknown_share(const edge_ovss::Result& result);

}  // namespace apps
