// Writes pickles and zip archives piece by piece, right or wrong, for the tests of the pickle reader. Opcodes
// by the names of Python's pickletools.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "weights/crafted.h"

namespace lowrank::weights {

namespace pickle {

inline const std::string kProto = "\x80\x02", kStop = ".", kMark = "(", kEmptyDict = "}", kSetItems = "u",
                         kSetItem = "s", kEmptyTuple = ")", kReduce = "R", kPersId = "Q", kTuple = "t",
                         kNone = "N", kFalse = "\x89", kBuild = "b", kEmptyList = "]", kAppend = "a",
                         kTuple1 = "\x85", kTuple2 = "\x86";

inline std::string text(std::string_view value) {
  return "X" + little(static_cast<std::uint32_t>(value.size())) + std::string(value);
}
inline std::string number(std::int64_t value) {
  return "\x8a\x08" + little(value);
}
inline std::string global(std::string_view module, std::string_view name) {
  return "c" + std::string(module) + "\n" + std::string(name) + "\n";
}
inline std::string tuple(const std::vector<std::string>& items) {
  std::string all = kMark;
  for (const auto& item : items) all += item;
  return all + kTuple;
}
inline std::string numbers(const std::vector<std::int64_t>& values) {
  std::vector<std::string> items;
  for (const auto value : values) items.push_back(number(value));
  return tuple(items);
}
inline std::string storage(const std::string& type, const std::string& key, std::int64_t elements) {
  return tuple({text("storage"), global("torch", type), text(key), text("cpu"), number(elements)}) + kPersId;
}
inline std::string tensor(const std::string& from, std::int64_t offset, const std::vector<std::int64_t>& size,
                          const std::vector<std::int64_t>& stride) {
  return global("torch._utils", "_rebuild_tensor_v2") +
         tuple({from, number(offset), numbers(size), numbers(stride), kFalse,
                global("collections", "OrderedDict") + kEmptyTuple + kReduce}) +
         kReduce;
}
// A whole pickle of a dictionary with one key.
inline std::string dictionary(const std::string& value, const std::string& key = "w") {
  return kProto + kEmptyDict + text(key) + value + kSetItem + kStop;
}

}  // namespace pickle

struct ZipMember {
  std::string name, data;
  std::uint16_t method = 0, flags = 0;
  bool is_zip64 = false;
  std::string local_name = {};  // if the local header is to differ
};

inline std::string zip_bytes(const std::vector<ZipMember>& members, const std::string& comment = "") {
  std::string body, directory;
  for (const ZipMember& member : members) {
    const auto offset = static_cast<std::uint32_t>(body.size());
    const auto size = static_cast<std::uint32_t>(member.data.size());
    const std::string& local = member.local_name.empty() ? member.name : member.local_name;
    const std::string common = little(std::uint16_t{20}) + little(member.flags) + little(member.method) +
                               little(std::uint32_t{0}) + little(std::uint32_t{0});
    body += "PK\x03\x04" + common + little(size) + little(size) +
            little(static_cast<std::uint16_t>(local.size())) + little(std::uint16_t{0}) + local + member.data;
    std::string extra;
    std::string numbers = little(size) + little(size);
    std::uint32_t place = offset;
    if (member.is_zip64) {
      numbers = little(~0u) + little(~0u);
      place = ~0u;
      extra = little(std::uint16_t{1}) + little(std::uint16_t{24}) + little(std::uint64_t{size}) +
              little(std::uint64_t{size}) + little(std::uint64_t{offset});
    }
    directory += "PK\x01\x02" + little(std::uint16_t{20}) + common + numbers +
                 little(static_cast<std::uint16_t>(member.name.size())) +
                 little(static_cast<std::uint16_t>(extra.size())) + little(std::uint16_t{0}) +
                 little(std::uint16_t{0}) + little(std::uint16_t{0}) + little(std::uint32_t{0}) +
                 little(place) + member.name + extra;
  }
  const auto count = static_cast<std::uint16_t>(members.size());
  return body + directory + "PK\x05\x06" + little(std::uint32_t{0}) + little(count) + little(count) +
         little(static_cast<std::uint32_t>(directory.size())) +
         little(static_cast<std::uint32_t>(body.size())) +
         little(static_cast<std::uint16_t>(comment.size())) + comment;
}

// What torch.save writes around a pickle whose one storage "0" is `data`.
inline std::string archive(const std::string& program, const std::string& data = "") {
  return zip_bytes(
      {{"a/data.pkl", program}, {"a/byteorder", "little"}, {"a/data/0", data}, {"a/version", "3\n"}});
}

// The same in the form before PyTorch 1.6.
inline std::string legacy(const std::string& program, const std::string& data, std::int64_t elements,
                          const std::string& is_little_endian = "\x88") {
  using namespace pickle;
  const std::string magic = std::string("\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.", 15);
  const std::string protocol = kProto + std::string("M\xe9\x03.", 4);
  const std::string system =
      kProto + kEmptyDict + text("little_endian") + is_little_endian + kSetItem + kStop;
  const std::string keys = kProto + kEmptyList + text("0") + kAppend + kStop;
  return magic + protocol + system + program + keys + little(elements) + data;
}

}  // namespace lowrank::weights
