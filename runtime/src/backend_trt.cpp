// SPDX-License-Identifier: Apache-2.0
// TensorRT 10.3 and later, and TensorRT for RTX, by the names that all of them have.
//
// Engines are those that `edge-ovss build` made on the device; a frame of another size than they
// take is an error that names the command which builds one.
#include <NvInferRuntime.h>

#include <algorithm>
#include <cstring>
#include <map>

#include "backend.h"
#include "cuda_memory.h"
#include "device_words.h"
#include "engine_shelf.h"
#include "trt_library.h"

namespace edge_ovss::internal {

namespace {

using nvinfer1::DataType;
using trt::kBuildAgain;

std::size_t element_bytes(DataType type) {
    switch (type) {
        case DataType::kUINT8:
            return 1;
        case DataType::kINT32:
        case DataType::kFLOAT:
            return 4;
        default:
            return 0;  // nothing that the contract has
    }
}

struct Tensor {
    std::string name;
    DataType type = DataType::kFLOAT;
    bool is_input = false;
    std::vector<std::size_t> shape;
    std::unique_ptr<cuda::Buffer> buffer;  // null for words, whose memory is the backend's
};

class TrtBackend final : public Backend {
public:
    TrtBackend(const Bundle& bundle, const Settings& settings)
        : bundle_(bundle),
          device_(settings.device),
          facts_(trt::require_gpu(settings.device)),
          thresholds_(bundle.manifest.thresholds) {
        use_device();
        const Gpu gpu{facts_.name, text(facts_.major, ".", facts_.minor), trt::system_name()};
        const auto here = surroundings_here(trt::kBackend, trt::library_version(), gpu);
        engines_ =
            std::make_unique<EngineShelf>(bundle, settings.cache, here, gpu, settings.auto_build);
        stream_ = std::make_unique<cuda::Stream>();
        if (bundle.manifest.places > 0) {
            words_ = std::make_unique<trt::DeviceWords>(bundle.manifest);
            words_->use(bundle, *stream_);
        }
        if (settings.frame_height > 0 && settings.frame_width > 0) {
            prepare(static_cast<std::size_t>(settings.frame_height),
                    static_cast<std::size_t>(settings.frame_width));
        }
    }

    ~TrtBackend() override {
        cudaSetDevice(device_);
        cudaStreamSynchronize(stream_->get());
    }

    std::uint8_t* input(std::size_t height, std::size_t width) override {
        use_device();
        if (height != height_ || width != width_) {
            prepare(height, width);
        }
        return static_cast<std::uint8_t*>(frame().buffer->host());
    }

    void use_thresholds(const std::vector<float>& thresholds) override {
        thresholds_ = thresholds;
        fill_thresholds();
    }

    void use_words(const Bundle& bundle) override {
        use_device();
        words_->use(bundle, *stream_);
    }

    Answer run() override {
        use_device();
        ensure_words();
        if (graph_) {
            graph_.launch(*stream_);
        } else {
            enqueue();
        }
        stream_->wait();
        return answer();
    }

private:
    void use_device() const { cuda::check(cudaSetDevice(device_), "use the GPU"); }

    // Everything for frames of another size: engine, buffers, one run, the graph.
    void prepare(std::size_t height, std::size_t width) {
        graph_.reset();
        tensors_.clear();
        height_ = width_ = 0;
        const Engine& engine =
            engines_->choose({static_cast<std::int64_t>(height), static_cast<std::int64_t>(width)});
        trt::Loaded& loaded = load(engine);
        context_ = loaded.context.get();
        wide_labels_ = engine.labels == "int32";
        set_shape("frame", {1, height, width, 3});
        for (const char* name : {kText, kPlaces}) {
            if (words_) {
                set_shape(name, words_->shape(name));
            }
        }
        if (context_->inferShapes(0, nullptr) != 0) {
            throw artifact_error(text("The engine needs other inputs than those of the bundle",
                                      trt::what_it_said(), "."),
                                 kBuildAgain);
        }
        for (int i = 0; i < loaded.engine->getNbIOTensors(); ++i) {
            add_tensor(*loaded.engine, loaded.engine->getIOTensorName(i));
        }
        check_ends(height, width);
        fill_thresholds();
        ensure_words();
        enqueue();  // a change of shape is worked out by the first run, which cannot be recorded
        stream_->wait();
        graph_.record(*stream_, [this] { enqueue(); });
        height_ = height;
        width_ = width;
    }

