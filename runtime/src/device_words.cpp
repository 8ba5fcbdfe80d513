// SPDX-License-Identifier: Apache-2.0
#include "device_words.h"

#include <utility>

namespace edge_ovss::internal::trt {

DeviceWords::DeviceWords(const Manifest& manifest)
    : places_count_(static_cast<std::size_t>(manifest.places)),
      prompts_(static_cast<std::size_t>(manifest.prompts)),
      width_(static_cast<std::size_t>(manifest.width)),
      text_(places_count_ * prompts_ * width_ * sizeof(float)),
      places_(places_count_ * sizeof(float)) {}

void DeviceWords::use(const Bundle& bundle, const cuda::Stream& stream) {
    WordInputs words = word_inputs(bundle, bundle.manifest.places);
    stream.wait();
    try {
        put(words, stream);
    } catch (...) {
        stream.settle();  // the GPU reads `words` no longer
        whole_ = false;
        throw;
    }
    std::swap(words_, words);
    whole_ = true;
}

void DeviceWords::ensure(const cuda::Stream& stream) {
    if (!whole_) {
        put(words_, stream);
        whole_ = true;
    }
}

void* DeviceWords::device(const std::string& name) const {
    if (name == kText) {
        return text_.get();
    }
    return name == kPlaces ? places_.get() : nullptr;
}

std::vector<std::size_t> DeviceWords::shape(const std::string& name) const {
    if (name == kText) {
        return {places_count_, prompts_, width_};
    }
    return {places_count_};
}

void DeviceWords::put(const WordInputs& words, const cuda::Stream& stream) {
    text_.fill(words.text.data(), stream);
    places_.fill(words.places.data(), stream);
    stream.wait();
}

}  // namespace edge_ovss::internal::trt
