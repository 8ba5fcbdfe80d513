// SPDX-License-Identifier: Apache-2.0
// ONNX Runtime, on the CPU and on CUDA.
//
// Inputs and outputs whose size is known before a run live in memory of this backend, wrapped in
// OrtValues that are made once per frame size; others are allocated by ONNX Runtime in each run.
#include <algorithm>
#include <cctype>
#include <cstring>

#include "backend.h"
#include "memory.h"
#include "ort_session.h"
#include "word_inputs.h"

namespace edge_ovss::internal {

namespace {

using ort::Handle;

constexpr const char* kInput = "frame";
constexpr const char* kThresholds = "thresholds";
constexpr const char* kExportAgain = "The graph does not match its manifest; export it again.";

bool is_memory(std::string words) {
    std::transform(words.begin(), words.end(), words.begin(),
                   [](unsigned char letter) { return std::tolower(letter); });
    for (const char* sign :
         {"bad_alloc", "allocate memory", "out of memory", "bad allocation", "cuda failure 2"}) {
        if (words.find(sign) != std::string::npos) {
            return true;
        }
    }
    return false;
}

std::size_t element_bytes(ONNXTensorElementDataType type) {
    switch (type) {
        case ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT8:
            return 1;
        case ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT16:
            return 2;
        default:
            return 4;
    }
}

ONNXTensorElementDataType expected_type(const std::string& output, const Manifest& manifest) {
    if (output == "labels") {
        return manifest.labels_dtype == "uint8" ? ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT8
                                                : ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT16;
    }
    return output == "alive" || output == "counts" ? ONNX_TENSOR_ELEMENT_DATA_TYPE_INT32
                                                   : ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT;
}

// One output of the graph.
struct Output {
    std::string name;
    ONNXTensorElementDataType type = ONNX_TENSOR_ELEMENT_DATA_TYPE_UNDEFINED;
    std::vector<std::int64_t> shape;   // as the graph states it, below 1 where it is free
    std::vector<std::int64_t> sizes;   // of the last answer
    std::vector<std::uint8_t> memory;  // empty where ONNX Runtime allocates
    const void* data = nullptr;        // the last answer

    bool of_frame_size() const { return name == "labels" || name == "confidence"; }

    bool fixed() const {
        return std::all_of(shape.begin(), shape.end(), [](auto size) { return size > 0; });
    }
};

class OrtBackend final : public Backend {
public:
    OrtBackend(const Bundle& bundle, const Settings& settings, bool cuda)
        : api_(ort::api()), bundle_(bundle), cuda_(cuda) {
        try {
            handles_ = ort::open_session(bundle.file(bundle.manifest.graph_file), settings, cuda);
        } catch (const ort::Failure& err) {
            throw load_error(err);
        }
        check_ends();
    }

    ~OrtBackend() override { release_values(); }

    std::uint8_t* input(std::size_t height, std::size_t width) override {
        if (height != height_ || width != width_) {
            resize(height, width);
        }
        return frame_.data();
    }

    void use_thresholds(const std::vector<float>& thresholds) override {
        // Nothing is below 0: the thresholds of places that no output has.
        std::fill(thresholds_.begin(), thresholds_.end(), std::uint8_t{0});
        std::memcpy(thresholds_.data(), thresholds.data(), thresholds.size() * sizeof(float));
    }

    void use_words(const Bundle& bundle) override { make_words(bundle); }

