// SPDX-License-Identifier: Apache-2.0
#include <NvInferRuntime.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <sstream>

#include "../check.h"
#include "stand_in.h"

namespace nvinfer1 {

namespace {

DataType type_of(const std::string& name) {
    static const std::map<std::string, DataType> known{{"float", DataType::kFLOAT},
                                                       {"half", DataType::kHALF},
                                                       {"int32", DataType::kINT32},
                                                       {"uint8", DataType::kUINT8}};
    return known.at(name);
}

End read_end(const std::string& line) {
    std::istringstream words(line);
    std::string mode;
    std::string type;
    End end;
    words >> mode >> end.name >> type;
    end.mode = mode == "in" ? TensorIOMode::kINPUT : TensorIOMode::kOUTPUT;
    end.type = type_of(type);
    for (std::int64_t size = 0; words >> size;) {
        end.shape.push_back(size);
    }
    return end;
}

template <class Ends>
auto find(Ends& ends, const std::string& name) {
    return std::find_if(ends.begin(), ends.end(),
                        [&name](const End& end) { return end.name == name; });
}

bool is_free(const End& end) {
    return std::any_of(end.shape.begin(), end.shape.end(), [](auto size) { return size < 0; });
}

std::size_t count_of(const End& end) {
    std::size_t count = 1;
    for (const auto size : end.shape) {
        count *= static_cast<std::size_t>(size);
    }
    return count;
}

std::size_t bytes_of(const End& end) {
    return count_of(end) * (end.type == DataType::kUINT8 ? 1 : 4);
}

// Ends with the memory that they had when the run was put on the stream.
struct Run {
    std::vector<End> ends;
    std::map<std::string, void*> addresses;

    bool has(const std::string& name) const { return find(ends, name) != ends.end(); }
    const End& end(const std::string& name) const { return *find(ends, name); }

    std::uint8_t* bytes(const std::string& name) const {
        return stand_in::bytes_at(addresses.at(name), bytes_of(end(name)));
    }

    std::vector<float> floats(const std::string& name) const {
        std::vector<float> found(has(name) ? count_of(end(name)) : 0);
        if (!found.empty()) {
            std::memcpy(found.data(), bytes(name), found.size() * sizeof(float));
        }
        return found;
    }

    void note_inputs() const {
        for (const End& each : ends) {
            if (each.mode == TensorIOMode::kINPUT) {
                const std::uint8_t* const first = bytes(each.name);
                stand_in::read[each.name].assign(first, first + bytes_of(each));
            }
        }
    }

    // The used place whose first number is nearest to `red`; -1 where none is used.
    std::int32_t label(float red, const std::vector<float>& text, const std::vector<float>& places,
                       const std::vector<float>& thresholds) const {
        float least = 2.0F;
        std::int32_t found = -1;
        const std::size_t row = text.size() / places.size();
        for (std::size_t i = 0; i < places.size(); ++i) {
            const float distance = std::abs(text[i * row] - red);
            if (places[i] >= 0.0F && distance < least) {
                least = distance;
                found = static_cast<std::int32_t>(places[i]);
            }
        }
        const bool known = found < 0 || thresholds.empty() ||
                           1.0F - least >= thresholds[static_cast<std::size_t>(found)];
        return known ? found : 255;
    }

    void operator()() const {
        stand_in::done.emplace_back("run");
        note_inputs();
        // A graph with frozen words has two of them.
        const auto text = has("text") ? floats("text") : std::vector<float>{0.0F, 1.0F};
        const auto places = has("places") ? floats("places") : std::vector<float>{0.0F, 1.0F};
        const auto thresholds = floats("thresholds");
        const std::uint8_t* const frame = bytes("frame");
        std::uint8_t* const labels = bytes("labels");
        for (std::size_t i = 0; i < count_of(end("labels")); ++i) {
            const float red = static_cast<float>(frame[3 * i]) / 255.0F;
            labels[i] = static_cast<std::uint8_t>(label(red, text, places, thresholds));
        }
        auto* const alive = bytes("alive");
        for (std::size_t i = 0; i < places.size(); ++i) {
            const std::int32_t id = places[i] < 0.0F ? -1 : static_cast<std::int32_t>(i);
            std::memcpy(alive + i * sizeof id, &id, sizeof id);
        }
    }
};

}  // namespace

IExecutionContext::IExecutionContext(std::vector<End> ends)
    : declared_(ends), ends_(std::move(ends)) {}

bool IExecutionContext::setInputShape(const char* name, const Dims& shape) noexcept {
    const auto at = find(declared_, name);
    if (at == declared_.end() || at->mode != TensorIOMode::kINPUT ||
        at->shape.size() != static_cast<std::size_t>(shape.nbDims)) {
        return false;
    }
    std::vector<std::int64_t> given(shape.d, shape.d + shape.nbDims);
    for (std::size_t i = 0; i < given.size(); ++i) {
        if (at->shape[i] >= 0 && at->shape[i] != given[i]) {
            return false;
        }
    }
    const auto labels = find(ends_, "labels");
    if (at->name == "frame" && labels != ends_.end()) {
        labels->shape = {1, given[1], given[2]};
    }
    find(ends_, name)->shape = given;
    return true;
}

std::int32_t IExecutionContext::inferShapes(std::int32_t, const char**) noexcept {
    return static_cast<std::int32_t>(std::count_if(ends_.begin(), ends_.end(), is_free));
}

Dims IExecutionContext::getTensorShape(const char* name) const noexcept {
    const End& end = *find(ends_, name);
    Dims shape{};
    shape.nbDims = static_cast<std::int32_t>(end.shape.size());
    std::copy(end.shape.begin(), end.shape.end(), shape.d);
    return shape;
}

bool IExecutionContext::setTensorAddress(const char* name, void* address) noexcept {
    addresses_[name] = address;
    stand_in::name_memory(address, name);
    return true;
}

bool IExecutionContext::enqueueV3(cudaStream_t stream) noexcept {
    stand_in::put(stream, Run{ends_, addresses_});
    return true;
}

const char* ICudaEngine::getIOTensorName(std::int32_t at) const noexcept {
    return ends_[static_cast<std::size_t>(at)].name.c_str();
}

DataType ICudaEngine::getTensorDataType(const char* name) const noexcept {
    return find(ends_, name)->type;
}

TensorIOMode ICudaEngine::getTensorIOMode(const char* name) const noexcept {
    return find(ends_, name)->mode;
}

ICudaEngine* IRuntime::deserializeCudaEngine(const void* plan, std::size_t size) noexcept {
    std::istringstream lines(std::string(static_cast<const char*>(plan), size));
    std::vector<End> ends;
    for (std::string line; std::getline(lines, line);) {
        ends.push_back(read_end(line));
    }
    if (ends.empty()) {
        logger_.log(ILogger::Severity::kERROR, "the plan is empty");
        return nullptr;
    }
    return new ICudaEngine(ends);
}

}  // namespace nvinfer1
