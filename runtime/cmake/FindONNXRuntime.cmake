# SPDX-License-Identifier: Apache-2.0
# Finds ONNX Runtime and defines ONNXRuntime::ONNXRuntime.
#
#   ONNXRuntime_ROOT  folder with include/ and lib/, such as tools/fetch_onnxruntime.sh makes
#
# The header may be older than the library: the interface between them is versioned.
# A folder that is given is taken as it is: a toolchain file would look for it in its sysroot only.
if(ONNXRuntime_ROOT)
  find_path(ONNXRuntime_INCLUDE_DIR onnxruntime_c_api.h PATHS ${ONNXRuntime_ROOT}
    PATH_SUFFIXES include NO_DEFAULT_PATH NO_CMAKE_FIND_ROOT_PATH)
  find_library(ONNXRuntime_LIBRARY NAMES onnxruntime PATHS ${ONNXRuntime_ROOT}
    PATH_SUFFIXES lib NO_DEFAULT_PATH NO_CMAKE_FIND_ROOT_PATH)
endif()
find_path(ONNXRuntime_INCLUDE_DIR onnxruntime_c_api.h
  PATH_SUFFIXES include include/onnxruntime onnxruntime include/onnxruntime/core/session)
find_library(ONNXRuntime_LIBRARY NAMES onnxruntime PATH_SUFFIXES lib lib64)

include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(ONNXRuntime
  REQUIRED_VARS ONNXRuntime_LIBRARY ONNXRuntime_INCLUDE_DIR
  REASON_FAILURE_MESSAGE "Give -DONNXRuntime_ROOT=DIR (tools/fetch_onnxruntime.sh DIR makes one).")

if(ONNXRuntime_FOUND AND NOT TARGET ONNXRuntime::ONNXRuntime)
  # SHARED, not UNKNOWN: only then programs that link with edge_ovss get -rpath-link, which a linker
  # with a sysroot needs.
  add_library(ONNXRuntime::ONNXRuntime SHARED IMPORTED)
  set_target_properties(ONNXRuntime::ONNXRuntime PROPERTIES
    IMPORTED_LOCATION ${ONNXRuntime_LIBRARY}
    INTERFACE_INCLUDE_DIRECTORIES ${ONNXRuntime_INCLUDE_DIR})
endif()
mark_as_advanced(ONNXRuntime_INCLUDE_DIR ONNXRuntime_LIBRARY)
