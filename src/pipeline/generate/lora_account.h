// What the LoRAs and embeddings of all passes of a request did, each told once: for the metadata of its pictures and
// for the result.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "pipeline/generate/active_pass.h"
#include "pipeline/result.h"

namespace lowrank::pipeline {

class LoraAccount {
 public:
  // Notes what `pass` brought: hashes, short reports, what is missing, warnings.
  void note(const ActivePass& pass, GenerationResult& result);
  // Adds the pass's whole reports to the result. Measuring reads the LoRAs' weights, a second for a large model: once a
  // request, while the pass is active. Throws Error(kBadInput) for a LoRA that holds
  // values that are not finite.
  void report(const ActivePass& pass, GenerationResult& result) const;

  using Hashes = std::vector<std::pair<std::string, std::string>>;
  const Hashes& lora_hashes() const { return lora_hashes_; }  // name → hash, in prompt order
  const Hashes& embedding_hashes() const { return embedding_hashes_; }
  const std::vector<std::string>& short_reports() const { return short_reports_; }

 private:
  Hashes lora_hashes_, embedding_hashes_;
  std::vector<std::string> short_reports_;
};

}  // namespace lowrank::pipeline
