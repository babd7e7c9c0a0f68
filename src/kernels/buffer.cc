#include "kernels/buffer.h"

#include <array>
#include <cstdlib>
#include <new>

#if defined(__linux__)
#include <sys/mman.h>
#endif

namespace lowrank::kernels {
namespace {

constexpr std::int64_t kCacheLine = 64;
constexpr std::int64_t kHugePage = 2 << 20;

}  // namespace

Buffer::Buffer(std::int64_t bytes, Pages pages) : bytes_(bytes) {
  if (bytes <= 0) return;
  const std::int64_t alignment = pages == Pages::kHuge && bytes >= 2 * kHugePage ? kHugePage : kCacheLine;
  const auto rounded = static_cast<std::size_t>((bytes + alignment - 1) / alignment * alignment);
  data_.reset(static_cast<std::byte*>(std::aligned_alloc(static_cast<std::size_t>(alignment), rounded)));
  if (data_ == nullptr) throw std::bad_alloc();
#if defined(__linux__)
  if (alignment == kHugePage) ::madvise(data_.get(), rounded, MADV_HUGEPAGE);
#endif
}

void Buffer::Free::operator()(std::byte* data) const {
  std::free(data);
}

std::byte* scratch(std::size_t slot, std::int64_t bytes) {
  thread_local std::array<Buffer, 4> buffers;
  Buffer& buffer = buffers.at(slot);
  if (buffer.bytes() < bytes) {
    buffer = Buffer();
    buffer = Buffer(bytes);
  }
  return buffer.data();
}

}  // namespace lowrank::kernels