    Answer run() override {
        feeds_[0] = input_value_.get();
        release_free_values();
        try {
            ort::check(api_.Run(handles_.session.get(), nullptr, input_names_.data(), feeds_.data(),
                                feeds_.size(), output_names_.data(), output_names_.size(),
                                values_.data()));
            read_answer();
            held_ = std::max(held_, taken_);
        } catch (const ort::Failure& err) {
            throw run_error(err);
        }
        return answer();
    }

private:
    // Compare inputs and outputs of the graph with the manifest.
    void check_ends() {
        std::size_t inputs = 0;
        std::size_t count = 0;
        ort::check(api_.SessionGetInputCount(handles_.session.get(), &inputs));
        ort::check(api_.SessionGetOutputCount(handles_.session.get(), &count));
        feeds_.assign(1, nullptr);
        input_names_.assign(1, kInput);
        if (bundle_.manifest.takes_thresholds) {
            make_thresholds();
        }
        if (bundle_.manifest.places > 0) {
            make_words(bundle_);
        }
        bool right = inputs == input_names_.size();
        std::string listed;
        for (std::size_t i = 0; i < input_names_.size(); ++i) {
            const auto type =
                i == 0 ? ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT8 : ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT;
            listed += text(i == 0 ? "" : ", ", "'", input_names_[i],
                           i == 0 ? "' of uint8" : "' of float32");
            if (right) {
                const Output end =
                    read_end(i, api_.SessionGetInputName, api_.SessionGetInputTypeInfo);
                right = end.name == input_names_[i] && end.type == type;
            }
        }
        if (!right) {
            throw artifact_error(text("The graph has other inputs than ", listed, "."),
                                 kExportAgain);
        }
        for (std::size_t i = 0; i < count; ++i) {
            outputs_.push_back(
                read_end(i, api_.SessionGetOutputName, api_.SessionGetOutputTypeInfo));
        }
        if (count != bundle_.manifest.answers.size()) {
            throw artifact_error(text("The graph has ", count, " outputs; the manifest says ",
                                      bundle_.manifest.answers.size(), "."),
                                 kExportAgain);
        }
        std::for_each(outputs_.begin(), outputs_.end(), [this](auto& out) { check_output(out); });
        values_.assign(outputs_.size(), nullptr);
    }

    void make_thresholds() {
        const std::vector<float>& defaults = bundle_.manifest.thresholds;
        const std::int64_t limits = bundle_.manifest.limits();
        thresholds_.resize(static_cast<std::size_t>(limits) * sizeof(float));
        use_thresholds(defaults);
        thresholds_value_.reset(
            make_value(thresholds_, {limits}, ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT));
        feed(kThresholds, thresholds_value_.get());
    }

    // The words of an open bundle, and behind them empty places if the graph wants more.
    void make_words(const Bundle& bundle) {
        const Manifest& manifest = bundle.manifest;
        const std::int64_t rows = manifest.rows();
        WordInputs words = word_inputs(bundle, rows);
        Handle<OrtValue> text_value(make_value(words.text, {rows, manifest.prompts, manifest.width},
                                               ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT),
                                    api_.ReleaseValue);
        Handle<OrtValue> places_value(
            make_value(words.places, {rows}, ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT),
            api_.ReleaseValue);
        // Nothing fails from here on. The values point to the memory of the vectors, which moves
        // with them.
        text_value_.swap(text_value);
        places_value_.swap(places_value);
        std::swap(words_, words);
        feed(kText, text_value_.get());
        feed(kPlaces, places_value_.get());
    }

    // Give the graph an input that stays the same from frame to frame.
    void feed(const char* name, const OrtValue* value) {
        const auto at = std::find(input_names_.begin(), input_names_.end(), name);
        if (at != input_names_.end()) {
            feeds_[static_cast<std::size_t>(at - input_names_.begin())] = value;
            return;
        }
        input_names_.push_back(name);
        feeds_.push_back(value);
    }

    template <class GetName, class GetType>
    Output read_end(std::size_t index, GetName get_name, GetType get_type) {
        OrtAllocator* allocator = nullptr;
        ort::check(api_.GetAllocatorWithDefaultOptions(&allocator));
        char* name = nullptr;
        ort::check(get_name(handles_.session.get(), index, allocator, &name));
        Output end;
        end.name = name;
        ort::check(api_.AllocatorFree(allocator, name));
        OrtTypeInfo* type = nullptr;
        ort::check(get_type(handles_.session.get(), index, &type));
        const Handle<OrtTypeInfo> owner(type, api_.ReleaseTypeInfo);
        const OrtTensorTypeAndShapeInfo* tensor = nullptr;
        ort::check(api_.CastTypeInfoToTensorInfo(type, &tensor));
        if (tensor != nullptr) {
            ort::check(api_.GetTensorElementType(tensor, &end.type));
            end.shape = shape_of(tensor);
        }
        return end;
    }

