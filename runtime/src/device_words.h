// SPDX-License-Identifier: Apache-2.0
// The words of an open bundle in the memory of the GPU.
//
// They have their places there as long as the backend lives, so that contexts and recorded graphs
// go on reading the right memory; they are copied when they change, not with every frame.
#pragma once

#include <string>
#include <vector>

#include "bundle.h"
#include "cuda_memory.h"
#include "word_inputs.h"

namespace edge_ovss::internal::trt {

class DeviceWords {
public:
    // Allocates for all places of the bundle: an engine takes no other number of them. `use` gives
    // the words.
    explicit DeviceWords(const Manifest& manifest);

    // Put the words of `bundle` on the GPU. The stream is waited for, before and after: no frame
    // runs with the old and the new ones. After an error `ensure` brings the old ones back.
    void use(const Bundle& bundle, const cuda::Stream& stream);

    // Repair what a change that failed has left. To be called before every run; throws where the
    // GPU cannot be written to.
    void ensure(const cuda::Stream& stream);

    // The memory of an input, or null for another name.
    void* device(const std::string& name) const;

    // Of an input: `text` or `places`.
    std::vector<std::size_t> shape(const std::string& name) const;

private:
    void put(const WordInputs& words, const cuda::Stream& stream);

    std::size_t places_count_;
    std::size_t prompts_;
    std::size_t width_;
    WordInputs words_;  // those that hold
    bool whole_ = true;
    cuda::DeviceMemory text_;
    cuda::DeviceMemory places_;
};

}  // namespace edge_ovss::internal::trt
