// SPDX-License-Identifier: Apache-2.0
// Stands in for TensorRT in tests: what src/ uses of it, under the same names.
#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace nvinfer1 {

enum class DataType : std::int32_t { kFLOAT = 0, kHALF = 1, kINT8 = 2, kINT32 = 3, kUINT8 = 5 };
enum class TensorIOMode : std::int32_t { kNONE = 0, kINPUT = 1, kOUTPUT = 2 };

struct Dims {
    static constexpr std::int32_t MAX_DIMS = 8;
    std::int32_t nbDims;
    std::int64_t d[MAX_DIMS];
};

class ILogger {
public:
    enum class Severity : std::int32_t { kINTERNAL_ERROR = 0, kERROR = 1, kWARNING = 2 };
    virtual void log(Severity severity, const char* message) noexcept = 0;
    virtual ~ILogger() = default;
};

// One input or output of an engine. Sizes below 0 are free until inputs are given.
struct End {
    std::string name;
    DataType type = DataType::kFLOAT;
    TensorIOMode mode = TensorIOMode::kNONE;
    std::vector<std::int64_t> shape;
};

class IExecutionContext {
public:
    explicit IExecutionContext(std::vector<End> ends);
    bool setInputShape(const char* name, const Dims& shape) noexcept;
    std::int32_t inferShapes(std::int32_t count, const char** names) noexcept;
    Dims getTensorShape(const char* name) const noexcept;
    bool setTensorAddress(const char* name, void* address) noexcept;
    bool enqueueV3(cudaStream_t stream) noexcept;

private:
    std::vector<End> declared_;
    std::vector<End> ends_;  // with the sizes that were given
    std::map<std::string, void*> addresses_;
};

class ICudaEngine {
public:
    explicit ICudaEngine(std::vector<End> ends) : ends_(std::move(ends)) {}
    std::int32_t getNbIOTensors() const noexcept { return static_cast<std::int32_t>(ends_.size()); }
    const char* getIOTensorName(std::int32_t at) const noexcept;
    DataType getTensorDataType(const char* name) const noexcept;
    TensorIOMode getTensorIOMode(const char* name) const noexcept;
    IExecutionContext* createExecutionContext() noexcept { return new IExecutionContext(ends_); }

private:
    std::vector<End> ends_;
};

class IRuntime {
public:
    explicit IRuntime(ILogger& logger) : logger_(logger) {}
    ICudaEngine* deserializeCudaEngine(const void* plan, std::size_t size) noexcept;

private:
    ILogger& logger_;
};

inline IRuntime* createInferRuntime(ILogger& logger) noexcept {
    return new IRuntime(logger);
}

}  // namespace nvinfer1

inline std::int32_t getInferLibMajorVersion() noexcept {
    return 10;
}
inline std::int32_t getInferLibMinorVersion() noexcept {
    return 3;
}
inline std::int32_t getInferLibPatchVersion() noexcept {
    return 0;
}
inline std::int32_t getInferLibBuildVersion() noexcept {
    return 30;
}