    std::vector<std::int64_t> shape_of(const OrtTensorTypeAndShapeInfo* tensor) {
        std::size_t rank = 0;
        ort::check(api_.GetDimensionsCount(tensor, &rank));
        std::vector<std::int64_t> shape(rank);
        ort::check(api_.GetDimensions(tensor, shape.data(), rank));
        return shape;
    }

    void check_output(Output& output) {
        const auto& manifest = bundle_.manifest;
        if (!manifest.answers_with(output.name.c_str()) ||
            output.type != expected_type(output.name, manifest)) {
            throw artifact_error(text("The graph has the output '", output.name, "' (element type ",
                                      output.type, "), which is not in the manifest in this form."),
                                 kExportAgain);
        }
        output_names_.push_back(output.name.c_str());
        if (!output.of_frame_size() && output.fixed()) {
            std::size_t bytes = element_bytes(output.type);
            for (const auto size : output.shape) {
                bytes *= static_cast<std::size_t>(size);
            }
            output.memory.resize(bytes);
        }
    }

    // Make room for frames of another size.
    void resize(std::size_t height, std::size_t width) {
        // Of a GPU's memory nothing is known before the run.
        taken_ = cuda_ ? 0 : require_memory(bundle_.manifest, height, width, held_, free_bytes());
        release_values();
        height_ = width_ = 0;
        try {
            frame_.resize(height * width * 3);
            for (Output& output : outputs_) {
                if (output.of_frame_size()) {
                    output.memory.resize(height * width * element_bytes(output.type));
                }
            }
        } catch (const std::bad_alloc&) {
            throw memory_error(height, width);
        }
        height_ = height;
        width_ = width;
        wrap();
    }

    void wrap() {
        const auto height = static_cast<std::int64_t>(height_);
        const auto width = static_cast<std::int64_t>(width_);
        try {
            input_value_.reset(
                make_value(frame_, {1, height, width, 3}, ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT8));
            for (std::size_t i = 0; i < outputs_.size(); ++i) {
                Output& output = outputs_[i];
                output.sizes = output.of_frame_size() ? std::vector<std::int64_t>{1, height, width}
                                                      : output.shape;
                if (!output.memory.empty()) {
                    values_[i] = make_value(output.memory, output.sizes, output.type);
                    output.data = output.memory.data();
                }
            }
        } catch (...) {
            height_ = width_ = 0;  // so that the next frame tries again
            throw;
        }
    }

    template <class Item>
    OrtValue* make_value(std::vector<Item>& memory, const std::vector<std::int64_t>& shape,
                         ONNXTensorElementDataType type) {
        OrtValue* value = nullptr;
        ort::check(api_.CreateTensorWithDataAsOrtValue(handles_.memory.get(), memory.data(),
                                                       memory.size() * sizeof(Item), shape.data(),
                                                       shape.size(), type, &value));
        return value;
    }

    void release_values() {
        input_value_.reset();
        for (OrtValue*& value : values_) {
            if (value != nullptr) {
                api_.ReleaseValue(value);
                value = nullptr;
            }
        }
    }

    // The answers that ONNX Runtime allocated in the last run.
    void release_free_values() {
        for (std::size_t i = 0; i < outputs_.size(); ++i) {
            if (outputs_[i].memory.empty() && values_[i] != nullptr) {
                api_.ReleaseValue(values_[i]);
                values_[i] = nullptr;
            }
        }
    }

    void read_answer() {
        for (std::size_t i = 0; i < outputs_.size(); ++i) {
            Output& output = outputs_[i];
            if (!output.memory.empty()) {
                continue;
            }
            OrtTensorTypeAndShapeInfo* info = nullptr;
            ort::check(api_.GetTensorTypeAndShape(values_[i], &info));
            const Handle<OrtTensorTypeAndShapeInfo> owner(info, api_.ReleaseTensorTypeAndShapeInfo);
            std::size_t rank = 0;
            ort::check(api_.GetDimensionsCount(info, &rank));
            output.sizes.resize(rank);
            ort::check(api_.GetDimensions(info, output.sizes.data(), rank));
            void* data = nullptr;
            ort::check(api_.GetTensorMutableData(values_[i], &data));
            output.data = data;
        }
    }

