// SPDX-License-Identifier: Apache-2.0
#include "word_inputs.h"

#include <algorithm>

namespace edge_ovss::internal {

WordInputs word_inputs(const Bundle& bundle, std::int64_t rows) {
    const Manifest& manifest = bundle.manifest;
    const auto& outputs = bundle.vocabulary.output_map;
    WordInputs found;
    found.text.assign(static_cast<std::size_t>(rows * manifest.prompts * manifest.width), 0.0F);
    found.places.assign(static_cast<std::size_t>(rows), -1.0F);
    std::copy(bundle.text.begin(), bundle.text.end(), found.text.begin());
    std::transform(outputs.begin(), outputs.end(), found.places.begin(),
                   [](std::int64_t output) { return static_cast<float>(output); });
    return found;
}

}  // namespace edge_ovss::internal
