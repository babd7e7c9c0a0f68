// The folder of the packed cache: which file belongs to which model, how much all may take, and which go when room is
// needed. The folder may be deleted at any time.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace lowrank::pipeline {

class PackedFolder {
 public:
  // `limit`: bytes of all files; nullopt: half of what the disk has free, the folder's own files counted as free.
  PackedFolder(std::filesystem::path folder, std::optional<std::int64_t> limit);

  // The files that follow are those of one model: none of them goes to make room for another.
  void begin_model(std::string_view name);

  // The file under that key, whatever its model was called then; else where it is to be.
  std::filesystem::path path_of(const std::string& key) const;
  // Its use is noted.
  void touch(const std::filesystem::path& file) const;

  // Files that were used longest ago go until `wanted` more bytes find room. What a program that died left half-written goes
  // too, after a day. False, and nothing goes, where the model's own files leave no room.
  bool make_room(std::int64_t wanted);

  void note_unwritable(std::int64_t bytes);
  // What was dropped, and what could not be kept, since the last call: one sentence each.
  std::vector<std::string> take_notes();

 private:
  std::int64_t limit_now(std::int64_t held) const;

  std::filesystem::path folder_;
  std::optional<std::int64_t> limit_;
  std::string model_;
  std::filesystem::file_time_type begun_{};
  std::map<std::string, std::int64_t> dropped_, too_large_, unwritable_;  // bytes by model
  std::int64_t limit_then_ = 0;
};

}  // namespace lowrank::pipeline
