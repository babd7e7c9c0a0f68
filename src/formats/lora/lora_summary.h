// What the header of a LoRA file tells at a glance: family, kinds, rank, widths, metadata. Made for looking
// through thousands of files: no tensor byte is touched, and names met before are not taken apart again. What
// a file really holds, key by key, is lora_file.h's matter; for files without faults both say the same.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "formats/lora/lora_file.h"

namespace lowrank::formats {

struct LoraSummary {
  std::string architecture;  // "SD1", "SD2", "SDXL", or another model's name: "FLUX"; empty: not recognised
  std::string base_reason;   // "cross-attention is 768 wide"
  std::vector<AdapterKind> kinds;            // each once, in the order of the kind table
  std::int64_t rank_low = 0, rank_high = 0;  // 0 for kinds without a rank
  std::int64_t cross_width = 0;  // input width of the cross-attention's keys; 0: none of them is addressed
  std::int64_t text_width = 0;   // width of the text encoder's layers; 0: none is addressed
  std::int64_t unet_modules = 0, text_modules = 0;
  std::vector<std::string> embeddings;  // names of those that lie in the file, in its order
  std::map<std::string, std::string> metadata;
  std::int64_t header_digest = 0;  // of the header's bytes, for telling files apart; 0: a pickle
  // Of all that decides which layers of a model the file fits: equal for files that fit the same. 0: it has a problem.
  std::int64_t layout = 0;
  std::string problem;  // why LowRank cannot use the file; empty: it can
};

class LoraSummariser {
 public:
  LoraSummariser();
  ~LoraSummariser();

  // Never throws for what the file holds: `problem` says it. Not for several threads at once.
  LoraSummary read(const std::filesystem::path& path);

  struct Memory;  // of key names met before

 private:
  std::unique_ptr<Memory> memory_;
};

}  // namespace lowrank::formats
