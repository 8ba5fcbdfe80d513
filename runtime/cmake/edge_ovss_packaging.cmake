# SPDX-License-Identifier: Apache-2.0
# What `cmake --install` puts down: library, headers, programs, CMake package, pkg-config file.
include(CMakePackageConfigHelpers)

set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/edge_ovss)
if(NOT EDGE_OVSS_SHARED)
  # A static library would need the targets of everything that it is made of.
  message(STATUS "edge_ovss: a static library is for use in the build tree; it is not installed")
  return()
endif()
set_target_properties(edge_ovss PROPERTIES INSTALL_RPATH_USE_LINK_PATH ON)
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
