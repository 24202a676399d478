# Programs that bring every library along (docs/design/0013-linking.md).
#
# warren_static_program(TARGET) links TARGET as one static, position independent file: it starts
# without a dynamic loader, on any x86-64 Linux, and its idle memory is its own pages. Foreign
# libraries are named in the modules as always; warren_foreign() puts the archive (*.a) in the place
# of the shared library wherever the program that is linked is a static one. A library that has no
# archive must not be reached from a static program: it belongs into a program of its own.
#
# Sanitizers cannot be linked statically; and where an archive is missing everything stays shared.
if(WARREN_SANITIZE)
  set(WARREN_STATIC_DEFAULT OFF)
else()
  set(WARREN_STATIC_DEFAULT ON)
endif()
option(WARREN_STATIC "Link warren and warren-engine statically" ${WARREN_STATIC_DEFAULT})

if(WARREN_STATIC)
  foreach(archive crypto ssl seccomp cap-ng z yaml-cpp)
    string(TOUPPER "WARREN_${archive}_ARCHIVE" variable)
    find_library(${variable} lib${archive}.a)
    if(NOT ${variable})
      message(STATUS "lib${archive}.a is not installed: programs are linked with shared libraries")
      set(WARREN_STATIC OFF)
    endif()
  endforeach()
endif()

# Debian has no archive of fmt, but its source as headers: compiled once, for static programs.
if(WARREN_STATIC)
  add_library(warren_fmt STATIC "${CMAKE_CURRENT_LIST_DIR}/fmt.cpp")
  target_include_directories(
    warren_fmt SYSTEM PRIVATE $<TARGET_PROPERTY:fmt::fmt,INTERFACE_INCLUDE_DIRECTORIES>)
endif()

# warren_foreign(OUT LIBRARY...): what to link for these libraries, in either kind of program.
function(warren_foreign out)
  set(result ${ARGN})
  if(WARREN_STATIC)
    set(is_static "$<BOOL:$<TARGET_PROPERTY:WARREN_STATIC>>")
    set(result)
    foreach(library IN LISTS ARGN)
      if(library STREQUAL "fmt::fmt")
        set(archives warren_fmt)
      elseif(library STREQUAL "OpenSSL::Crypto")
        set(archives "${WARREN_CRYPTO_ARCHIVE}")
      elseif(library STREQUAL "OpenSSL::SSL")
        set(archives "${WARREN_SSL_ARCHIVE}" "${WARREN_CRYPTO_ARCHIVE}")
      elseif(library STREQUAL "PkgConfig::SECCOMP")
        set(archives "${WARREN_SECCOMP_ARCHIVE}")
      elseif(library STREQUAL "PkgConfig::CAPNG")
        set(archives "${WARREN_CAP-NG_ARCHIVE}")
      elseif(library STREQUAL "yaml-cpp")
        set(archives "${WARREN_YAML-CPP_ARCHIVE}")
      elseif(library STREQUAL "ZLIB::ZLIB")
        set(archives "${WARREN_Z_ARCHIVE}")
      elseif(library MATCHES "^PkgConfig::(QRENCODE|ARCHIVE|NFTABLES|CONNTRACK)$")
        # For parts of our libraries that no static program reaches: one that did would not link.
        set(archives)
      else()
        list(APPEND result "${library}")
        continue()
      endif()
      foreach(archive IN LISTS archives)
        list(APPEND result "$<${is_static}:${archive}>")
      endforeach()
      list(APPEND result "$<$<NOT:${is_static}>:${library}>")
    endforeach()
  endif()
  set(${out} ${result} PARENT_SCOPE)
endfunction()

function(warren_static_program target)
  if(NOT WARREN_STATIC)
    return()
  endif()
  set_target_properties(${target} PROPERTIES WARREN_STATIC ON)
  target_compile_definitions(${target} PRIVATE WARREN_STATIC_PROGRAM)
  target_link_options(${target} PRIVATE -static-pie -Wl,--gc-sections)
  set_target_properties(
    ${target} PROPERTIES RULE_LAUNCH_LINK "${PROJECT_SOURCE_DIR}/cmake/quiet_link.sh")
endfunction()
