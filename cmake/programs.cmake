# The `lowrank` executable links only the rooms above the engine line; the engine is a shared library beside it
# that is opened when a command needs it.
file(GLOB_RECURSE light_sources CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/src/cli/*.cc)
list(FILTER light_sources EXCLUDE REGEX "/cli/engine/")
if(light_sources)
  add_executable(lowrank ${light_sources})
  target_include_directories(lowrank PRIVATE ${CMAKE_SOURCE_DIR}/src ${CMAKE_SOURCE_DIR}/include)
  set_target_properties(lowrank PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/bin INSTALL_RPATH "$ORIGIN/../lib/lowrank")
  lowrank_compile_together(lowrank)
  target_compile_definitions(lowrank PRIVATE LOWRANK_VERSION="${PROJECT_VERSION}")
  target_link_libraries(lowrank PRIVATE lowrank_warnings ${CMAKE_DL_LIBS} nlohmann_json::nlohmann_json)
  foreach(room base weights formats prompt image request library)
    if(TARGET lowrank_${room})
      target_link_libraries(lowrank PRIVATE lowrank_${room})
    endif()
  endforeach()
endif()

file(GLOB_RECURSE engine_sources CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/src/cli/engine/*.cc)
if(LOWRANK_ENGINE AND engine_sources)
  add_library(lowrank_engine SHARED ${engine_sources} ${CMAKE_SOURCE_DIR}/src/cli/arguments.cc ${CMAKE_SOURCE_DIR}/src/cli/stop_signal.cc
    ${CMAKE_SOURCE_DIR}/src/cli/printable.cc ${CMAKE_SOURCE_DIR}/src/cli/light/json_text.cc)
  target_include_directories(lowrank_engine PRIVATE ${CMAKE_SOURCE_DIR}/src ${CMAKE_SOURCE_DIR}/include)
  # docs/versioning.md says what the numbers promise.
  set_target_properties(lowrank_engine PROPERTIES LIBRARY_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/bin
    VERSION ${PROJECT_VERSION} SOVERSION ${PROJECT_VERSION_MAJOR}.${PROJECT_VERSION_MINOR} EXPORT_NAME lowrank
    INSTALL_RPATH "${LOWRANK_TORCH_LIB_DIR}")
  lowrank_compile_together(lowrank_engine)
  target_compile_definitions(lowrank_engine PRIVATE LOWRANK_VERSION="${PROJECT_VERSION}")
  target_link_libraries(lowrank_engine PRIVATE lowrank_warnings nlohmann_json::nlohmann_json)
  foreach(room server training edit pipeline sampling adapter model tensor kernels library request image prompt formats weights base)
    if(TARGET lowrank_${room})
      target_link_libraries(lowrank_engine PRIVATE lowrank_${room})
    endif()
  endforeach()
  target_precompile_headers(lowrank_engine REUSE_FROM lowrank_aten_pch)
endif()

# End to end: the real binary and the public API, on the tiny model of the fixtures.
if(LOWRANK_TESTS AND TARGET lowrank_engine)
  file(GLOB e2e_sources CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/tests/e2e/*_test.cc)
  add_executable(e2e_tests ${e2e_sources})
  set_target_properties(e2e_tests PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)
  target_include_directories(e2e_tests PRIVATE ${CMAKE_SOURCE_DIR}/include)
  target_compile_definitions(e2e_tests PRIVATE LOWRANK_TEST_FIXTURES="${CMAKE_SOURCE_DIR}/tests/fixtures")
  target_link_libraries(e2e_tests PRIVATE lowrank_engine lowrank_warnings GTest::gtest_main)
  add_test(NAME e2e_tests COMMAND e2e_tests)
  set_tests_properties(e2e_tests PROPERTIES LABELS e2e ENVIRONMENT "OMP_WAIT_POLICY=passive;OPENBLAS_NUM_THREADS=1")
endif()
if(LOWRANK_TESTS AND TARGET lowrank AND TARGET lowrank_engine)
  file(GLOB e2e_scripts CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/tests/e2e/*_test.sh)
  foreach(script ${e2e_scripts})
    get_filename_component(name ${script} NAME_WE)
    add_test(NAME e2e_${name} COMMAND bash ${script} $<TARGET_FILE:lowrank> ${CMAKE_SOURCE_DIR}/tests/fixtures)
    set_tests_properties(e2e_${name} PROPERTIES LABELS e2e)
  endforeach()
  add_test(NAME cli_tests COMMAND python3 ${CMAKE_SOURCE_DIR}/tests/cli/lowrank_test.py $<TARGET_FILE:lowrank> ${CMAKE_SOURCE_DIR})
  set_tests_properties(cli_tests PROPERTIES LABELS fast)
  add_test(NAME output_names_tests COMMAND python3 ${CMAKE_SOURCE_DIR}/tests/cli/output_names_test.py $<TARGET_FILE:lowrank>
    ${CMAKE_SOURCE_DIR}/tests/fixtures)
  set_tests_properties(output_names_tests PROPERTIES LABELS e2e)
  add_test(NAME names_tests COMMAND python3 ${CMAKE_SOURCE_DIR}/tests/cli/names_test.py $<TARGET_FILE:lowrank> ${CMAKE_SOURCE_DIR})
  set_tests_properties(names_tests PROPERTIES LABELS e2e)
  add_test(NAME tensor_files_tests COMMAND python3 ${CMAKE_SOURCE_DIR}/tests/cli/tensor_files_test.py $<TARGET_FILE:lowrank> ${CMAKE_SOURCE_DIR})
  set_tests_properties(tensor_files_tests PROPERTIES LABELS e2e)
  add_test(NAME training_data_tests COMMAND python3 ${CMAKE_SOURCE_DIR}/tests/cli/training_data_test.py $<TARGET_FILE:lowrank> ${CMAKE_SOURCE_DIR})
  set_tests_properties(training_data_tests PROPERTIES LABELS e2e)
  add_test(NAME family_training_tests COMMAND python3 ${CMAKE_SOURCE_DIR}/tests/cli/family_training_test.py $<TARGET_FILE:lowrank>
    ${CMAKE_SOURCE_DIR})
  set_tests_properties(family_training_tests PROPERTIES LABELS e2e)
  add_test(NAME training_run_tests COMMAND python3 ${CMAKE_SOURCE_DIR}/tests/cli/training_run_test.py $<TARGET_FILE:lowrank>
    ${CMAKE_SOURCE_DIR})
  set_tests_properties(training_run_tests PROPERTIES LABELS slow)
  foreach(part answers api changing families fields hostile memory pictures queue safety scripts collection imports training page page_types storage load work)
    add_test(NAME serve_${part}_test COMMAND python3 ${CMAKE_SOURCE_DIR}/tests/server/program/${part}_test.py $<TARGET_FILE:lowrank>
      ${CMAKE_SOURCE_DIR}/tests/fixtures)
    set_tests_properties(serve_${part}_test PROPERTIES LABELS e2e)
  endforeach()
  add_test(NAME serve_clients_test COMMAND python3 ${CMAKE_SOURCE_DIR}/tests/server/program/clients_test.py $<TARGET_FILE:lowrank>
    ${CMAKE_SOURCE_DIR}/tests/fixtures ${CMAKE_BINARY_DIR}/tests)
  set_tests_properties(serve_clients_test PROPERTIES LABELS e2e)
  add_test(NAME layer_tests COMMAND python3 ${CMAKE_SOURCE_DIR}/tools/check_layers.py ${CMAKE_SOURCE_DIR})
  add_test(NAME layer_check_tests COMMAND python3 ${CMAKE_SOURCE_DIR}/tests/tools/check_layers_test.py ${CMAKE_SOURCE_DIR})
  add_test(NAME format_tests COMMAND bash ${CMAKE_SOURCE_DIR}/tools/format.sh --check)
  set_tests_properties(layer_tests layer_check_tests format_tests PROPERTIES LABELS fast)
endif()

if(LOWRANK_TESTS AND TARGET lowrank AND TARGET lowrank_engine)
  add_test(NAME install_tests COMMAND python3 ${CMAKE_SOURCE_DIR}/tests/cli/install_test.py $<TARGET_FILE:lowrank> ${CMAKE_SOURCE_DIR}
    ${CMAKE_BINARY_DIR})
  set_tests_properties(install_tests PROPERTIES LABELS e2e)
endif()

# The collection needs no engine.
if(LOWRANK_TESTS AND TARGET lowrank)
  foreach(name collection import folders examples)
    add_test(NAME ${name}_tests COMMAND python3 ${CMAKE_SOURCE_DIR}/tests/cli/${name}_test.py $<TARGET_FILE:lowrank> ${CMAKE_SOURCE_DIR})
    set_tests_properties(${name}_tests PROPERTIES LABELS e2e)
  endforeach()
endif()

# What `lowrank man` and `lowrank completion` print, for the places where shells and man look.
if(TARGET lowrank)
  set(documents ${CMAKE_BINARY_DIR}/documents)
  add_custom_command(OUTPUT ${documents}/lowrank.1 ${documents}/lowrank.bash ${documents}/_lowrank ${documents}/lowrank.fish
    COMMAND ${CMAKE_COMMAND} -E make_directory ${documents}
    COMMAND $<TARGET_FILE:lowrank> man > ${documents}/lowrank.1
    COMMAND $<TARGET_FILE:lowrank> completion bash > ${documents}/lowrank.bash
    COMMAND $<TARGET_FILE:lowrank> completion zsh > ${documents}/_lowrank
    COMMAND $<TARGET_FILE:lowrank> completion fish > ${documents}/lowrank.fish
    DEPENDS lowrank VERBATIM COMMENT "Writing the man page and the shells' completions")
  add_custom_target(lowrank_documents ALL DEPENDS ${documents}/lowrank.1)
endif()

# Below the prefix always the same places: the program looks for its engine and its starter model beside itself
# (src/cli/engine_loader.cc, src/library/data_dir.cc), so the whole may be moved.
if(TARGET lowrank)
  install(TARGETS lowrank RUNTIME DESTINATION bin)
  install(FILES ${documents}/lowrank.1 DESTINATION share/man/man1)
  install(FILES ${documents}/lowrank.bash DESTINATION share/bash-completion/completions RENAME lowrank)
  install(FILES ${documents}/_lowrank DESTINATION share/zsh/site-functions)
  install(FILES ${documents}/lowrank.fish DESTINATION share/fish/vendor_completions.d)
  install(FILES LICENSE THIRD_PARTY.md DESTINATION share/doc/lowrank)
endif()
if(TARGET lowrank_engine)
  install(DIRECTORY models/starter DESTINATION share/lowrank/models PATTERN ".*" EXCLUDE)
endif()

# How near the kernels come to the limit of this machine (bench/run.sh).
add_executable(kernel_bench ${CMAKE_SOURCE_DIR}/bench/kernels.cc)
set_target_properties(kernel_bench PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/bin)
target_link_libraries(kernel_bench PRIVATE lowrank_kernels lowrank_warnings)
