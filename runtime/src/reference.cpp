// SPDX-License-Identifier: Apache-2.0
#include "reference.h"

#include <cstring>
#include <set>
#include <vector>

#include "error.h"
#include "npy.h"

namespace edge_ovss::internal {

namespace {

constexpr const char* kExportAgain = "Export the bundle again.";

std::string shown(const std::vector<std::size_t>& shape) {
    std::string listed;
    for (const auto size : shape) {
        listed += (listed.empty() ? "" : ", ") + std::to_string(size);
    }
    return "[" + listed + "]";
}

void check_shapes(const char* what, const std::vector<std::size_t>& given,
                  std::vector<std::size_t> labels, bool colored) {
    const std::string words = shown(labels);
    bool fits = true;
    for (const auto size : labels) {
        fits = fits && size > 0;
    }
    if (colored) {
        labels.push_back(3);
    }
    if (!fits || given != labels) {
        throw artifact_error(text("Reference ", what, " ", shown(given), " and labels ", words,
                                  " do not fit together."),
                             kExportAgain);
    }
}

template <class Number>
std::vector<Number> numbers_of(const Array& array) {
    std::vector<Number> numbers(array.bytes.size() / sizeof(Number));
    if (!numbers.empty()) {
        std::memcpy(numbers.data(), array.bytes.data(), array.bytes.size());
    }
    return numbers;
}

template <class Number>
void check_range(const std::string& name, const std::vector<Number>& numbers, std::int64_t low,
                 std::int64_t high) {
    for (const auto number : numbers) {
        const auto value = static_cast<std::int64_t>(number);
        if (value < low || value > high) {
            throw artifact_error(text("'", name, "' of the bundle holds ", value, "; expected ",
                                      low, " to ", high, "."),
                                 kExportAgain);
        }
    }
}

void check_places(const Manifest& manifest, const std::vector<std::int32_t>& alive,
                  const std::vector<std::int32_t>& counts) {
    const auto refuse = [](const std::string& name, const std::string& why) {
        throw artifact_error(text("'", name, "' of the bundle does not fit: ", why, "."),
                             kExportAgain);
    };
    if (counts.size() != kStages) {
        refuse(manifest.reference_counts,
               text("it has ", counts.size(), " numbers; expected ", kStages));
    }
    if (!manifest.slots.empty() &&
        alive.size() != static_cast<std::size_t>(manifest.slots.back())) {
        refuse(manifest.reference_alive,
               text("it has ", alive.size(), " places; the manifest says ", manifest.slots.back(),
                    " slots"));
    }
    std::set<std::int32_t> seen;
    for (const auto category : alive) {
        if (category >= 0 && !seen.insert(category).second) {
            refuse(manifest.reference_alive, "a category stands in it twice");
        }
    }
}

}  // namespace

void check_reference(const std::filesystem::path& folder, const Manifest& manifest) {
    const auto read = [&](const std::string& name, const char* dtype, std::size_t rank) {
        const auto path = resolve_inside(folder, name);
        return read_npy(read_bytes(path, name, kReferenceLimit), name, dtype, rank);
    };
    const bool narrow = manifest.labels_dtype == "uint8";
    const Array frame = read(manifest.reference_frame, "|u1", 3);
    const Array labels = read(manifest.reference_labels, narrow ? "|u1" : "<u2", 2);
    const auto alive = numbers_of<std::int32_t>(read(manifest.reference_alive, "<i4", 1));
    const auto counts = numbers_of<std::int32_t>(read(manifest.reference_counts, "<i4", 1));
    check_shapes("frame", frame.shape, labels.shape, true);
    if (manifest.reference_lead) {
        check_shapes("lead", read(*manifest.reference_lead, "<u2", 2).shape, labels.shape, false);
    }
    if (manifest.reference_measure) {
        check_shapes("measure", read(*manifest.reference_measure, "<f4", 2).shape, labels.shape,
                     false);
    } else if (manifest.takes_thresholds) {
        throw artifact_error(
            "The graph takes thresholds, but 'reference.measure' is missing in manifest.json.",
            kExportAgain);
    }
    if (narrow) {
        check_range(manifest.reference_labels, numbers_of<std::uint8_t>(labels), 0,
                    manifest.outputs - 1);
    } else {
        check_range(manifest.reference_labels, numbers_of<std::uint16_t>(labels), 0,
                    manifest.outputs - 1);
    }
    check_range(manifest.reference_alive, alive, -1, manifest.categories - 1);
    check_range(manifest.reference_counts, counts, 0, manifest.categories);
    check_places(manifest, alive, counts);
}

}  // namespace edge_ovss::internal
