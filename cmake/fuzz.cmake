# libFuzzer targets: each tests/fuzz/NAME_fuzz.cc becomes build/PRESET/fuzz/NAME_fuzz, linked to the rooms above the
# engine line. Included only with LOWRANK_FUZZ (clang).
#
#   build/fuzz/fuzz/pickle_fuzz -max_total_time=60 NEW_INPUTS tests/fuzz/corpus/pickle
file(GLOB fuzz_sources CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/tests/fuzz/*_fuzz.cc)
add_custom_target(fuzzers)
foreach(source ${fuzz_sources})
  get_filename_component(target ${source} NAME_WE)
  add_executable(${target} ${source})
  set_target_properties(${target} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/fuzz)
  target_link_options(${target} PRIVATE -fsanitize=fuzzer)
  target_link_libraries(${target} PRIVATE lowrank_warnings)
  foreach(room image formats weights prompt base)
    if(TARGET lowrank_${room})
      target_link_libraries(${target} PRIVATE lowrank_${room})
    endif()
  endforeach()
  add_dependencies(fuzzers ${target})
endforeach()
