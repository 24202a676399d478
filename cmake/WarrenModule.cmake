include(WarrenStatic)

# warren_module(NAME USES a b c LIBS x y)
#
# One folder is one static library is one namespace. Every *.cpp of the folder belongs to it, except
# NAME_test.cpp (one test program per module, run by CTest) and NAME_bench.cpp (one benchmark program
# per module, built but not run by CTest). USES names the modules it may include; LIBS the foreign
# libraries, which stay PRIVATE: no header of a module shows them (except where PUBLIC_LIBS says so).
function(warren_module name)
  cmake_parse_arguments(ARG "" "" "USES;LIBS;PUBLIC_LIBS;TEST_USES" ${ARGN})
  file(GLOB sources CONFIGURE_DEPENDS "${CMAKE_CURRENT_SOURCE_DIR}/*.cpp")
  set(tests ${sources})
  set(benches ${sources})
  list(FILTER tests INCLUDE REGEX "_test\\.cpp$")
  list(FILTER benches INCLUDE REGEX "_bench\\.cpp$")
  list(FILTER sources EXCLUDE REGEX "_(test|bench)\\.cpp$")
  if(NOT sources)
    return()
  endif()

  add_library(warren_${name} STATIC ${sources})
  warren_foreign(libraries ${ARG_LIBS})
  target_link_libraries(warren_${name} PUBLIC warren_flags ${ARG_PUBLIC_LIBS} PRIVATE ${libraries})
  foreach(used IN LISTS ARG_USES)
    target_link_libraries(warren_${name} PUBLIC warren_${used})
  endforeach()

  if(WARREN_TESTS AND tests)
    add_executable(${name}_test ${tests})
    target_link_libraries(${name}_test PRIVATE warren_${name} ${ARG_LIBS} GTest::gmock
                                               GTest::gtest GTest::gtest_main)
    foreach(used IN LISTS ARG_TEST_USES)
      target_link_libraries(${name}_test PRIVATE warren_${used})
    endforeach()
    add_test(NAME unit.${name} COMMAND ${name}_test --gtest_brief=1)
    set_tests_properties(unit.${name} PROPERTIES LABELS unit TIMEOUT 300)
  endif()
  if(WARREN_BENCH AND benches)
    add_executable(${name}_bench ${benches})
    target_link_libraries(${name}_bench PRIVATE warren_${name} ${ARG_LIBS} benchmark::benchmark
                                                benchmark::benchmark_main)
  endif()
endfunction()
