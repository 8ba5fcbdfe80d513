// SPDX-License-Identifier: Apache-2.0
// When an answer is as good as the reference answer of a bundle. The rule is that of
// edge_ovss/bundle/reference.py, tolerances.py and decisive.py; docs/bundle.md says it in words.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace edge_ovss::internal {

// What is asked of an answer.
struct Rule {
    double min_agreement;  // least share of equal labels among those that count
    double lead;           // a label counts where it leads by more than this
    bool same_survivors;   // the same categories must be left, and the counts be equal
};

// The rule of a precision. The manifest may ask for more than the code does, not for less; a
// precision that is not known is held to what FP32 is.
Rule rule_for(const std::string& precision, double min_label_agreement);

// Which labels count: those whose lead, in steps of 1/65535, is more than rounding. Where a coarse
// precision would leave less than one in a hundred, the tolerance of FP32 is used instead.
std::vector<bool> decided(const std::vector<std::uint16_t>& leads, const Rule& rule);

// The tolerance that `decided` uses, with which thresholds of "unknown" are judged as well.
double tolerance_of(const std::vector<std::uint16_t>& leads, const Rule& rule);

// Whether a label that may be unknown counts: where its best output is decided and the measure is
// not so close to the threshold that rounding decides, or where no output could reach its own.
bool counts_with_unknown(bool decided, double measure, double threshold, double lowest,
                         double tolerance);

}  // namespace edge_ovss::internal
