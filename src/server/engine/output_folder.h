// outputs/ of the data folder, as A1111 fills it: a sub-folder per kind and per day, files NUMBER-SEED.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "server/queue/job.h"

namespace lowrank::server {

struct OutputFile {
  std::string name;  // below outputs/, with '/'
  std::uintmax_t bytes = 0;
  double time = 0;  // Unix seconds
};

class OutputFolder {
 public:
  explicit OutputFolder(std::filesystem::path root) : root_(std::move(root)) {}

  // `kind` is A1111's folder, "txt2img-images". Returns the file.
  std::filesystem::path save(const std::string& kind, const EncodedPicture& picture,
                             const std::string& suffix);

  // The infotext beside a saved picture, as A1111's option save_txt does.
  void save_text(const std::filesystem::path& picture, const std::string& infotext);

  // Pictures below outputs/, newest first, `limit` behind the first `offset`; `total` is how many there are.
  std::vector<OutputFile> list(std::size_t limit, std::size_t offset, std::size_t& total) const;
  // The file that `name` means; nullopt when there is none, it is no picture, or it lies outside.
  std::optional<std::filesystem::path> find(const std::string& name) const;
  const std::filesystem::path& root() const { return root_; }

 private:
  const std::filesystem::path root_;
};

}  // namespace lowrank::server
