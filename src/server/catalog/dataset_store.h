// Training sets: each folder of `train/` in the data folder is one, laid out as training/data/dataset.h says. The trainer
// stops at the first thing that is wrong; here each picture is looked at by itself, so that a person sees all of it.
// No name leads out of `train/`, links resolved. Safe to use from any thread.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "library/data_dir.h"
#include "training/data/dataset.h"

namespace lowrank::server {

inline constexpr std::int64_t kMaxRepeats = 10'000;  // of a folder's pictures, per epoch

struct SetPicture {
  std::string file;  // "10_my cat/001.png"
  std::size_t folder = 0;
  std::optional<std::string> caption;  // of its own; without one the folder's trigger words count
  training::PixelSize size;            // 0×0: cannot be read
  std::uintmax_t bytes = 0;
  double time = 0;    // Unix seconds
  std::string fault;  // why the trainer would refuse it; "" it would not
};

struct TrainingSet {
  std::string name;
  std::filesystem::path path;
  std::vector<training::Subset> folders;
  std::vector<SetPicture> pictures;  // by folder, then file name
  std::vector<std::string> faults;   // of the set itself, one sentence each
};

class DatasetStore {
 public:
  explicit DatasetStore(const library::DataDir& data) : root_(data.root / "train") {}

  std::vector<std::string> names() const;
  // These throw Refusal 404 when there is no such set, folder or picture.
  TrainingSet open(const std::string& name);
  std::filesystem::path picture(const std::string& name, const std::string& file) const;

  // Folder `repeats`_`trigger` in a new set. Throws Refusal 422 naming the field, 409 when the set is there.
  void create(const std::string& name, const std::string& trigger, std::int64_t repeats);
  // Gives a folder of the set other repeats and trigger words.
  void rename_folder(const std::string& name, const std::string& folder, const std::string& trigger,
                     std::int64_t repeats);
  // `bytes` must be a PNG, JPEG or WebP picture; its ending follows. Returns the new SetPicture::file; a name that is
  // taken gets a number. An empty `folder` means the first.
  std::string add_picture(const std::string& name, const std::string& folder, const std::string& file_name,
                          std::string_view bytes);
  // nullopt removes the picture's own caption.
  void write_caption(const std::string& name, const std::string& file,
                     const std::optional<std::string>& caption);
  // With its caption, unless another picture of the same stem shares it.
  void remove_picture(const std::string& name, const std::string& file);

 private:
  struct Known {
    std::uintmax_t bytes = 0;
    double time = 0;
    training::PixelSize size;
    std::string fault;
  };
  std::filesystem::path set_folder(const std::string& name) const;
  void add_folder(TrainingSet& set, const std::filesystem::path& folder);
  Known look_at(const std::filesystem::path& picture);

  const std::filesystem::path root_;
  std::mutex mutex_;  // guards known_, and that a name is taken once
  std::map<std::filesystem::path, Known> known_;
};

}  // namespace lowrank::server
