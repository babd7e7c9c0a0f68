# The list of rooms: who exists, on which side of the engine line, and who may include whom.
# `tools/check_layers.py` reads the same lines and fails on an #include that is not allowed here.
#
#   lowrank_room(NAME LIGHT|ENGINE [USES rooms…] [LINKS libraries…])
#
# Every room may include `base`. The list is not transitive.

enable_testing()
if(LOWRANK_ENGINE)
  # One precompiled ATen header for all engine rooms: 7 s a file become 2 s.
  file(WRITE ${CMAKE_BINARY_DIR}/pch/aten_pch.cc "// Owner of the engine rooms' precompiled header.\n")
  add_library(lowrank_aten_pch STATIC ${CMAKE_BINARY_DIR}/pch/aten_pch.cc)
  target_link_libraries(lowrank_aten_pch PUBLIC lowrank_torch PRIVATE lowrank_warnings)
  target_include_directories(lowrank_aten_pch PRIVATE ${CMAKE_SOURCE_DIR}/src)
  target_precompile_headers(lowrank_aten_pch PRIVATE <ATen/ATen.h>)
endif()

# Eight files as one, with LOWRANK_UNITY: their headers are read and their templates made once.
function(lowrank_compile_together target)
  if(LOWRANK_UNITY)
    set_target_properties(${target} PROPERTIES UNITY_BUILD ON UNITY_BUILD_BATCH_SIZE 8)
    # GCC takes what is included for a header, where a type of no name would be a fault.
    target_compile_options(${target} PRIVATE $<$<CXX_COMPILER_ID:GNU>:-Wno-subobject-linkage>)
  endif()
endfunction()

