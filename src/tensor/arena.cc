#include "tensor/arena.h"

#include <c10/core/Allocator.h>
#include <c10/core/CPUAllocator.h>
#include <sys/mman.h>
#include <torch/csrc/api/include/torch/version.h>
#include <unistd.h>

#include <algorithm>
#include <map>
#include <mutex>
#include <utility>

namespace lowrank::tensor {
namespace {

constexpr std::size_t kSmallest = 64 << 10, kPage = 4096, kHugePage = 2 << 20;

struct Room {
  std::size_t bytes = 0;
  const void* leaving = nullptr;
};

class Arena {
 public:
  // Reserves addresses, as many as there is memory; memory itself comes with the first touch of a page.
  Arena() {
    const auto memory = static_cast<std::size_t>(::sysconf(_SC_PHYS_PAGES)) *
                        static_cast<std::size_t>(::sysconf(_SC_PAGE_SIZE));
    void* const range = ::mmap(nullptr, memory + kHugePage, PROT_READ | PROT_WRITE,
                               MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (range == MAP_FAILED) return;  // no arena then
    const auto address = reinterpret_cast<std::size_t>(range);
    begin_ = static_cast<char*>(range) + (kHugePage - address % kHugePage) % kHugePage;
    size_ = memory / kPage * kPage;
    ::madvise(begin_, size_, MADV_HUGEPAGE);
    gaps_.emplace(0, size_);
  }

  // Null when it is not in use, or no gap is large enough.
  void* take(std::size_t bytes, const Room& room_below) {
    const std::size_t size = pages(bytes);
    const std::lock_guard lock(mutex_);
    if (!is_used_) return nullptr;
    const std::size_t lowest = room_below.bytes > 0 ? end_of(room_below) : 0;
    const auto gap = std::find_if(gaps_.begin(), gaps_.end(), [&](const auto& each) {
      return each.first + each.second >= std::max(each.first, lowest) + size;
    });
    if (gap == gaps_.end()) return nullptr;
    const auto [begin, room] = *gap;
    const std::size_t at = std::max(begin, lowest), rest = begin + room - at - size;
    gaps_.erase(gap);
    if (at > begin) gaps_.emplace(begin, at - begin);
    if (rest > 0) gaps_.emplace(at + size, rest);
    blocks_.emplace(at, size);
    if (at + size > touched_) {
      touched_ = at + size;
      ++growths_;
    }
    highest_ = std::max(highest_, end());
    return begin_ + at;
  }

  // False when the memory lies elsewhere.
  bool give(void* data) {
    if (begin_ == nullptr || data < begin_ || data >= begin_ + size_) return false;
    const std::lock_guard lock(mutex_);
    const auto block = blocks_.find(static_cast<std::size_t>(static_cast<char*>(data) - begin_));
    auto [at, room] = *block;
    blocks_.erase(block);
    if (!is_used_) ::madvise(begin_ + at, room, MADV_DONTNEED);
    auto next = gaps_.lower_bound(at);
    if (next != gaps_.end() && next->first == at + room) {
      room += next->second;
      next = gaps_.erase(next);
    }
    if (next != gaps_.begin()) {
      const auto before = std::prev(next);
      if (before->first + before->second == at) {
        before->second += room;
        return true;
      }
    }
    gaps_.emplace_hint(next, at, room);
    return true;
  }

  void use() {
    const std::lock_guard lock(mutex_);
    is_used_ = true;
  }

  void release() {
    const std::lock_guard lock(mutex_);
    is_used_ = false;
    for (const auto& [at, room] : gaps_)
      if (at < touched_) ::madvise(begin_ + at, std::min(room, touched_ - at), MADV_DONTNEED);
    touched_ = end();
  }

  std::int64_t bytes() {
    const std::lock_guard lock(mutex_);
    return static_cast<std::int64_t>(end());
  }
  std::int64_t highest(bool forget) {
    const std::lock_guard lock(mutex_);
    return static_cast<std::int64_t>(forget ? std::exchange(highest_, end()) : highest_);
  }
  std::int64_t growths() {
    const std::lock_guard lock(mutex_);
    return growths_;
  }

 private:
  static std::size_t pages(std::size_t bytes) { return (bytes + kPage - 1) / kPage * kPage; }
  // Of the lowest place that has so many bytes once `leaving` is given back.
  std::size_t end_of(const Room& room) const {
    const auto leaving =
        blocks_.find(static_cast<std::size_t>(static_cast<const char*>(room.leaving) - begin_));
    auto free = gaps_;
    if (leaving != blocks_.end()) free.insert(*leaving);
    std::size_t begin = 0, end = 0;
    for (const auto& [at, bytes] : free) {
      if (at != end) begin = at;
      end = at + bytes;
      if (end - begin >= room.bytes) break;
    }
    return begin + pages(room.bytes);
  }
  std::size_t end() const { return blocks_.empty() ? 0 : blocks_.rbegin()->first + blocks_.rbegin()->second; }

  std::mutex mutex_;
  char* begin_ = nullptr;
  std::size_t size_ = 0, touched_ = 0, highest_ = 0;
  std::map<std::size_t, std::size_t> gaps_, blocks_;  // sizes by place
  std::int64_t growths_ = 0;
  bool is_used_ = false;
};

// Never destroyed: tensors of static storage may outlive everything.
Arena& arena() {
  static Arena& the = *new Arena;
  return the;
}

thread_local Room room_below;

void free_any(void* data) {
  if (!arena().give(data)) c10::GetDefaultCPUAllocator()->raw_deleter()(data);
}

#if TORCH_VERSION_MAJOR > 2 || (TORCH_VERSION_MAJOR == 2 && TORCH_VERSION_MINOR >= 3)
#define LOWRANK_ALLOCATE_CONST
#else
#define LOWRANK_ALLOCATE_CONST const
#endif

class Allocator : public c10::Allocator {
 public:
  c10::DataPtr allocate(std::size_t bytes) LOWRANK_ALLOCATE_CONST override {
    void* const data = bytes < kSmallest ? nullptr : arena().take(bytes, room_below);
    if (data == nullptr) return c10::GetDefaultCPUAllocator()->allocate(bytes);
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

void use_arena() {
  static const bool done = [] {
    static Allocator& allocator = *new Allocator;
    c10::SetCPUAllocator(&allocator);
    return true;
  }();
  static_cast<void>(done);
  arena().use();
}

void release_arena() {
  arena().release();
}

RoomBelow::RoomBelow(std::int64_t bytes, const void* leaving) {
  room_below = {static_cast<std::size_t>(bytes), leaving};
}

RoomBelow::~RoomBelow() {
  room_below = {};
}

std::int64_t arena_bytes() {
  return arena().bytes();
}

std::int64_t highest_arena_bytes(bool forget) {
  return arena().highest(forget);
}

std::int64_t arena_growths() {
  return arena().growths();
}

}  // namespace lowrank::tensor
