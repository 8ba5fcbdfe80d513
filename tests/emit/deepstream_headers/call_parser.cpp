// call_parser HEIGHT WIDTH [KIND]: int32 labels on stdin, the parser's class map on stdout. KIND is
// float, named, wide or batched: what else the network may be said to give. Ends with 3 where the
// parser refuses.
#include <nvdsinfer_custom_impl.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>

extern "C" bool NvDsInferParseEdgeOvss(std::vector<NvDsInferLayerInfo> const&,
                                       NvDsInferNetworkInfo const&, float, unsigned int, int*,
                                       float*&);

int main(int argc, char** argv) {
    const int height = std::atoi(argv[1]);
    const int width = std::atoi(argv[2]);
    const std::string kind = argc > 3 ? argv[3] : "";
    std::vector<std::int32_t> labels(static_cast<std::size_t>(height) * width);
    if (std::fread(labels.data(), sizeof labels[0], labels.size(), stdin) != labels.size()) {
        return 1;
    }
    NvDsInferLayerInfo other{};
    other.layerName = "counts";
    NvDsInferLayerInfo layer{};
    layer.layerName = kind == "named" ? "scores" : "labels";
    layer.dataType = kind == "float" ? FLOAT : INT32;
    layer.inferDims = {2, {height, width}, 0};
    if (kind == "batched") {
        layer.inferDims = {3, {1, height, width}, 0};
    }
    layer.buffer = labels.data();
    const NvDsInferNetworkInfo network{static_cast<unsigned>(width + (kind == "wide" ? 1 : 0)),
                                       static_cast<unsigned>(height), 3};
    std::vector<int> found(labels.size(), -2);
    float probability = 0.0F;
    float* probabilities = &probability;
    if (!NvDsInferParseEdgeOvss({other, layer}, network, 0.0F, 1, found.data(), probabilities)) {
        return 3;
    }
    std::fwrite(found.data(), sizeof found[0], found.size(), stdout);
    return probabilities == nullptr ? 0 : 1;
}
