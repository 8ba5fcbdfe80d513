// SPDX-License-Identifier: Apache-2.0
#include "acceptance.h"

#include <algorithm>
#include <cmath>
#include <cstddef>

namespace edge_ovss::internal {

namespace {

constexpr double kSteps = 65535.0;
constexpr double kFew = 0.01;
constexpr double kScoreFloor = 1e-3;  // a lower score counts as this much in comparisons
constexpr Rule kFp32{0.999, 1e-3, true};
constexpr Rule kFp16{0.995, 2e-2, false};
constexpr Rule kBf16{0.97, 1e-1, false};
constexpr Rule kInt8{0.98, 1e-1, false};

Rule of_precision(const std::string& precision) {
    if (precision == "fp16") {
        return kFp16;
    }
    if (precision == "bf16") {
        return kBf16;
    }
    return precision == "int8" ? kInt8 : kFp32;
}

std::vector<bool> above(const std::vector<std::uint16_t>& leads, double tolerance) {
    std::vector<bool> counts(leads.size());
    std::transform(leads.begin(), leads.end(), counts.begin(),
                   [&](std::uint16_t lead) { return lead / kSteps > tolerance; });
    return counts;
}

}  // namespace

Rule rule_for(const std::string& precision, double min_label_agreement) {
    Rule rule = of_precision(precision);
    rule.min_agreement = std::max(rule.min_agreement, min_label_agreement);
    return rule;
}

double tolerance_of(const std::vector<std::uint16_t>& leads, const Rule& rule) {
    if (leads.empty()) {
        return kFp32.lead;  // as nothing says which labels are decided
    }
    const std::vector<bool> counts = above(leads, rule.lead);
    const auto number = static_cast<double>(std::count(counts.begin(), counts.end(), true));
    return number >= kFew * static_cast<double>(leads.size()) ? rule.lead : kFp32.lead;
}

std::vector<bool> decided(const std::vector<std::uint16_t>& leads, const Rule& rule) {
    return above(leads, tolerance_of(leads, rule));
}

bool counts_with_unknown(bool decided, double measure, double threshold, double lowest,
                         double tolerance) {
    const double room = tolerance * std::max(std::max(measure, threshold), kScoreFloor);
    const bool close = std::abs(measure - threshold) <= room && threshold > 0.0;
    const bool surely = measure < lowest - tolerance * std::max(lowest, kScoreFloor);
    return (decided && !close) || surely;
}

}  // namespace edge_ovss::internal
