// Memory that kernels work in: aligned to cache lines, its contents undefined.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

namespace lowrank::kernels {

// kHuge: where it is large, in pages of 2 MB, which it then takes to the last. For what is read again and again.
enum class Pages { kSmall, kHuge };

class Buffer {
 public:
  Buffer() = default;
  explicit Buffer(std::int64_t bytes, Pages pages = Pages::kHuge);  // throws std::bad_alloc

  std::byte* data() const { return data_.get(); }
  float* floats() const { return reinterpret_cast<float*>(data_.get()); }
  std::int64_t bytes() const { return bytes_; }

 private:
  struct Free {
    void operator()(std::byte* data) const;
  };
  std::unique_ptr<std::byte, Free> data_;
  std::int64_t bytes_ = 0;
};

// Scratch memory of the calling thread, kept from call to call: at least `bytes`, valid until the next call
// with the same `slot` < 4 on this thread.
std::byte* scratch(std::size_t slot, std::int64_t bytes);

}  // namespace lowrank::kernels
