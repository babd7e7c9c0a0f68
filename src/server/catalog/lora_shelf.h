// The LoRAs of the data folder with what their files and sidecars say, read once and again when they change.
// Safe to use from any thread.
#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "library/data_dir.h"
#include "library/lora_card.h"
#include "library/lora_folder.h"

namespace lowrank::server {

struct LoraFacts {
  library::LoraPlace place;
  std::uintmax_t bytes = 0;
  double time = 0;
  std::map<std::string, std::string> metadata;
  library::LoraCard card;
  std::string type;                   // character, style, concept, pose, clothing, object …; "" not said
  int rating = 0;                     // 0 … 5; 0: none
  std::string kind, rank;             // "LoRA+LoCon", "8" or "4 to 16"
  std::string family, family_reason;  // "SD 1.x", "cross-attention is 768 wide"
  bool fits = false;                  // the checkpoints that LowRank runs
  std::string error;                  // one sentence when the file cannot be used
};

class LoraShelf {
 public:
  explicit LoraShelf(library::DataDir data) : data_(std::move(data)) {}

  std::vector<std::shared_ptr<const LoraFacts>> all();
  // By the name that a prompt may use.
  std::shared_ptr<const LoraFacts> find(const std::string& name);

  struct Edit {
    std::optional<std::string> note, type, activation_text, negative_text;
    std::optional<int> rating;
    std::optional<double> preferred_weight;
  };
  // Changes what the sidecar NAME.json says, as A1111 keeps it; other entries stay as they are. Throws
  // Error(kIo).
  void edit(const LoraFacts& lora, const Edit& edit);

 private:
  std::shared_ptr<const LoraFacts> facts(const library::LoraPlace& place);

  const library::DataDir data_;
  std::mutex mutex_;  // guards known_
  std::map<std::filesystem::path, std::pair<std::string, std::shared_ptr<const LoraFacts>>>
      known_;  // version, facts
};

}  // namespace lowrank::server
