#include "pipeline/resident/packed_cache.h"

#include <ATen/ATen.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "base/error.h"
#include "base/mapped_file.h"
#include "base/mapping_guard.h"
#include "base/sha256.h"
#include "kernels/product/packed_weights.h"

namespace lowrank::pipeline {
namespace {

namespace fs = std::filesystem;

constexpr std::int64_t kPage = 4096, kLine = 64;

struct Place {
  const model::Layer* layer;
  std::int64_t offset, bytes;
};

struct Plan {
  std::vector<Place> places;
  std::string header;
  std::int64_t bytes = 0;  // of the file
};

Plan plan_of(const model::LayerMap& layers) {
  Plan plan;
  std::int64_t at = 0;
  std::string lines;
  for (const auto& [path, layer] : layers) {
    const std::int64_t bytes = layer->prepared_bytes();
    if (bytes == 0) continue;
    plan.places.push_back({layer.get(), at, bytes});
    lines += fmt::format("{} {} {} {} {} {} {}\n", formats::component_name(layer->address().component), path,
                         fmt::join(layer->weight().sizes(), "x"), at::toString(layer->weight().scalar_type()),
                         layer->geometry().gated, at, bytes);
    at += kernels::round_up(bytes, kLine);
  }
  plan.header = fmt::format("LowRank packed weights 3, panels of {}\n{}\n", kernels::kPanel, lines);
  const std::int64_t start = kernels::round_up(static_cast<std::int64_t>(plan.header.size()), kPage);
  plan.header.resize(static_cast<std::size_t>(start), ' ');
  for (Place& place : plan.places) place.offset += start;
  plan.bytes = start + at;
  return plan;
}

// What tells checkpoints apart without reading them: their headers, sizes, times and places on disk, as they were when they
// were opened. What lies at their paths now may be another file.
std::optional<std::string> key_of(std::span<const std::shared_ptr<const weights::TensorFile>> files,
                                  const std::string& header) {
  std::string text = header;
  for (const auto& file : files) {
    if (!file->identity().exists()) return std::nullopt;
    const auto head = file->file_bytes().first(file->data_offset());
    text += fmt::format("{} {} ", head.size(), file->identity().text());
    text.append(reinterpret_cast<const char*>(head.data()), head.size());
  }
  return sha256_hex(std::as_bytes(std::span(text.data(), text.size()))).substr(0, 32);
}

std::shared_ptr<const MappedFile> valid(const fs::path& path, const Plan& plan) {
  std::error_code failure;
  if (!fs::is_regular_file(path, failure)) return nullptr;
  try {
    auto file = MappedFile::open(path);
    const auto bytes = file->bytes();
    if (static_cast<std::int64_t>(bytes.size()) != plan.bytes) return nullptr;
    if (std::memcmp(bytes.data(), plan.header.data(), plan.header.size()) != 0) return nullptr;
    return file;
  } catch (const Error&) {
    return nullptr;
  }
}

// A file of a given size that is not there yet, mapped for writing.
class NewFile {
 public:
  // Null when there is no room, or no right to write.
  static std::shared_ptr<NewFile> make(const fs::path& target, std::int64_t bytes) {
    auto file = std::shared_ptr<NewFile>(new NewFile);
    file->target_ = target;
    file->temporary_ = target.string() + fmt::format(".part-{}", ::getpid());
    file->descriptor_ = ::open(file->temporary_.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (file->descriptor_ < 0) return nullptr;
    // Without its blocks, a full disk would be met as a signal in the middle of packing.
    if (::posix_fallocate(file->descriptor_, 0, bytes) != 0) return nullptr;
    void* const data = ::mmap(nullptr, static_cast<std::size_t>(bytes), PROT_READ | PROT_WRITE, MAP_SHARED,
                              file->descriptor_, 0);
    if (data == MAP_FAILED) return nullptr;
    file->bytes_ = {static_cast<std::byte*>(data), static_cast<std::size_t>(bytes)};
    file->guard_.emplace(file->bytes_, MappingGuard::Access::kReadAndWrite);
    return file;
  }
  ~NewFile() {
    guard_.reset();
    if (bytes_.data() != nullptr) ::munmap(bytes_.data(), bytes_.size());
    if (descriptor_ < 0) return;
    ::close(descriptor_);
    if (!is_in_place_) ::unlink(temporary_.c_str());
  }
  NewFile(const NewFile&) = delete;
  NewFile& operator=(const NewFile&) = delete;

  std::span<std::byte> bytes() const { return bytes_; }
  void require_unchanged() const {
    if (guard_->is_damaged())
      throw Error(kConflict, "{}: the cache file was truncated while it was in use; try again.",
                  target_.string());
  }
  void put_in_place() {
    is_in_place_ = !guard_->is_damaged() && ::fsync(descriptor_) == 0 &&
                   ::rename(temporary_.c_str(), target_.c_str()) == 0;
  }

 private:
  NewFile() = default;
  fs::path target_, temporary_;
  int descriptor_ = -1;
  std::span<std::byte> bytes_;
  std::optional<MappingGuard> guard_;
  bool is_in_place_ = false;
};

}  // namespace

void Pauses::after(std::int64_t bytes) {
  constexpr std::int64_t kBetween = std::int64_t{128} << 20;
  read_ += bytes;
  if (read_ < kBetween) return;
  between_();
  read_ = 0;
}

void KeptWeights::release() const {
  release_pages(bytes);
}

PackedCache::~PackedCache() = default;

weights::HashMemo PackedCache::hash_memo() const {
  return weights::HashMemo(is_off() ? "" : options_.folder / "hashes.txt");
}

std::optional<KeptWeights> PackedCache::keep(
    const model::LayerMap& layers, std::span<const std::shared_ptr<const weights::TensorFile>> files,
    const std::function<void()>& between) {
  const Plan plan = plan_of(layers);
  if (is_off() || plan.bytes < options_.least_bytes) return std::nullopt;
  const auto key = key_of(files, plan.header);
  if (!key) return std::nullopt;
  const auto part = [](const auto& bytes, const Place& place) {
    return bytes.subspan(static_cast<std::size_t>(place.offset), static_cast<std::size_t>(place.bytes));
  };
  const fs::path path = folder_.path_of(*key);
  if (const auto found = valid(path, plan)) {
    for (const Place& place : plan.places) place.layer->adopt_prepared({part(found->bytes(), place), found});
    folder_.touch(path);
    return KeptWeights{.bytes = found->bytes(), .owner = found, .require_unchanged = [found] {
                         if (found->is_damaged())
                           throw Error(kConflict,
                                       "{}: the cache file was truncated while it was in use; try again.",
                                       found->path().string());
                       }};
  }
  if (!folder_.make_room(plan.bytes)) return std::nullopt;
  const auto made = NewFile::make(path, plan.bytes);
  if (!made) {
    folder_.note_unwritable(plan.bytes);
    return std::nullopt;
  }
  std::ranges::copy(std::as_bytes(std::span(plan.header)), made->bytes().begin());
  const std::function<void()> release = [&] {
    between();
    release_pages(made->bytes());
  };
  Pauses pauses(release);
  for (const Place& place : plan.places) {
    place.layer->prepare_in({part(made->bytes(), place), made});
    pauses.after(place.bytes);
  }
  release();
  for (const auto& file : files) file->require_unchanged();
  writers_.emplace_back([made] { made->put_in_place(); });
  return KeptWeights{
      .bytes = made->bytes(), .owner = made, .require_unchanged = [made] { made->require_unchanged(); }};
}

}  // namespace lowrank::pipeline
