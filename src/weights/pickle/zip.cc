#include "weights/pickle/zip.h"

#include <cstdint>
#include <cstring>
#include <optional>
#include <string_view>

#include "base/checked.h"
#include "weights/pickle/refusal.h"

namespace lowrank::weights {
namespace {

using Bytes = std::span<const std::byte>;

constexpr std::uint32_t kLocalHeader = 0x04034b50, kCentralHeader = 0x02014b50, kEnd = 0x06054b50;
constexpr std::uint32_t kEnd64 = 0x06064b50, kEnd64Locator = 0x07064b50;
constexpr std::size_t kLocalBytes = 30, kCentralBytes = 46, kEndBytes = 22, kEnd64Bytes = 56,
                      kLocatorBytes = 20;
constexpr std::uint64_t kMaxMembers = 1'000'000;
constexpr std::uint16_t kEncrypted = 1u << 0, kStrongEncryption = 1u << 6, kMaskedHeader = 1u << 13;

struct Directory {
  std::uint64_t offset = 0, size = 0, members = 0;
};

struct Member {
  std::string_view name;
  std::uint64_t header_offset = 0, size = 0;
};

class ZipReader {
 public:
  ZipReader(Bytes archive, const std::string& label) : archive_(archive), label_(label) {}

  std::map<std::string, Bytes, std::less<>> members() {
    const Directory directory = find_directory();
    std::map<std::string, Bytes, std::less<>> found;
    std::uint64_t at = directory.offset;
    const std::uint64_t end = directory.offset + directory.size;
    for (std::uint64_t i = 0; i < directory.members; ++i) {
      const Member member = next_member(at, end);
      check_name(member.name);
      if (!found.emplace(member.name, data_of(member, directory.offset)).second)
        refuse_pickle(label_, "two members of the archive are named '{}'", member.name);
    }
    if (at != end) refuse_pickle(label_, "the archive's directory has more entries than it declares");
    return found;
  }

 private:
  template <typename T>
  T number(std::uint64_t at) const {
    if (!range_fits(at, sizeof(T), archive_.size())) refuse_pickle(label_, "the archive is truncated");
    T value;
    std::memcpy(&value, archive_.data() + at, sizeof(T));
    return value;
  }
  std::uint16_t u16(std::uint64_t at) const { return number<std::uint16_t>(at); }
  std::uint32_t u32(std::uint64_t at) const { return number<std::uint32_t>(at); }
  std::uint64_t u64(std::uint64_t at) const { return number<std::uint64_t>(at); }

  std::string_view text(std::uint64_t at, std::uint64_t size) const {
    if (!range_fits(at, size, archive_.size())) refuse_pickle(label_, "the archive is truncated");
    return {reinterpret_cast<const char*>(archive_.data()) + at, static_cast<std::size_t>(size)};
  }

  // The end record may be followed by a comment, whose length it states.
  std::uint64_t find_end() const {
    if (archive_.size() < kEndBytes) refuse_pickle(label_, "the archive is truncated");
    const std::uint64_t last = archive_.size() - kEndBytes;
    for (std::uint64_t back = 0; back <= 0xFFFF && back <= last; ++back) {
      const std::uint64_t at = last - back;
      if (u32(at) == kEnd && u16(at + 20) == back) return at;
    }
    refuse_pickle(label_, "the archive has no directory; it is truncated");
  }

  Directory find_directory() const {
    const std::uint64_t end = find_end();
    if (u16(end + 4) != 0 || u16(end + 6) != 0) refuse_pickle(label_, "the archive spans several disks");
    Directory directory{.offset = u32(end + 16), .size = u32(end + 12), .members = u16(end + 10)};
    std::uint64_t expected_end = end;
    if (end >= kLocatorBytes && u32(end - kLocatorBytes) == kEnd64Locator) {
      const std::uint64_t record = u64(end - kLocatorBytes + 8);
      if (!range_fits(record, kEnd64Bytes, end - kLocatorBytes) || u32(record) != kEnd64)
        refuse_pickle(label_, "the archive's zip64 record is invalid");
      if (u32(record + 16) != 0 || u32(record + 20) != 0)
        refuse_pickle(label_, "the archive spans several disks");
      directory = {.offset = u64(record + 48), .size = u64(record + 40), .members = u64(record + 32)};
      expected_end = record;
    }
    if (!range_fits(directory.offset, directory.size, archive_.size()) ||
        directory.offset + directory.size != expected_end)
      refuse_pickle(label_, "the archive's directory is at the wrong position");
    if (directory.members > kMaxMembers)
      refuse_pickle(label_, "the archive has {} members", directory.members);
    return directory;
  }

