#include "tensor/large_blocks.h"

#include <c10/core/Allocator.h>
#include <c10/core/CPUAllocator.h>
#include <sys/mman.h>
#include <torch/csrc/api/include/torch/version.h>

#include <cstdlib>
#include <deque>
#include <map>
#include <mutex>
#include <new>

namespace lowrank::tensor {
namespace {

constexpr std::size_t kLarge = 1 << 20;
constexpr std::size_t kHugePage = 2 << 20;
// The blocks of a U-Net at 512×512 are below 48 MB, all that it holds at once about 100 MB. A VAE's are larger,
// and the peak of a program's memory lies there: they are given back at once.
constexpr std::size_t kLargestKept = 48u << 20, kMostIdle = 96u << 20;

std::size_t rounded(std::size_t bytes) {
  const std::size_t step = bytes >= 2 * kHugePage ? kHugePage : 64 << 10;
  return (bytes + step - 1) / step * step;
}

class LargeBlocks {
 public:
  void* take(std::size_t bytes) {
    const std::size_t size = rounded(bytes);
    {
      const std::lock_guard lock(mutex_);
      // A block that is a quarter larger will do.
      const auto fit = idle_.lower_bound(size);
      if (fit != idle_.end() && fit->first <= size + size / 4) {
        void* const block = fit->second;
        in_use_[block] = fit->first;
        idle_bytes_ -= fit->first;
        idle_.erase(fit);
        return block;
      }
    }
    void* const block = std::aligned_alloc(size >= 2 * kHugePage ? kHugePage : 4096, size);
    if (block == nullptr) throw std::bad_alloc();
    if (size >= 2 * kHugePage) ::madvise(block, size, MADV_HUGEPAGE);
    const std::lock_guard lock(mutex_);
    in_use_[block] = size;
    return block;
  }

  // False when the memory is none of these blocks.
  bool give(void* block) {
    std::deque<void*> surplus;
    {
      const std::lock_guard lock(mutex_);
      const auto place = in_use_.find(block);
      if (place == in_use_.end()) return false;
      const std::size_t size = place->second;
      in_use_.erase(place);
      if (!is_keeping_ || size > kLargestKept) {
        surplus.push_back(block);
      } else {
        idle_.emplace(size, block);
        idle_bytes_ += size;
        // The smallest go first: the largest cost most to make.
        while (idle_bytes_ > kMostIdle) surplus.push_back(pop());
      }
    }
    for (void* each : surplus) std::free(each);
    return true;
  }

  void keep() {
    const std::lock_guard lock(mutex_);
    is_keeping_ = true;
  }

  void release() {
    std::deque<void*> surplus;
    {
      const std::lock_guard lock(mutex_);
      is_keeping_ = false;
      while (!idle_.empty()) surplus.push_back(pop());
    }
    for (void* each : surplus) std::free(each);
  }

  std::int64_t idle_bytes() {
    const std::lock_guard lock(mutex_);
    return static_cast<std::int64_t>(idle_bytes_);
  }

 private:
  void* pop() {
    const auto first = idle_.begin();
    void* const block = first->second;
    idle_bytes_ -= first->first;
    idle_.erase(first);
    return block;
  }

  std::mutex mutex_;
  std::map<void*, std::size_t> in_use_;
  std::multimap<std::size_t, void*> idle_;
  std::size_t idle_bytes_ = 0;
  bool is_keeping_ = false;
};

// Never destroyed: tensors of static storage may outlive everything.
LargeBlocks& blocks() {
  static LargeBlocks& all = *new LargeBlocks;
  return all;
}

void free_any(void* data) {
  if (!blocks().give(data)) c10::GetDefaultCPUAllocator()->raw_deleter()(data);
}

#if TORCH_VERSION_MAJOR > 2 || (TORCH_VERSION_MAJOR == 2 && TORCH_VERSION_MINOR >= 3)
#define LOWRANK_ALLOCATE_CONST
#else
#define LOWRANK_ALLOCATE_CONST const
#endif

class Allocator : public c10::Allocator {
 public:
  c10::DataPtr allocate(std::size_t bytes) LOWRANK_ALLOCATE_CONST override {
    if (bytes < kLarge) return c10::GetDefaultCPUAllocator()->allocate(bytes);
    void* const data = blocks().take(bytes);
    return {data, data, &free_any, c10::Device(c10::DeviceType::CPU)};
  }
  c10::DeleterFnPtr raw_deleter() const override { return &free_any; }
#if TORCH_VERSION_MAJOR > 2 || (TORCH_VERSION_MAJOR == 2 && TORCH_VERSION_MINOR >= 3)
  void copy_data(void* to, const void* from, std::size_t bytes) const override {
    default_copy_data(to, from, bytes);
  }
#endif
};

}  // namespace

void keep_large_blocks() {
  static const bool done = [] {
    static Allocator& allocator = *new Allocator;
    c10::SetCPUAllocator(&allocator);
    return true;
  }();
  static_cast<void>(done);
  blocks().keep();
}

void release_large_blocks() {
  blocks().release();
}

std::int64_t idle_large_bytes() {
  return blocks().idle_bytes();
}

}  // namespace lowrank::tensor
