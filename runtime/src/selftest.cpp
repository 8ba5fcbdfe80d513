// SPDX-License-Identifier: Apache-2.0
#include "selftest.h"

#include <algorithm>
#include <cstring>
#include <optional>
#include <set>
#include <vector>

#include "acceptance.h"
#include "error.h"
#include "npy.h"

namespace edge_ovss::internal {

namespace {

constexpr std::uintmax_t kLimit = std::uintmax_t{1} << 31;

struct Reference {
    Array frame;
    Array labels;
    std::vector<std::int32_t> alive;
    std::vector<std::int32_t> counts;
    std::vector<std::uint16_t> leads;  // how sure each label is; empty where that is not known
    std::vector<float> measure;        // what thresholds are compared with; empty without any
};

Array read(const Bundle& bundle, const std::string& name, const std::string& dtype,
           std::size_t rank) {
    return read_npy(read_bytes(bundle.file(name), name, kLimit), name, dtype, rank);
}

std::vector<std::int32_t> read_ids(const Bundle& bundle, const std::string& name) {
    const Array array = read(bundle, name, "<i4", 1);
    std::vector<std::int32_t> ids(array.shape[0]);
    if (!ids.empty()) {
        std::memcpy(ids.data(), array.bytes.data(), array.bytes.size());
    }
    return ids;
}

// An array with one number for every label; empty where the bundle has none.
template <class Number>
std::vector<Number> read_beside(const Bundle& bundle, const std::optional<std::string>& name,
                                const char* dtype, const Array& labels) {
    if (!name) {
        return {};
    }
    const Array array = read(bundle, *name, dtype, 2);
    if (array.shape != labels.shape) {
        throw artifact_error(
            text("Reference labels and '", *name, "' of the bundle do not fit together."),
            "Export the bundle again.");
    }
    std::vector<Number> numbers(array.bytes.size() / sizeof(Number));
    if (!numbers.empty()) {
        std::memcpy(numbers.data(), array.bytes.data(), array.bytes.size());
    }
    return numbers;
}

Reference read_reference(const Bundle& bundle) {
    const Manifest& manifest = bundle.manifest;
    const bool narrow = manifest.labels_dtype == "uint8";
    Reference reference{read(bundle, manifest.reference_frame, "|u1", 3),
                        read(bundle, manifest.reference_labels, narrow ? "|u1" : "<u2", 2),
                        read_ids(bundle, manifest.reference_alive),
                        read_ids(bundle, manifest.reference_counts),
                        {},
                        {}};
    const auto& size = reference.frame.shape;
    const bool fits = size[0] == reference.labels.shape[0] && size[2] == 3 &&
                      size[1] == reference.labels.shape[1] && size[0] > 0 && size[1] > 0 &&
                      size[0] <= EDGE_OVSS_MAX_SIDE && size[1] <= EDGE_OVSS_MAX_SIDE;
    if (!fits) {
        throw artifact_error("Reference frame and labels of the bundle do not fit together.",
                             "Export the bundle again.");
    }
    reference.leads =
        read_beside<std::uint16_t>(bundle, manifest.reference_lead, "<u2", reference.labels);
    reference.measure =
        read_beside<float>(bundle, manifest.reference_measure, "<f4", reference.labels);
    return reference;
}

struct Agreement {
    double equal = 1.0;       // share of the labels that count
    double undecided = -1.0;  // share of all labels that do not; below 0 where that is not known
};

// What is expected, and which of it counts.
struct Expected {
    std::string labels;
    std::vector<bool> counts;
    bool known = false;  // whether it is known which labels count
};

std::size_t label_at(const std::string& labels, std::size_t index, std::size_t element) {
    const auto byte = [&](std::size_t at) {
        return std::size_t{static_cast<std::uint8_t>(labels[at])};
    };
    return element == 1 ? byte(index) : byte(2 * index) | byte(2 * index + 1) << 8U;
}

// The labels that the graph gives with `thresholds`, one for each output; with none, or with all of
// them 0, those of the reference.
Expected expected_with(const Reference& reference, const Rule& rule,
                       const std::vector<float>& thresholds) {
    const std::size_t pixels = reference.labels.shape[0] * reference.labels.shape[1];
    Expected found{reference.labels.bytes, {}, !reference.leads.empty()};
    found.counts = found.known ? decided(reference.leads, rule) : std::vector<bool>(pixels, true);
    const bool off = std::all_of(thresholds.begin(), thresholds.end(),
                                 [](float threshold) { return threshold == 0.0F; });
    if (off || reference.measure.empty()) {
        return found;
    }
    found.known = true;
    const std::size_t element = reference.labels.bytes.size() / pixels;
    const double tolerance = tolerance_of(reference.leads, rule);
    const double lowest = *std::min_element(thresholds.begin(), thresholds.end());
    for (std::size_t i = 0; i < pixels; ++i) {
        const float threshold = thresholds.at(label_at(reference.labels.bytes, i, element));
        const float measure = reference.measure[i];
        found.counts[i] =
            counts_with_unknown(found.counts[i], measure, threshold, lowest, tolerance);
        if (measure < threshold) {
            found.labels.replace(i * element, element, element, '\xff');
        }
    }
    return found;
}

Agreement compare(const std::vector<char>& labels, const Expected& expected, std::size_t pixels) {
    const std::size_t element = expected.labels.size() / pixels;
    const bool known = expected.known;
    const auto& counts = expected.counts;
    std::size_t counted = 0;
    std::size_t equal = 0;
    for (std::size_t i = 0; i < pixels; ++i) {
        if (counts[i]) {
            ++counted;
            equal += std::memcmp(&labels[i * element], &expected.labels[i * element], element) == 0;
        }
    }
    Agreement found;
    if (counted > 0) {
        found.equal = static_cast<double>(equal) / static_cast<double>(counted);
    }
    if (known) {
        found.undecided = 1.0 - static_cast<double>(counted) / static_cast<double>(pixels);
    }
    return found;
}

std::set<std::int32_t> taken(const std::vector<std::int32_t>& slots) {
    std::set<std::int32_t> ids(slots.begin(), slots.end());
    ids.erase(ids.begin(), ids.lower_bound(0));  // empty slots
    return ids;
}

}  // namespace

edge_ovss_selftest_report run_selftest(Session& session) {
    const auto bundle = session.bundle();
    if (!session.has_opened_words()) {
        throw usage_error(
            "The words were changed since the bundle was opened; its reference answer is of "
            "those before.",
            "Open it again, or change the words on the disk (edge-ovss words).");
    }
    const Reference reference = read_reference(*bundle);
    edge_ovss_frame frame = edge_ovss_frame_default();
    frame.data = reference.frame.bytes.data();
    frame.data_size = reference.frame.bytes.size();
    frame.height = static_cast<std::int32_t>(reference.frame.shape[0]);
    frame.width = static_cast<std::int32_t>(reference.frame.shape[1]);
    std::vector<char> labels(reference.labels.bytes.size());
    std::vector<std::int32_t> alive(bundle->vocabulary.categories);
    edge_ovss_result result = edge_ovss_result_default();
    result.labels = labels.data();
    result.labels_capacity = labels.size();
    result.alive = alive.data();
    result.alive_capacity = alive.size();
    session.segment(frame, result);

    alive.resize(result.alive_count);
    const std::vector<std::int32_t> counts(result.counts, result.counts + result.counts_count);
    edge_ovss_selftest_report report = edge_ovss_selftest_report_default();
    const Manifest& manifest = bundle->manifest;
    const Rule rule = rule_for(manifest.precision, manifest.min_label_agreement);
    const Expected expected = expected_with(reference, rule, session.thresholds());
    const std::size_t pixels = reference.labels.shape[0] * reference.labels.shape[1];
    const Agreement found = compare(labels, expected, pixels);
    report.agreement = found.equal;
    report.undecided = found.undecided;
    report.min_agreement = rule.min_agreement;
    report.infer_ms = result.infer_ms;
    report.same_alive = taken(alive) == taken(reference.alive) ? 1 : 0;
    report.same_counts = counts == reference.counts ? 1 : 0;
    return report;
}

bool passed(const edge_ovss_selftest_report& report, const Manifest& manifest) {
    const bool survivors = report.same_alive != 0 && report.same_counts != 0;
    const Rule rule = rule_for(manifest.precision, manifest.min_label_agreement);
    // Where no label counts, the survivors are all there is to compare.
    const bool needed = rule.same_survivors || report.undecided >= 1.0;
    return report.agreement >= rule.min_agreement && (survivors || !needed);
}

}  // namespace edge_ovss::internal
