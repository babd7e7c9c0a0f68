#include "pipeline/blas_check.h"

#include <dlfcn.h>
#include <fmt/format.h>

#include <array>
#include <fstream>
#include <string_view>

namespace lowrank::pipeline {
namespace {

// The file behind libblas.so.3 in this process, symbolic links resolved by the kernel; "" when none is
// mapped.
std::string mapped_blas() {
  std::ifstream maps("/proc/self/maps");
  for (std::string line; std::getline(maps, line);) {
    const auto slash = line.find('/');
    if (slash != std::string::npos && line.find("/libblas.so", slash) != std::string::npos)
      return line.substr(slash);
  }
  return "";
}

// Fast implementations that answer to the name libblas: each exports something of its own.
bool is_fast(const std::string& library) {
  constexpr std::array<const char*, 5> kOwnSymbols = {"openblas_get_config", "MKL_Get_Version",
                                                      "mkl_get_version", "bli_info_get_version_str",
                                                      "ATL_buildinfo"};
  void* handle = dlopen(library.c_str(), RTLD_LAZY | RTLD_NOLOAD);
  if (handle == nullptr) return true;  // cannot be told: do not cry wolf
  bool fast = false;
  for (const char* symbol : kOwnSymbols) fast = fast || dlsym(handle, symbol) != nullptr;
  dlclose(handle);
  return fast;
}

}  // namespace

std::optional<std::string> slow_blas_warning() {
  const std::string library = mapped_blas();
  if (library.empty() || is_fast(library)) return std::nullopt;
  return fmt::format(
      "matrix products use the reference BLAS ({}), which is about 30 times slower than OpenBLAS; install it "
      "with: apt-get install libopenblas0",
      library);
}

}  // namespace lowrank::pipeline
