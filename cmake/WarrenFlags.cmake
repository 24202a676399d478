# Compile and link flags shared by every target of this tree.
set(CMAKE_CXX_STANDARD 23)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_RUNTIME_OUTPUT_DIRECTORY "${CMAKE_BINARY_DIR}/bin")

find_program(WARREN_CCACHE ccache)
if(WARREN_CCACHE)
  # Relative paths in the cache's keys: a second clone finds what the first compiled.
  set(CMAKE_CXX_COMPILER_LAUNCHER
      "${CMAKE_COMMAND}" -E env CCACHE_BASEDIR=${PROJECT_SOURCE_DIR} CCACHE_NOHASHDIR=1
      "${WARREN_CCACHE}")
endif()

add_library(warren_flags INTERFACE)
target_include_directories(warren_flags INTERFACE "${PROJECT_SOURCE_DIR}/src")
target_compile_definitions(warren_flags INTERFACE _GLIBCXX_ASSERTIONS
                           WARREN_VERSION="${PROJECT_VERSION}")
target_compile_options(
  warren_flags
  INTERFACE -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wsign-conversion -Wold-style-cast
            -Wnon-virtual-dtor -Woverloaded-virtual -Wimplicit-fallthrough -Werror)
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  # GCC 12 warns about designated initialisers that leave members to their defaults, and reports
  # false positives of the others in inlined standard containers, variants and optionals.
  target_compile_options(warren_flags INTERFACE -Wno-missing-field-initializers -Wno-restrict
                                                -Wno-stringop-overflow
                                                -Wno-maybe-uninitialized)
else()
  # What clang says of headers that are GCC's or libseccomp's is not ours to mend.
  target_compile_options(warren_flags INTERFACE -Wno-missing-field-initializers
                                                -Wno-missing-designated-field-initializers
                                                -Wno-c99-extensions -Wno-deprecated-declarations)
endif()

if(WARREN_SANITIZE)
  target_compile_options(warren_flags INTERFACE -fsanitize=${WARREN_SANITIZE}
                                                -fno-omit-frame-pointer
                                                -fno-sanitize-recover=all)
  target_link_options(warren_flags INTERFACE -fsanitize=${WARREN_SANITIZE})
  target_compile_definitions(warren_flags INTERFACE WARREN_SANITIZED)
elseif(CMAKE_BUILD_TYPE STREQUAL "Release" OR CMAKE_BUILD_TYPE STREQUAL "RelWithDebInfo")
  target_compile_options(warren_flags INTERFACE -fstack-protector-strong -fstack-clash-protection
                                                -fcf-protection)
  target_compile_definitions(warren_flags INTERFACE _FORTIFY_SOURCE=2)
  target_link_options(warren_flags INTERFACE -Wl,-z,relro,-z,now)
endif()
