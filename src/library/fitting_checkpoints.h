// Which of the user's checkpoints a LoRA fits, for the sentences that refuse it on another one.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "formats/lora/lora_file.h"
#include "library/library.h"

namespace lowrank::library {

// Checkpoints of the same layers share the verdict, so that one of each layout is opened, and of it the header alone. Looked at
// when first asked; a checkpoint that cannot be read fits nothing. Lives no longer than the library, on whose index it stands.
class FittingCheckpoints {
 public:
  explicit FittingCheckpoints(const Library& library) : library_(library) {}

  // Their names in the order of all_checkpoints(), the starter last.
  std::vector<std::string> of(const formats::LoraFile& lora);
  // The same of a LoRA of the collection, whose verdicts the index keeps.
  const std::vector<std::string>& of(const Record& lora);

 private:
  struct Layout {
    std::filesystem::path example;
    std::optional<std::set<std::int64_t>> loras;  // Record::layout of those that fit, once asked for
  };
  void look();
  template <typename Fits>
  std::vector<std::string> names_where(const Fits& fits);

  const Library& library_;
  bool has_looked_ = false;
  std::map<std::int64_t, Layout> layouts_;
  std::vector<std::pair<std::string, std::int64_t>> checkpoints_;  // name, layout
  std::map<std::int64_t, std::vector<std::string>> known_;         // by the LoRA's layout
};

}  // namespace lowrank::library
