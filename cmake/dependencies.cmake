# Libraries from the system. libtorch is only looked for when the engine is built.
find_package(Threads REQUIRED)
find_package(fmt REQUIRED)
find_package(nlohmann_json REQUIRED)
find_package(OpenSSL REQUIRED COMPONENTS Crypto SSL)
find_package(PNG REQUIRED)
find_package(ZLIB REQUIRED)
find_package(JPEG REQUIRED)
find_package(PkgConfig REQUIRED)
pkg_check_modules(WEBP REQUIRED IMPORTED_TARGET libwebp libwebpmux libwebpdemux)
find_package(TIFF REQUIRED)
find_package(GIF REQUIRED)
pkg_check_modules(HTTPLIB REQUIRED IMPORTED_TARGET cpp-httplib)
find_package(SQLite3 REQUIRED)
# Headers only: libcurl is opened when something is fetched, so that no other command pays for loading it.
find_path(LOWRANK_CURL_INCLUDE curl/curl.h REQUIRED)
pkg_check_modules(HIGHWAY REQUIRED IMPORTED_TARGET libhwy)
# Headers only, too.
find_path(LOWRANK_TOML_INCLUDE toml++/toml.h REQUIRED)

if(LOWRANK_TESTS)
  find_package(GTest REQUIRED)
endif()

if(LOWRANK_ENGINE)
  # Only ATen and the CPU library are used directly, so a plain library target is enough and the
  # warning-prone flags of TorchConfig are left out. A newer libtorch is found through CMAKE_PREFIX_PATH.
  find_library(LOWRANK_TORCH_CPU torch_cpu PATH_SUFFIXES lib torch/lib REQUIRED)
  find_library(LOWRANK_TORCH_C10 c10 PATH_SUFFIXES lib torch/lib REQUIRED)
  get_filename_component(LOWRANK_TORCH_LIB_DIR ${LOWRANK_TORCH_CPU} DIRECTORY)
  find_path(LOWRANK_TORCH_INCLUDE ATen/ATen.h PATH_SUFFIXES include torch/include REQUIRED)
  message(STATUS "libtorch: ${LOWRANK_TORCH_CPU}")
  add_library(lowrank_torch INTERFACE)
  # A newer libtorch, in a folder of its own, brings headers of its own fmt, which would hide those of the library that we
  # link.
  find_path(LOWRANK_FMT_INCLUDE fmt/format.h PATHS /usr/include NO_DEFAULT_PATH REQUIRED)
  if(EXISTS ${LOWRANK_TORCH_INCLUDE}/fmt AND NOT LOWRANK_TORCH_INCLUDE STREQUAL LOWRANK_FMT_INCLUDE)
    file(MAKE_DIRECTORY ${CMAKE_BINARY_DIR}/own_fmt)
    file(CREATE_LINK ${LOWRANK_FMT_INCLUDE}/fmt ${CMAKE_BINARY_DIR}/own_fmt/fmt SYMBOLIC)
    target_include_directories(lowrank_torch SYSTEM BEFORE INTERFACE ${CMAKE_BINARY_DIR}/own_fmt)
  endif()
  target_include_directories(lowrank_torch SYSTEM INTERFACE ${LOWRANK_TORCH_INCLUDE})
  target_link_libraries(lowrank_torch INTERFACE ${LOWRANK_TORCH_CPU} ${LOWRANK_TORCH_C10})
  # What c10d's headers of libtorch include, to train with several processes. A libtorch from elsewhere may be without.
  find_path(LOWRANK_GLOO_INCLUDE gloo/config.h)
  find_library(LOWRANK_GLOO_LIBRARY gloo)
  set(LOWRANK_GLOO 0)
  if(LOWRANK_GLOO_INCLUDE AND LOWRANK_GLOO_LIBRARY AND EXISTS ${LOWRANK_TORCH_INCLUDE}/torch/csrc/distributed/c10d/ProcessGroupGloo.hpp)
    set(LOWRANK_GLOO 1)
    target_link_libraries(lowrank_torch INTERFACE ${LOWRANK_GLOO_LIBRARY})
  endif()
  message(STATUS "training with several processes (Gloo): ${LOWRANK_GLOO}")
endif()
