# Language level, warnings, sanitizers and the compiler cache, in one place.
set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_CXX_VISIBILITY_PRESET hidden)
set(CMAKE_VISIBILITY_INLINES_HIDDEN ON)
if(NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE Release CACHE STRING "" FORCE)
endif()

find_program(CCACHE_PROGRAM ccache)
if(CCACHE_PROGRAM AND NOT CMAKE_CXX_COMPILER_LAUNCHER)
  # Precompiled headers need these two sloppiness flags and -fpch-preprocess to be cacheable.
  set(CMAKE_CXX_COMPILER_LAUNCHER ${CMAKE_COMMAND} -E env CCACHE_SLOPPINESS=pch_defines,time_macros ${CCACHE_PROGRAM})
  add_compile_options($<$<CXX_COMPILER_ID:GNU>:-fpch-preprocess>)
endif()

add_library(lowrank_warnings INTERFACE)
target_compile_options(lowrank_warnings INTERFACE -Wall -Wextra -Wshadow -Wconversion -Wswitch
  $<$<CXX_COMPILER_ID:GNU>:-Wno-restrict>  # GCC 12 reports std::string concatenation falsely (its bug 105329)
  $<$<BOOL:${LOWRANK_WERROR}>:-Werror>)

if(LOWRANK_SANITIZE)
  add_compile_options(-fsanitize=${LOWRANK_SANITIZE} -fno-omit-frame-pointer -fno-sanitize-recover=all)
  add_link_options(-fsanitize=${LOWRANK_SANITIZE})
  # GCC 12 sees ghosts in <regex> under sanitizers (its bug 105562).
  target_compile_options(lowrank_warnings INTERFACE $<$<CXX_COMPILER_ID:GNU>:-Wno-maybe-uninitialized>)
endif()
if(LOWRANK_FUZZ)
  add_compile_options(-fsanitize=fuzzer-no-link)
endif()
