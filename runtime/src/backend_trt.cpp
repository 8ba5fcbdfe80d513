// SPDX-License-Identifier: Apache-2.0
// TensorRT 10.3 and later, and TensorRT for RTX, by the names that all of them have.
//
// Engines are those that `edge-ovss build` made on the device; a frame of another size than they
// take is an error that names the command which builds one.
#include <NvInferRuntime.h>

#include <algorithm>
#include <cstring>
#include <fstream>
#include <map>
#include <regex>

#include "backend.h"
#include "cuda_memory.h"
#include "engine_cache.h"

namespace edge_ovss::internal {

namespace {

#ifdef EDGE_OVSS_HAVE_TENSORRT_RTX
constexpr const char* kBackend = "tensorrt-rtx";
#else
constexpr const char* kBackend = "tensorrt";
#endif
constexpr const char* kBuildAgain = "Build the engine again: edge-ovss build BUNDLE --overwrite";

using nvinfer1::DataType;

// Keeps the first error of a call, prints nothing. TensorRT goes on using the first logger that it
// is given, so this one is never freed.
class Log final : public nvinfer1::ILogger {
public:
    void log(Severity severity, const char* message) noexcept override {
        if (severity <= Severity::kERROR && first_[0] == '\0') {
            std::size_t i = 0;
            for (; message[i] != '\0' && i + 1 < sizeof first_; ++i) {
                first_[i] = message[i];
            }
            first_[i] = '\0';
        }
    }