    Answer answer() const {
        Answer answer;
        for (const Output& output : outputs_) {
            if (output.name == "labels") {
                answer.labels = output.data;
            } else if (output.name == "confidence") {
                answer.confidence = static_cast<const float*>(output.data);
            } else if (output.name == "scores") {
                answer.scores = static_cast<const float*>(output.data);
                set_scores_shape(output, answer);
            } else {
                const bool alive = output.name == "alive";
                (alive ? answer.alive : answer.counts) =
                    static_cast<const std::int32_t*>(output.data);
                (alive ? answer.alive_count : answer.counts_count) = length(output);
            }
        }
        return answer;
    }

    static std::size_t length(const Output& output) {
        if (output.sizes.size() != 1) {
            throw artifact_error(text("Output '", output.name, "' of the graph is of rank ",
                                      output.sizes.size(), "; expected rank 1."),
                                 kExportAgain);
        }
        return static_cast<std::size_t>(output.sizes[0]);
    }

    static void set_scores_shape(const Output& output, Answer& answer) {
        const std::size_t rank = output.sizes.size();
        if (rank != 3 && (rank != 4 || output.sizes[0] != 1)) {
            throw artifact_error(
                text("Output 'scores' of the graph is of rank ", rank, "; expected 3 or 4."),
                kExportAgain);
        }
        for (std::size_t i = 0; i < 3; ++i) {
            answer.scores_shape[i] = static_cast<std::size_t>(output.sizes[rank - 3 + i]);
        }
    }

    Error load_error(const ort::Failure& err) const {
        const auto& file = bundle_.manifest.graph_file;
        if (is_memory(err.what())) {
            return artifact_error(text("There is not enough memory to load '", file, "'."),
                                  "Close other programs, or export a smaller model.");
        }
        return artifact_error(text("ONNX Runtime ", OrtGetApiBase()->GetVersionString(),
                                   " cannot load '", file, "': ", ort::first_line(err.what())),
                              "Upgrade ONNX Runtime, or export the bundle again.");
    }

    Error run_error(const ort::Failure& err) const {
        if (is_memory(err.what())) {
            return memory_error(height_, width_);
        }
        return artifact_error(text("ONNX Runtime failed on a frame of ", height_, " x ", width_,
                                   ": ", ort::first_line(err.what())),
                              "Run edge-ovss selftest on the bundle.");
    }

    static Error memory_error(std::size_t height, std::size_t width) {
        return artifact_error(
            text("There is not enough memory for a frame of ", height, " x ", width, "."),
            "Give smaller frames, or export with fewer slots.");
    }

    const OrtApi& api_;
    const Bundle& bundle_;
    bool cuda_;
    std::uint64_t taken_ = 0;  // bytes for a frame of the present size
    std::uint64_t held_ = 0;   // for the largest that was run: ONNX Runtime keeps them
    ort::Handles handles_;
    Handle<OrtValue> input_value_{nullptr, api_.ReleaseValue};
    Handle<OrtValue> thresholds_value_{nullptr, api_.ReleaseValue};
    Handle<OrtValue> text_value_{nullptr, api_.ReleaseValue};
    Handle<OrtValue> places_value_{nullptr, api_.ReleaseValue};
    std::vector<const char*> input_names_;
    std::vector<const OrtValue*> feeds_;
    std::vector<std::uint8_t> thresholds_;  // floats; empty where the graph takes none
    WordInputs words_;                      // empty where they are frozen into the graph
    std::vector<Output> outputs_;
    std::vector<const char*> output_names_;
    std::vector<OrtValue*> values_;  // one per output; null where ONNX Runtime is to allocate
    std::vector<std::uint8_t> frame_;
    std::size_t height_ = 0;
    std::size_t width_ = 0;
};

}  // namespace

std::unique_ptr<Backend> create_ort_backend(const Bundle& bundle, const Settings& settings,
                                            bool cuda) {
    return std::make_unique<OrtBackend>(bundle, settings, cuda);
}

}  // namespace edge_ovss::internal