    trt::Loaded& load(const Engine& engine) {
        trt::Loaded& loaded = loaded_[engine.folder.string()];
        if (!loaded.context) {
            trt::load(loaded, bundle_, engine);
        }
        return loaded;
    }

    void set_shape(const char* name, const std::vector<std::size_t>& shape) {
        nvinfer1::Dims dims{};
        dims.nbDims = static_cast<std::int32_t>(shape.size());
        std::string said;
        for (std::size_t i = 0; i < shape.size(); ++i) {
            dims.d[i] = static_cast<std::int32_t>(shape[i]);
            said += text(i == 0 ? "" : " x ", shape[i]);
        }
        if (!context_->setInputShape(name, dims)) {
            throw artifact_error(
                text("The engine does not take '", name, "' of ", said, trt::what_it_said(), "."),
                kBuildAgain);
        }
    }

    void add_tensor(const nvinfer1::ICudaEngine& engine, const char* name) {
        Tensor tensor;
        tensor.name = name;
        tensor.type = engine.getTensorDataType(name);
        tensor.is_input = engine.getTensorIOMode(name) == nvinfer1::TensorIOMode::kINPUT;
        const nvinfer1::Dims dims = context_->getTensorShape(name);
        std::size_t bytes = element_bytes(tensor.type);
        for (int i = 0; i < dims.nbDims; ++i) {
            if (dims.d[i] < 0) {
                throw artifact_error(text("'", name, "' of the engine has a free size."),
                                     "Export with --reject slots and build again.");
            }
            tensor.shape.push_back(static_cast<std::size_t>(dims.d[i]));
            bytes *= tensor.shape.back();
        }
        void* memory = words_ ? words_->device(tensor.name) : nullptr;
        if (memory == nullptr) {
            tensor.buffer = std::make_unique<cuda::Buffer>(std::max<std::size_t>(bytes, 1),
                                                           facts_.integrated != 0);
            memory = tensor.buffer->device();
        }
        if (!context_->setTensorAddress(name, memory)) {
            throw artifact_error(text("The engine refuses the buffer of '", name, "'."),
                                 kBuildAgain);
        }
        tensors_.push_back(std::move(tensor));
    }

    DataType expected_type(const std::string& name) const {
        if (name == "frame" || (name == "labels" && !wide_labels_)) {
            return DataType::kUINT8;
        }
        const bool whole = name == "labels" || name == "alive" || name == "counts";
        return whole ? DataType::kINT32 : DataType::kFLOAT;
    }

    // The shape that the contract fixes; empty for the others.
    std::vector<std::size_t> expected_shape(const std::string& name, std::size_t height,
                                            std::size_t width) const {
        if (name == "labels" || name == "confidence") {
            return {1, height, width};
        }
        if (name == "thresholds") {
            return {static_cast<std::size_t>(bundle_.manifest.limits())};
        }
        return words_ && words_->device(name) != nullptr ? words_->shape(name)
                                                         : std::vector<std::size_t>();
    }

    // Compare inputs and outputs of the engine with the manifest.
    void check_ends(std::size_t height, std::size_t width) {
        const Manifest& manifest = bundle_.manifest;
        std::size_t outputs = 0;
        for (const Tensor& tensor : tensors_) {
            const bool known = tensor.is_input ? is_input(tensor.name)
                                               : manifest.answers_with(tensor.name.c_str());
            const auto shape = expected_shape(tensor.name, height, width);
            const bool fits = shape.empty() || tensor.shape == shape;
            if (!known || !fits || tensor.type != expected_type(tensor.name)) {
                throw artifact_error(text("The engine has '", tensor.name,
                                          "', which is not in the manifest in this form."),
                                     kBuildAgain);
            }
            outputs += tensor.is_input ? 0 : 1;
        }
        const std::size_t inputs = 1U + (manifest.takes_thresholds ? 1U : 0U) + (words_ ? 2U : 0U);
        if (outputs != manifest.answers.size() || outputs + inputs != tensors_.size()) {
            throw artifact_error("The engine has other inputs or outputs than the manifest says.",
                                 kBuildAgain);
        }
        if (wide_labels_) {
            labels_.resize(height * width);
        }
    }

