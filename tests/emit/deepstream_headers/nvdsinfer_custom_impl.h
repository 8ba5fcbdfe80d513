// A stand-in for DeepStream's header of that name, for compiling the emitted parser where DeepStream
// is not: the few types that it uses, after NVIDIA's public description of the interface
// (docs.nvidia.com/metropolis/deepstream, "NvDsInfer Custom Method Implementations"). Members that the
// parser does not touch are left out, so nothing that is compiled with this runs in DeepStream.
#pragma once

#include <vector>

enum NvDsInferDataType { FLOAT = 0, HALF = 1, INT8 = 2, INT32 = 3 };

struct NvDsInferDims {
    unsigned int numDims;
    int d[8];
    unsigned int numElements;
};

struct NvDsInferLayerInfo {
    NvDsInferDataType dataType;
    NvDsInferDims inferDims;
    int bindingIndex;
    const char* layerName;
    void* buffer;
    int isInput;
};

struct NvDsInferNetworkInfo {
    unsigned int width;
    unsigned int height;
    unsigned int channels;
};

using NvDsInferSemSegmentationParseCustomFunc = bool (*)(
    std::vector<NvDsInferLayerInfo> const& outputLayersInfo,
    NvDsInferNetworkInfo const& networkInfo, float segmentationThreshold, unsigned int numClasses,
    int* classificationMap, float*& classProbabilityMap);

#define CHECK_CUSTOM_SEM_SEGMENTATION_PARSE_FUNC_PROTOTYPE(function)              \
    [[maybe_unused]] static const NvDsInferSemSegmentationParseCustomFunc        \
        checked_##function = function