    // What was kept, which is then forgotten.
    std::string take() {
        std::string words = first_;
        first_[0] = '\0';
        return words.empty() ? "" : ": " + words;
    }

private:
    static thread_local char first_[300];
};

thread_local char Log::first_[300];

Log& logger() {
    static Log* const log = new Log;
    return *log;
}

std::string library_version() {
    return text(getInferLibMajorVersion(), ".", getInferLibMinorVersion(), ".",
                getInferLibPatchVersion(), ".", getInferLibBuildVersion());
}

std::string first_line(const char* path) {
    std::string line;
    std::getline(std::ifstream(path), line);
    return line;
}

// "L4T 36.4.3" on a Jetson, else the driver.
std::string system_name() {
    const std::string release = first_line("/etc/nv_tegra_release");
    std::smatch found;
    if (std::regex_search(release, found, std::regex("R(\\d+).*REVISION:\\s*([\\d.]+)"))) {
        return text("L4T ", found[1].str(), ".", found[2].str());
    }
    const std::string driver = first_line("/sys/module/nvidia/version");
    if (!driver.empty()) {
        return "driver " + driver;
    }
    int version = 0;
    cuda::check(cudaDriverGetVersion(&version), "tell its version");
    return text("CUDA ", version / 1000, ".", version % 1000 / 10);
}

// Without a driver some versions of TensorRT crash instead of refusing, so this comes first.
cudaDeviceProp require_gpu(int device) {
    int count = 0;
    const cudaError_t status = cudaGetDeviceCount(&count);
    if (status != cudaSuccess || count <= device) {
        cudaGetLastError();
        throw missing_error(text("Backend '", kBackend, "' needs GPU ", device, "; there are ",
                                 count, " (", cudaGetErrorString(status), ")."),
                            "Check the NVIDIA driver, or use the backend 'onnxruntime'.");
    }
    cudaDeviceProp facts{};
    cuda::check(cudaGetDeviceProperties(&facts, device), "describe the GPU");
    return facts;
}

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

// An engine on the GPU.
struct Loaded {
    std::unique_ptr<nvinfer1::IRuntime> runtime;  // must outlive the engine
    std::unique_ptr<nvinfer1::ICudaEngine> engine;
    std::unique_ptr<nvinfer1::IExecutionContext> context;
};

struct Tensor {
    std::string name;
    DataType type = DataType::kFLOAT;
    bool is_input = false;
    std::vector<std::size_t> shape;
    std::unique_ptr<cuda::Buffer> buffer;
};

class TrtBackend final : public Backend {
public:
    TrtBackend(const Bundle& bundle, const Settings& settings)
        : bundle_(bundle),
          device_(settings.device),
          facts_(require_gpu(settings.device)),
          thresholds_(bundle.manifest.thresholds) {
        if (bundle.manifest.places > 0) {
            throw artifact_error(
                "The words of this bundle are inputs of its graph, which this "
                "library runs on ONNX Runtime only.",
                "Use the backend onnxruntime, or export the words without --open.");
        }
        use_device();
        const Gpu gpu{facts_.name, text(facts_.major, ".", facts_.minor), system_name()};
        const auto folder = settings.cache.empty() ? bundle.file("engines")
                                                   : std::filesystem::u8path(settings.cache);
        engines_ = fitting_engines(bundle, folder,
                                   surroundings_here(kBackend, library_version(), gpu), gpu);
        stream_ = std::make_unique<cuda::Stream>();
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

    Answer run() override {
        use_device();
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
        const auto& engine =
            choose_engine(bundle_, engines_,
                          {static_cast<std::int64_t>(height), static_cast<std::int64_t>(width)});
        Loaded& loaded = load(engine);
        context_ = loaded.context.get();
        wide_labels_ = engine.labels == "int32";
        const nvinfer1::Dims4 shape(1, static_cast<int>(height), static_cast<int>(width), 3);
        if (!context_->setInputShape("frame", shape) || context_->inferShapes(0, nullptr) != 0) {
            throw artifact_error(text("The engine does not take a frame of ", height, " x ", width,
                                      logger().take(), "."),
                                 kBuildAgain);
        }
        for (int i = 0; i < loaded.engine->getNbIOTensors(); ++i) {
            add_tensor(*loaded.engine, loaded.engine->getIOTensorName(i));
        }
        check_ends(height, width);
        fill_thresholds();
        enqueue();  // a change of shape is worked out by the first run, which cannot be recorded
        stream_->wait();
        graph_.record(*stream_, [this] { enqueue(); });
        height_ = height;
        width_ = width;
    }

    Loaded& load(const Engine& engine) {
        Loaded& loaded = loaded_[engine.folder.string()];
        if (loaded.context) {
            return loaded;
        }
        const std::string plan = read_plan(bundle_, engine);
        const std::string name = engine.folder.filename().string();
        loaded.runtime.reset(nvinfer1::createInferRuntime(logger()));
        if (!loaded.runtime) {
            throw missing_error(
                text("TensorRT ", library_version(),
                     " is not the one that this library was built for", logger().take(), "."),
                "Build the edge_ovss library again on this machine.");
        }
        loaded.engine.reset(loaded.runtime->deserializeCudaEngine(plan.data(), plan.size()));
        if (!loaded.engine) {
            throw artifact_error(text("TensorRT ", library_version(), " refuses engine '", name,
                                      "'", logger().take(), "."),
                                 kBuildAgain);
        }
        loaded.context.reset(loaded.engine->createExecutionContext());
        if (!loaded.context) {
            throw artifact_error(text("No execution context for engine '", name, "' can be made."),
                                 "Most often the GPU has no memory left: close other programs.");
        }
        return loaded;
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
        tensor.buffer =
            std::make_unique<cuda::Buffer>(std::max<std::size_t>(bytes, 1), facts_.integrated != 0);
        if (!context_->setTensorAddress(name, tensor.buffer->device())) {
            throw artifact_error(text("The engine refuses the buffer of '", name, "'."),
                                 kBuildAgain);
        }
        tensors_.push_back(std::move(tensor));
    }

    DataType expected_type(const std::string& name) const {
        if (name == "frame" || (name == "labels" && !wide_labels_)) {
            return DataType::kUINT8;
        }
        const bool real = name == "confidence" || name == "scores" || name == "thresholds";
        return real ? DataType::kFLOAT : DataType::kINT32;
    }

    // Compare inputs and outputs of the engine with the manifest.
    void check_ends(std::size_t height, std::size_t width) {
        std::size_t outputs = 0;
        for (const Tensor& tensor : tensors_) {
            const bool known = tensor.is_input ? is_input(tensor.name)
                                               : bundle_.manifest.answers_with(tensor.name.c_str());
            const bool of_frame = tensor.name == "labels" || tensor.name == "confidence";
            const bool fits =
                (!of_frame || tensor.shape == std::vector<std::size_t>{1, height, width}) &&
                (tensor.name != "thresholds" ||
                 tensor.shape == std::vector<std::size_t>{thresholds_.size()});
            if (!known || !fits || tensor.type != expected_type(tensor.name)) {
                throw artifact_error(text("The engine has '", tensor.name,
                                          "', which is not in the manifest in this form."),
                                     kBuildAgain);
            }
            outputs += tensor.is_input ? 0 : 1;
        }
        const std::size_t inputs = bundle_.manifest.takes_thresholds ? 2 : 1;
        if (outputs != bundle_.manifest.answers.size() || outputs + inputs != tensors_.size()) {
            throw artifact_error("The engine has other inputs or outputs than the manifest says.",
                                 kBuildAgain);
        }
        if (wide_labels_) {
            labels_.resize(height * width);
        }
    }

    void enqueue() {
        for (const Tensor& tensor : tensors_) {
            if (tensor.is_input) {
                tensor.buffer->upload(*stream_);
            }
        }
        if (!context_->enqueueV3(stream_->get())) {
            throw artifact_error(text("The engine failed on a frame", logger().take(), "."),
                                 "Run the selftest with this backend.");
        }
        for (const Tensor& tensor : tensors_) {
            if (!tensor.is_input) {
                tensor.buffer->download(*stream_);
            }
        }
    }

    const Tensor& frame() const {
        return *std::find_if(tensors_.begin(), tensors_.end(),
                             [](const Tensor& tensor) { return tensor.name == "frame"; });
    }

    bool is_input(const std::string& name) const {
        return name == "frame" || (name == "thresholds" && bundle_.manifest.takes_thresholds);
    }

    // Put the thresholds where the next run reads them; before the first frame there is no place.
    void fill_thresholds() {
        for (const Tensor& tensor : tensors_) {
            if (tensor.name == "thresholds") {
                std::memcpy(tensor.buffer->host(), thresholds_.data(),
                            thresholds_.size() * sizeof(float));
            }
        }
    }

    Answer answer() {
        Answer answer;
        for (const Tensor& tensor : tensors_) {
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
            } else if (!tensor.is_input) {
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
    std::vector<float> thresholds_;  // K; empty where the graph takes none
    std::vector<Engine> engines_;
    std::unique_ptr<cuda::Stream> stream_;
    std::map<std::string, Loaded> loaded_;  // by folder
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
