// SPDX-License-Identifier: Apache-2.0
// What TensorRT and the GPU say about themselves, and an engine that is loaded.
#pragma once

#include <NvInferRuntime.h>
#include <cuda_runtime_api.h>

#include <memory>
#include <string>

#include "bundle.h"
#include "engine_cache.h"

namespace edge_ovss::internal::trt {

#ifdef EDGE_OVSS_HAVE_TENSORRT_RTX
constexpr const char* kBackend = "tensorrt-rtx";
#else
constexpr const char* kBackend = "tensorrt";
#endif
constexpr const char* kBuildAgain = "Build the engine again: edge-ovss build BUNDLE --overwrite";

// An engine on the GPU.
struct Loaded {
    std::unique_ptr<nvinfer1::IRuntime> runtime;  // must outlive the engine
    std::unique_ptr<nvinfer1::ICudaEngine> engine;
    std::unique_ptr<nvinfer1::IExecutionContext> context;
};

// Read and load an engine of `bundle`. Throws an artifact error where TensorRT refuses it, and a
// missing error where TensorRT is not the one that this library was built for.
void load(Loaded& loaded, const Bundle& bundle, const Engine& engine);

// ": " and the first error that TensorRT told this thread since the last call, or "".
std::string what_it_said();

std::string library_version();

// "36.4.3" of the first line of /etc/nv_tegra_release, or "" where it is another one.
std::string l4t_release(const std::string& line);

// "L4T 36.4.3" on a Jetson, else the driver.
std::string system_name();

// Throws a missing error where there is no such GPU. Comes before everything else: without a
// driver some versions of TensorRT crash instead of refusing.
cudaDeviceProp require_gpu(int device);

}  // namespace edge_ovss::internal::trt
