# SPDX-License-Identifier: Apache-2.0
# Warnings, sanitizers: what a developer wants of a target, and a user does not see.
function(edge_ovss_developer_options target)
  if(MSVC)
    return()
  endif()
  target_compile_options(${target} PRIVATE -Wall -Wextra -Wpedantic -Wshadow -Wconversion
    $<$<BOOL:${EDGE_OVSS_WERROR}>:-Werror>)
  if(EDGE_OVSS_SANITIZE)
    target_compile_options(${target} PRIVATE -g -fno-omit-frame-pointer
      -fsanitize=${EDGE_OVSS_SANITIZE} -fno-sanitize-recover=all)
    target_link_options(${target} PRIVATE -fsanitize=${EDGE_OVSS_SANITIZE})
  endif()
endfunction()