function(lowrank_room name side)
  cmake_parse_arguments(ROOM "" "" "USES;LINKS" ${ARGN})
  if(side STREQUAL "ENGINE" AND NOT LOWRANK_ENGINE)
    return()
  endif()
  file(GLOB_RECURSE sources CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/src/${name}/*.cc)
  if(NOT sources)
    return()
  endif()
  add_library(lowrank_${name} STATIC ${sources})
  target_include_directories(lowrank_${name} PUBLIC ${CMAKE_SOURCE_DIR}/src ${CMAKE_SOURCE_DIR}/include
    ${CMAKE_BINARY_DIR}/generated)
  target_link_libraries(lowrank_${name} PRIVATE lowrank_warnings PUBLIC ${ROOM_LINKS})
  if(NOT name STREQUAL "base")
    target_link_libraries(lowrank_${name} PUBLIC lowrank_base)
  endif()
  foreach(used ${ROOM_USES})
    if(TARGET lowrank_${used})
      target_link_libraries(lowrank_${name} PUBLIC lowrank_${used})
    endif()
  endforeach()
  if(side STREQUAL "ENGINE")
    target_link_libraries(lowrank_${name} PUBLIC lowrank_torch)
    target_precompile_headers(lowrank_${name} REUSE_FROM lowrank_aten_pch)
  endif()
  if(NOT name STREQUAL "kernels")  # what Highway compiles once per instruction set must stand alone
    lowrank_compile_together(lowrank_${name})
  endif()
  lowrank_room_tests(${name} ${side})
endfunction()

# One test binary per room: tests/ROOM/*_test.cc. Labels: files below tests/ROOM/golden or …/slow get that label.
function(lowrank_room_tests name side)
  if(NOT LOWRANK_TESTS)
    return()
  endif()
  foreach(kind "" golden slow)
    if(kind)
      file(GLOB tests CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/tests/${name}/${kind}/*_test.cc)
      set(target ${name}_${kind}_tests)
      set(label ${kind})
    else()
      file(GLOB tests CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/tests/${name}/*_test.cc)
      set(target ${name}_tests)
      set(label fast)
    endif()
    if(NOT tests)
      continue()
    endif()
    add_executable(${target} ${tests})
    set_target_properties(${target} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)
    target_include_directories(${target} PRIVATE ${CMAKE_SOURCE_DIR}/tests)
    target_link_libraries(${target} PRIVATE lowrank_${name} lowrank_warnings GTest::gtest_main GTest::gmock)
    target_compile_definitions(${target} PRIVATE LOWRANK_TEST_FIXTURES="${CMAKE_SOURCE_DIR}/tests/fixtures"
      LOWRANK_SOURCE_DIR="${CMAKE_SOURCE_DIR}" LOWRANK_BINARY_DIR="${CMAKE_BINARY_DIR}")
    if(side STREQUAL "ENGINE")
      # An executable gets -fPIE, the precompiled header was made with -fPIC: make them agree.
      set_target_properties(${target} PROPERTIES POSITION_INDEPENDENT_CODE OFF)
      target_compile_options(${target} PRIVATE -fPIC)
      target_precompile_headers(${target} REUSE_FROM lowrank_aten_pch)
    endif()
    add_test(NAME ${target} COMMAND ${target})
    # Waiting threads sleep: spinning ones slow each other on a busy machine (docs/performance.md).
    set_tests_properties(${target} PROPERTIES LABELS ${label} ENVIRONMENT "OMP_WAIT_POLICY=passive;OPENBLAS_NUM_THREADS=1")
  endforeach()
endfunction()

# ── above the engine line ───────────────────────────────────────────────────────────────────────────────
lowrank_room(base     LIGHT                                   LINKS fmt::fmt Threads::Threads OpenSSL::Crypto)
lowrank_room(weights  LIGHT                                   LINKS nlohmann_json::nlohmann_json)
lowrank_room(formats  LIGHT  USES weights                     LINKS nlohmann_json::nlohmann_json)
lowrank_room(prompt   LIGHT                                   LINKS nlohmann_json::nlohmann_json)
lowrank_room(image    LIGHT                                   LINKS nlohmann_json::nlohmann_json PNG::PNG JPEG::JPEG PkgConfig::WEBP
  TIFF::TIFF GIF::GIF ZLIB::ZLIB)
lowrank_room(request  LIGHT  USES prompt image)
lowrank_room(sqlite   LIGHT                                   LINKS SQLite::SQLite3)
lowrank_room(library  LIGHT  USES weights formats image prompt request sqlite LINKS nlohmann_json::nlohmann_json
  ZLIB::ZLIB)
lowrank_room(kernels  LIGHT                                   LINKS PkgConfig::HIGHWAY)
# ── the engine line: libtorch only below ────────────────────────────────────────────────────────────────
lowrank_room(tensor   ENGINE USES weights)
lowrank_room(model    ENGINE USES weights formats tensor kernels)
lowrank_room(adapter  ENGINE USES weights formats tensor kernels model)
lowrank_room(sampling ENGINE USES formats request tensor)
lowrank_room(pipeline ENGINE USES request prompt image formats weights kernels tensor model adapter sampling)
lowrank_room(edit     ENGINE USES weights formats tensor model adapter LINKS nlohmann_json::nlohmann_json)
lowrank_room(training ENGINE USES weights formats request prompt image kernels tensor model adapter sampling pipeline
             LINKS nlohmann_json::nlohmann_json)
lowrank_room(server   ENGINE USES request prompt image formats weights sqlite library adapter sampling pipeline training
             LINKS nlohmann_json::nlohmann_json PkgConfig::HTTPLIB OpenSSL::SSL ZLIB::ZLIB)
# The one source that includes torch/: for c10d. Alone, as its headers bring much.
if(LOWRANK_ENGINE)
  set_source_files_properties(${CMAKE_SOURCE_DIR}/src/training/run/parallel/process_group.cc PROPERTIES
    SKIP_UNITY_BUILD_INCLUSION ON COMPILE_DEFINITIONS LOWRANK_GLOO=${LOWRANK_GLOO})
endif()
# Plain loops of the kernels room are left to GCC's vectoriser: -O3, and sqrt need not set errno.
if(TARGET lowrank_kernels)
  target_compile_options(lowrank_kernels PRIVATE -O3 -fno-math-errno)
endif()
