# SPDX-License-Identifier: Apache-2.0
# Finds TensorRT (10.3 or later) or TensorRT for RTX, and defines TensorRT::TensorRT.
#
#   TensorRT_ROOT         folder with include/ and lib/; on a Jetson the system's are found
#   TensorRT_INCLUDE_DIR  folder of NvInfer.h, where it lies elsewhere
#   TensorRT_LIBRARY      libnvinfer.so or libtensorrt_rtx.so, likewise
#
# TensorRT_IS_RTX says which of the two it is.
find_package(CUDAToolkit REQUIRED)
# A folder that is given is taken as it is: a toolchain file would look for it in its sysroot only.
if(TensorRT_ROOT)
  find_path(TensorRT_INCLUDE_DIR NvInferRuntime.h PATHS ${TensorRT_ROOT}
    PATH_SUFFIXES include NO_DEFAULT_PATH NO_CMAKE_FIND_ROOT_PATH)
  find_library(TensorRT_LIBRARY NAMES nvinfer tensorrt_rtx PATHS ${TensorRT_ROOT}
    PATH_SUFFIXES lib NO_DEFAULT_PATH NO_CMAKE_FIND_ROOT_PATH)
endif()
find_path(TensorRT_INCLUDE_DIR NvInferRuntime.h PATH_SUFFIXES include)
find_library(TensorRT_LIBRARY NAMES nvinfer tensorrt_rtx PATH_SUFFIXES lib lib64)

include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(TensorRT
  REQUIRED_VARS TensorRT_LIBRARY TensorRT_INCLUDE_DIR
  REASON_FAILURE_MESSAGE "Give -DTensorRT_ROOT=DIR (TensorRT 10.3 or later, or TensorRT for RTX).")

if(TensorRT_FOUND)
  string(FIND "${TensorRT_LIBRARY}" tensorrt_rtx found_rtx)
  if(found_rtx EQUAL -1)
    set(TensorRT_IS_RTX OFF)
  else()
    set(TensorRT_IS_RTX ON)
  endif()
  if(NOT TARGET TensorRT::TensorRT)
    add_library(TensorRT::TensorRT UNKNOWN IMPORTED)
    set_target_properties(TensorRT::TensorRT PROPERTIES
      IMPORTED_LOCATION ${TensorRT_LIBRARY}
      INTERFACE_INCLUDE_DIRECTORIES ${TensorRT_INCLUDE_DIR})
    # The static runtime looks for the driver when it is called: without one the library loads.
    target_link_libraries(TensorRT::TensorRT INTERFACE CUDA::cudart_static)
  endif()
endif()
mark_as_advanced(TensorRT_INCLUDE_DIR TensorRT_LIBRARY)
