# SPDX-License-Identifier: Apache-2.0
# What `cmake --install` puts down: library, headers, programs, CMake package, pkg-config file.
include(CMakePackageConfigHelpers)

set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/edge_ovss)
if(NOT EDGE_OVSS_SHARED)
  # A static library would need the targets of everything that it is made of.
  message(STATUS "edge_ovss: a static library is for use in the build tree; it is not installed")
  return()
endif()
if(EDGE_OVSS_PACKAGE_ONNXRUNTIME AND EDGE_OVSS_WITH_ONNXRUNTIME)
  # In a folder of its own, so that no other program finds it by chance.
  set(private_dir ${CMAKE_INSTALL_LIBDIR}/edge_ovss)
  set_target_properties(edge_ovss PROPERTIES INSTALL_RPATH "$ORIGIN/edge_ovss")
  get_filename_component(onnxruntime_file ${ONNXRuntime_LIBRARY} REALPATH)
  install(FILES ${onnxruntime_file} DESTINATION ${private_dir} RENAME libonnxruntime.so.1)
  foreach(text LICENSE ThirdPartyNotices.txt)
    if(NOT EXISTS ${ONNXRuntime_ROOT}/${text})
      message(FATAL_ERROR "${ONNXRuntime_ROOT}/${text} is missing, which must go along with the "
                          "library; tools/fetch_onnxruntime.sh puts it there.")
    endif()
    install(FILES ${ONNXRuntime_ROOT}/${text}
      DESTINATION ${CMAKE_INSTALL_DATADIR}/doc/edge-ovss/onnxruntime)
  endforeach()
else()
  set_target_properties(edge_ovss PROPERTIES INSTALL_RPATH_USE_LINK_PATH ON)
endif()
install(FILES ${CMAKE_CURRENT_SOURCE_DIR}/../LICENSE
  DESTINATION ${CMAKE_INSTALL_DATADIR}/doc/edge-ovss RENAME copyright)
install(TARGETS edge_ovss EXPORT edge_ovss-targets
  LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR} NAMELINK_COMPONENT development)
install(FILES include/edge_ovss/edge_ovss.h include/edge_ovss/edge_ovss.hpp
              include/edge_ovss/edge_ovss_stream.h
  DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/edge_ovss)
install(EXPORT edge_ovss-targets NAMESPACE edge_ovss:: DESTINATION ${package_dir})
configure_package_config_file(cmake/edge_ovss-config.cmake.in edge_ovss-config.cmake
  INSTALL_DESTINATION ${package_dir})
# Before 1.0 a minor version may change the interface.
write_basic_package_version_file(edge_ovss-config-version.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/edge_ovss-config.cmake
  ${CMAKE_CURRENT_BINARY_DIR}/edge_ovss-config-version.cmake DESTINATION ${package_dir})
# Found from where the file lies, wherever a package is unpacked.
file(RELATIVE_PATH pc_prefix /prefix/${CMAKE_INSTALL_LIBDIR}/pkgconfig /prefix)
configure_file(cmake/edge_ovss.pc.in edge_ovss.pc @ONLY)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/edge_ovss.pc
  DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
if(EDGE_OVSS_BUILD_APPS)
  set_target_properties(ovss-segment ovss-bench ovss-camera PROPERTIES
    INSTALL_RPATH "$ORIGIN/../${CMAKE_INSTALL_LIBDIR}")
  install(TARGETS ovss-segment ovss-bench ovss-camera RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
endif()
if(EDGE_OVSS_GSTREAMER_ELEMENT)
  set_target_properties(gstedge_ovss PROPERTIES INSTALL_RPATH "$ORIGIN/..")
  install(TARGETS gstedge_ovss LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR}/gstreamer-1.0)
endif()

set(CPACK_GENERATOR "DEB;TGZ")
set(CPACK_PACKAGE_NAME edge-ovss)
set(CPACK_PACKAGE_VENDOR edge-ovss)
set(CPACK_PACKAGE_CONTACT "edge-ovss <https://github.com/edge-ovss/edge-ovss>")
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "Open-vocabulary segmentation on robots: library and programs")
set(CPACK_PACKAGE_CHECKSUM SHA256)
set(CPACK_STRIP_FILES ON)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_SECTION libs)
set(CPACK_DEBIAN_PACKAGE_HOMEPAGE "https://github.com/edge-ovss/edge-ovss")
if(CMAKE_SYSTEM_PROCESSOR STREQUAL aarch64)
  set(CPACK_DEBIAN_PACKAGE_ARCHITECTURE arm64)
endif()
set(CPACK_SYSTEM_NAME linux-${CMAKE_SYSTEM_PROCESSOR})
find_program(DPKG_SHLIBDEPS dpkg-shlibdeps)
if(DPKG_SHLIBDEPS AND NOT CMAKE_CROSSCOMPILING)
  set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
  get_filename_component(onnxruntime_folder "${onnxruntime_file}" DIRECTORY)
  set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS_PRIVATE_DIRS ${onnxruntime_folder} ${CMAKE_BINARY_DIR})
else()
  # The names of Debian 12 and Ubuntu 22.04, and after the bars those of Ubuntu 24.04.
  set(CPACK_DEBIAN_PACKAGE_DEPENDS
    "libc6 (>= 2.34), libstdc++6 (>= 11), libssl3 | libssl3t64, libpng16-16 | libpng16-16t64, libjpeg62-turbo | libjpeg-turbo8")
  if(EDGE_OVSS_GSTREAMER_ELEMENT)
    string(APPEND CPACK_DEBIAN_PACKAGE_DEPENDS
      ", libgstreamer1.0-0 (>= 1.20), libgstreamer-plugins-base1.0-0 (>= 1.20)")
  endif()
endif()
# ldconfig runs after the package is installed.
set(CPACK_DEBIAN_PACKAGE_GENERATE_SHLIBS ON)
include(CPack)
