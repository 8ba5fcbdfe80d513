// SPDX-License-Identifier: Apache-2.0
// Owners for what CUDA gives, and its errors as exceptions.
#pragma once

#include <cuda_runtime_api.h>

#include <cstddef>
#include <cstdint>

#include "error.h"

namespace edge_ovss::internal::cuda {

inline void check(cudaError_t status, const char* what) {
    if (status == cudaSuccess) {
        return;
    }
    cudaGetLastError();  // forget it, or the next call reports it again
    if (status == cudaErrorMemoryAllocation) {
        throw artifact_error("The GPU has not enough memory.",
                             "Close other programs, or give smaller frames.");
    }
    throw artifact_error(text("CUDA failed to ", what, ": ", cudaGetErrorString(status), "."));
}

class Stream {
public:
    Stream() { check(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking), "make a stream"); }
    ~Stream() { cudaStreamDestroy(stream_); }
    Stream(const Stream&) = delete;
    Stream& operator=(const Stream&) = delete;
    cudaStream_t get() const { return stream_; }
    void wait() const { check(cudaStreamSynchronize(stream_), "run a frame"); }

    // Wait after an error, whatever comes of it.
    void settle() const noexcept {
        cudaStreamSynchronize(stream_);
        cudaGetLastError();
    }

private:
    cudaStream_t stream_ = nullptr;
};

// Memory of the GPU only.
class DeviceMemory {
public:
    explicit DeviceMemory(std::size_t size) : size_(size) {
        check(cudaMalloc(&memory_, size), "allocate memory of the GPU");
    }
    ~DeviceMemory() { cudaFree(memory_); }
    DeviceMemory(const DeviceMemory&) = delete;
    DeviceMemory& operator=(const DeviceMemory&) = delete;

    void* get() const { return memory_; }

    // Copy all of it from `from`, which must stay until the stream was waited for.
    void fill(const void* from, const Stream& stream) const {
        check(cudaMemcpyAsync(memory_, from, size_, cudaMemcpyHostToDevice, stream.get()),
              "copy words to the GPU");
    }

private:
    std::size_t size_;
    void* memory_ = nullptr;
};

// Memory that the CPU and the GPU both have: one piece that is mapped where they share their DRAM
// (Jetson), else a pinned piece and one on the device, with copies between them.
class Buffer {
public:
    Buffer(std::size_t size, bool shared) : size_(size), shared_(shared) {
        const unsigned flags = shared ? cudaHostAllocMapped : cudaHostAllocDefault;
        check(cudaHostAlloc(&host_, size, flags), "allocate pinned memory");
        const cudaError_t status =
            shared ? cudaHostGetDevicePointer(&device_, host_, 0) : cudaMalloc(&device_, size);
        if (status != cudaSuccess) {
            cudaFreeHost(host_);
            check(status, "allocate memory of the GPU");
        }
    }

    ~Buffer() {
        if (!shared_) {
            cudaFree(device_);
        }
        cudaFreeHost(host_);
    }

    Buffer(const Buffer&) = delete;
    Buffer& operator=(const Buffer&) = delete;

    void* host() const { return host_; }
    void* device() const { return device_; }

    void upload(const Stream& stream) const {
        if (!shared_) {
            check(cudaMemcpyAsync(device_, host_, size_, cudaMemcpyHostToDevice, stream.get()),
                  "copy a frame to the GPU");
        }
    }

    void download(const Stream& stream) const {
        if (!shared_) {
            check(cudaMemcpyAsync(host_, device_, size_, cudaMemcpyDeviceToHost, stream.get()),
                  "copy an answer from the GPU");
        }
    }

private:
    std::size_t size_;
    bool shared_;
    void* host_ = nullptr;
    void* device_ = nullptr;
};

// Copies and kernels recorded once and launched as a whole.
class Graph {
public:
    Graph() = default;
    ~Graph() { reset(); }
    Graph(const Graph&) = delete;
    Graph& operator=(const Graph&) = delete;

    explicit operator bool() const { return graph_ != nullptr; }

    void reset() {
        if (graph_ != nullptr) {
            cudaGraphExecDestroy(graph_);
            graph_ = nullptr;
        }
    }

    // Record what `work` enqueues on the stream. Where that cannot be recorded there is no graph.
    template <class Work>
    void record(const Stream& stream, Work work) {
        reset();
        if (cudaStreamBeginCapture(stream.get(), cudaStreamCaptureModeThreadLocal) != cudaSuccess) {
            cudaGetLastError();
            return;
        }
        bool done = false;
        try {
            work();
            done = true;
        } catch (const Error&) {
            done = false;  // frames go on one by one
        }
        cudaGraph_t recorded = nullptr;
        // Ended in any case, or the stream stays in capture and can do nothing else.
        const bool ended = cudaStreamEndCapture(stream.get(), &recorded) == cudaSuccess;
        if (done && ended && cudaGraphInstantiate(&graph_, recorded, 0) != cudaSuccess) {
            graph_ = nullptr;
        }
        if (recorded != nullptr) {
            cudaGraphDestroy(recorded);
        }
        cudaGetLastError();
    }

    void launch(const Stream& stream) const {
        check(cudaGraphLaunch(graph_, stream.get()), "launch a frame");
    }

private:
    cudaGraphExec_t graph_ = nullptr;
};

}  // namespace edge_ovss::internal::cuda
