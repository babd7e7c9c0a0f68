#include "base/mapping_guard.h"

#include <sys/mman.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstdint>
#include <mutex>

namespace lowrank {
namespace {

// Read by the signal handler, which may take no lock: a slot counts from the moment when `begin` is set, last.
struct Slot {
  std::atomic<std::uintptr_t> begin{0};  // 0: free, 1: being filled
  std::atomic<std::size_t> size{0};
  std::atomic<bool> is_writable{false}, is_damaged{false};
};
constexpr std::size_t kSlots = 4096;
std::array<Slot, kSlots> slots;
static_assert(std::atomic<std::uintptr_t>::is_always_lock_free && std::atomic<bool>::is_always_lock_free);

struct sigaction previous {};
std::atomic<std::uintptr_t> page_size{4096};

// Zeros from the page that is missing to the end of its mapping: what is wanted of it was gone too.
bool put_zeros(std::uintptr_t address) {
  for (Slot& slot : slots) {
    const std::uintptr_t begin = slot.begin.load(std::memory_order_acquire);
    if (begin <= 1 || address < begin || address - begin >= slot.size.load()) continue;
    const std::uintptr_t page = address - address % page_size.load();
    const int access = slot.is_writable.load() ? PROT_READ | PROT_WRITE : PROT_READ;
    void* const made = ::mmap(reinterpret_cast<void*>(page), begin + slot.size.load() - page, access,
                              MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE, -1, 0);
    if (made == MAP_FAILED) return false;
    slot.is_damaged.store(true);
    return true;
  }
  return false;
}

void on_bus_error(int signal, siginfo_t* info, void* context) {
  const int error = errno;
  if (put_zeros(reinterpret_cast<std::uintptr_t>(info->si_addr))) {
    errno = error;
    return;
  }
  // None of ours: what happened before this handler was there happens now.
  if ((previous.sa_flags & SA_SIGINFO) != 0 && previous.sa_sigaction != nullptr) {
    previous.sa_sigaction(signal, info, context);
  } else if (previous.sa_handler != SIG_DFL && previous.sa_handler != SIG_IGN) {
    previous.sa_handler(signal);
  } else {
    struct sigaction usual {};
    usual.sa_handler = SIG_DFL;
    ::sigaction(signal, &usual, nullptr);  // the read happens again, and ends the program
  }
}

void install_handler() {
  static std::once_flag once;
  std::call_once(once, [] {
    page_size = static_cast<std::uintptr_t>(::sysconf(_SC_PAGESIZE));
    struct sigaction action {};
    action.sa_sigaction = on_bus_error;
    action.sa_flags = SA_SIGINFO | SA_ONSTACK;
    sigemptyset(&action.sa_mask);
    ::sigaction(SIGBUS, &action, &previous);
  });
}

}  // namespace

MappingGuard::MappingGuard(std::span<const std::byte> mapped, Access access) {
  if (mapped.empty()) return;
  install_handler();
  for (std::size_t i = 0; i < kSlots; ++i) {
    std::uintptr_t expected = 0;
    if (!slots[i].begin.compare_exchange_strong(expected, 1)) continue;
    slots[i].size = mapped.size();
    slots[i].is_writable = access == Access::kReadAndWrite;
    slots[i].is_damaged = false;
    slots[i].begin.store(reinterpret_cast<std::uintptr_t>(mapped.data()), std::memory_order_release);
    slot_ = static_cast<int>(i);
    return;
  }
}

MappingGuard::~MappingGuard() {
  if (slot_ >= 0) slots[static_cast<std::size_t>(slot_)].begin.store(0, std::memory_order_release);
}

bool MappingGuard::is_damaged() const {
  return slot_ >= 0 && slots[static_cast<std::size_t>(slot_)].is_damaged.load();
}

}  // namespace lowrank