    void enqueue() {
        for (const Tensor& tensor : tensors_) {
            if (tensor.is_input && tensor.buffer) {
                tensor.buffer->upload(*stream_);
            }
        }
        if (!context_->enqueueV3(stream_->get())) {
            throw artifact_error(text("The engine failed on a frame", trt::what_it_said(), "."),
                                 "Run the selftest with this backend.");
        }
        for (const Tensor& tensor : tensors_) {
            if (!tensor.is_input) {
                tensor.buffer->download(*stream_);
            }
        }
    }

    void ensure_words() {
        if (words_) {
            words_->ensure(*stream_);
        }
    }

    const Tensor& frame() const {
        return *std::find_if(tensors_.begin(), tensors_.end(),
                             [](const Tensor& tensor) { return tensor.name == "frame"; });
    }

    bool is_input(const std::string& name) const {
        return name == "frame" || (name == "thresholds" && bundle_.manifest.takes_thresholds) ||
               (words_ && words_->device(name) != nullptr);
    }

    // Put the thresholds where the next run reads them; before the first frame there is no place.
    void fill_thresholds() {
        for (const Tensor& tensor : tensors_) {
            if (tensor.name == "thresholds") {
                // Nothing is below 0: the thresholds of places that no output has.
                std::memset(tensor.buffer->host(), 0, tensor.shape[0] * sizeof(float));
                std::memcpy(tensor.buffer->host(), thresholds_.data(),
                            thresholds_.size() * sizeof(float));
            }
        }
    }

    Answer answer() {
        Answer answer;
        for (const Tensor& tensor : tensors_) {
            if (tensor.is_input) {
                continue;
            }
            const void* data = tensor.buffer->host();
            if (tensor.name == "labels") {
                answer.labels = wide_labels_ ? narrowed(data) : data;
            } else if (tensor.name == "confidence") {
                answer.confidence = static_cast<const float*>(data);
            } else if (tensor.name == "scores") {
                answer.scores = static_cast<const float*>(data);
                const std::size_t rank = tensor.shape.size();
                for (std::size_t i = 0; i < 3 && rank >= 3; ++i) {
                    answer.scores_shape[i] = tensor.shape[rank - 3 + i];
                }
            } else {
                const bool alive = tensor.name == "alive";
                (alive ? answer.alive : answer.counts) = static_cast<const std::int32_t*>(data);
                (alive ? answer.alive_count : answer.counts_count) =
                    tensor.shape.empty() ? 1 : tensor.shape[0];
            }
        }
        return answer;
    }

    // TensorRT has no uint16; the engine of such a graph answers in int32.
    const void* narrowed(const void* labels) {
        const auto* wide = static_cast<const std::int32_t*>(labels);
        std::transform(wide, wide + labels_.size(), labels_.begin(), [](std::int32_t label) {
            // out of range stays out of range: the session refuses it
            return static_cast<std::uint16_t>(std::clamp(label, 0, 65535));
        });
        return labels_.data();
    }

    const Bundle& bundle_;
    int device_;
    cudaDeviceProp facts_;
    std::vector<float> thresholds_;  // one for each output; empty where the graph takes none
    std::unique_ptr<EngineShelf> engines_;
    std::unique_ptr<cuda::Stream> stream_;
    std::unique_ptr<trt::DeviceWords> words_;    // null where they are frozen into the graph
    std::map<std::string, trt::Loaded> loaded_;  // by folder
    nvinfer1::IExecutionContext* context_ = nullptr;
    std::vector<Tensor> tensors_;
    std::vector<std::uint16_t> labels_;  // only where the engine's are int32
    bool wide_labels_ = false;
    cuda::Graph graph_;
    std::size_t height_ = 0;
    std::size_t width_ = 0;
};

}  // namespace

std::unique_ptr<Backend> create_trt_backend(const Bundle& bundle, const Settings& settings) {
    return std::make_unique<TrtBackend>(bundle, settings);
}

}  // namespace edge_ovss::internal
