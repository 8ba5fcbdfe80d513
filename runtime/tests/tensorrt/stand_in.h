// SPDX-License-Identifier: Apache-2.0
// A GPU and a TensorRT for tests, in the memory of the CPU. They work as late as real ones may:
// what is put on a stream is done when the stream is waited for, and not before.
//
// A plan is text: one line for each end, "in text float 3 2 4". A run gives each pixel the output
// of the used place whose first number is nearest to the pixel's red, of 255; or 255 ("unknown")
// where the distance is above 1 - the output's threshold.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include <cuda_runtime_api.h>

namespace stand_in {

// What was done, in this order: "malloc", "capture", "copy text", "copy 96 bytes", "run".
extern std::vector<std::string> done;

// What the last run read, by the name of the input.
extern std::map<std::string, std::vector<std::uint8_t>> read;

extern bool integrated;  // the GPU shares the memory of the CPU
extern bool captures;    // whether work can be recorded
extern int copies_left;  // so many copies are taken, the next one fails; below 0: all are
extern int waits_left;   // so many waits succeed, the next one does half of the work
extern int pieces_left;  // so many pieces of memory are there; below 0: enough

// How often `what` was done.
std::size_t count(const std::string& what);

// How many pieces of memory, streams and graphs were not given back.
std::size_t held();

// How much is on the streams and was not waited for.
std::size_t waiting();

// Of TensorRT: what the name of a piece of memory is, and work that is put on a stream.
void name_memory(void* memory, const std::string& name);
void put(cudaStream_t stream, std::function<void()> work);

// Bytes of the GPU, which must be there.
std::uint8_t* bytes_at(const void* memory, std::size_t size);

}  // namespace stand_in