  Member next_member(std::uint64_t& at, std::uint64_t end) const {
    if (!range_fits(at, kCentralBytes, end) || u32(at) != kCentralHeader)
      refuse_pickle(label_, "the archive's directory is invalid");
    const std::uint16_t flags = u16(at + 8), method = u16(at + 10);
    const std::uint64_t name_size = u16(at + 28), extra_size = u16(at + 30), comment_size = u16(at + 32);
    const std::uint64_t total = kCentralBytes + name_size + extra_size + comment_size;
    if (!range_fits(at, total, end)) refuse_pickle(label_, "the archive's directory is invalid");
    Member member{
        .name = text(at + kCentralBytes, name_size), .header_offset = u32(at + 42), .size = u32(at + 24)};
    if ((flags & (kEncrypted | kStrongEncryption | kMaskedHeader)) != 0)
      refuse_pickle(label_, "a member of the archive is encrypted");
    if (method != 0) refuse_pickle(label_, "a member of the archive is compressed (method {})", method);
    std::uint64_t packed = u32(at + 20), disk = u16(at + 34);
    read_zip64(at + kCentralBytes + name_size, extra_size, member, packed, disk);
    if (packed != member.size)
      refuse_pickle(label_, "an uncompressed member of the archive has two different sizes");
    if (disk != 0) refuse_pickle(label_, "the archive spans several disks");
    at += total;
    return member;
  }

  // The zip64 extra field holds, in this order, those of four fields that are all ones in the entry.
  void read_zip64(std::uint64_t at, std::uint64_t size, Member& member, std::uint64_t& packed,
                  std::uint64_t& disk) const {
    const std::uint64_t end = at + size;
    const bool is_needed =
        member.size == 0xFFFFFFFF || packed == 0xFFFFFFFF || member.header_offset == 0xFFFFFFFF;
    while (end - at >= 4) {
      const std::uint16_t id = u16(at);
      const std::uint64_t length = u16(at + 2);
      at += 4;
      if (length > end - at) refuse_pickle(label_, "an extra field of the archive is invalid");
      if (id == 1) {
        std::uint64_t field = at;
        const auto take = [&](std::uint64_t& value, std::uint64_t marker, std::uint64_t width) {
          if (value != marker) return;
          if (at + length - field < width) refuse_pickle(label_, "a zip64 field of the archive is too short");
          value = width == 8 ? u64(field) : u32(field);
          field += width;
        };
        take(member.size, 0xFFFFFFFF, 8);
        take(packed, 0xFFFFFFFF, 8);
        take(member.header_offset, 0xFFFFFFFF, 8);
        take(disk, 0xFFFF, 4);
        return;
      }
      at += length;
    }
    if (is_needed) refuse_pickle(label_, "a large member of the archive lacks its zip64 field");
  }

  void check_name(std::string_view name) const {
    const bool is_odd = name.empty() || name.front() == '/' || name.find('\\') != std::string_view::npos ||
                        name.find('\0') != std::string_view::npos || name.find(':') != std::string_view::npos;
    bool climbs = false;
    for (std::size_t begin = 0; begin <= name.size();) {
      const std::size_t stop = std::min(name.find('/', begin), name.size());
      climbs = climbs || name.substr(begin, stop - begin) == "..";
      begin = stop + 1;
    }
    if (is_odd || climbs) refuse_pickle(label_, "a member of the archive has a path outside the archive");
  }

  Bytes data_of(const Member& member, std::uint64_t directory) const {
    const std::uint64_t at = member.header_offset;
    if (!range_fits(at, kLocalBytes, directory) || u32(at) != kLocalHeader)
      refuse_pickle(label_, "'{}' is not where the archive's directory says", member.name);
    const std::uint64_t name_size = u16(at + 26), extra_size = u16(at + 28);
    const std::uint64_t data = at + kLocalBytes + name_size + extra_size;
    if (text(at + kLocalBytes, name_size) != member.name || u16(at + 8) != 0 ||
        (u16(at + 6) & kEncrypted) != 0)
      refuse_pickle(label_, "'{}' has contradictory headers in the archive", member.name);
    if (!range_fits(data, member.size, directory))
      refuse_pickle(label_, "'{}' extends beyond the archive", member.name);
    return archive_.subspan(static_cast<std::size_t>(data), static_cast<std::size_t>(member.size));
  }

  Bytes archive_;
  const std::string& label_;
};

}  // namespace

std::map<std::string, std::span<const std::byte>, std::less<>> read_stored_zip(
    std::span<const std::byte> archive, const std::string& label) {
  return ZipReader(archive, label).members();
}

}  // namespace lowrank::weights
