#include "pipeline/generate/lora_account.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/error.h"

namespace lowrank::pipeline {
namespace {

// One line per LoRA for the metadata: "NAME LoRA rank 8 264 of 264 modules".
std::string short_report(const adapter::ApplyReport& report) {
  std::string kinds;
  for (const auto& [kind, count] : report.kinds) kinds += fmt::format("{}{}", kinds.empty() ? "" : "+", kind);
  std::string text = fmt::format("{} {}", report.name, kinds);
  if (report.ranks.size() == 1) text += fmt::format(" rank {}", report.ranks.begin()->first);
  text += fmt::format(" {} of {} modules", report.unet.applied + report.text_encoder.applied,
                      report.unet.modules + report.text_encoder.modules);
  if (report.keys_skipped > 0) text += fmt::format(" {} keys skipped", report.keys_skipped);
  if (report.keys_unknown > 0) text += fmt::format(" {} keys unknown", report.keys_unknown);
  return text;
}

template <typename Item>
void add_once(std::vector<Item>& all, Item item) {
  if (std::ranges::find(all, item) == all.end()) all.push_back(std::move(item));
}

}  // namespace

void LoraAccount::note(const ActivePass& pass, GenerationResult& result) {
  ActiveLoras& loras = pass.loras();
  for (const auto& lora : loras.loaded()) add_once(lora_hashes_, {lora.name, lora.hash});
  for (const auto& report : loras.reports(adapter::Measure::kNo))
    add_once(short_reports_, short_report(report));
  for (const auto& lora : loras.missing())
    if (std::ranges::find(result.missing_loras, lora.name, &MissingLora::name) == result.missing_loras.end())
      result.missing_loras.push_back(lora);
  for (const auto& warning : loras.warnings()) add_once(result.warnings, warning);
  for (const auto& warning : pass.prompts().parsed.warnings) add_once(result.warnings, warning);
  for (const std::size_t used : pass.prompts().parsed.used_embeddings) {
    const Embedding& embedding = pass.prompts().embeddings[used];
    if (embedding.lora_version.empty()) add_once(embedding_hashes_, {embedding.name, embedding.short_hash()});
  }
}

void LoraAccount::report(const ActivePass& pass, GenerationResult& result) const {
  // A LoRA that two tags of one pass name stands there twice, as it acts; one that both passes have stands once.
  const auto before = result.loras;
  const auto release = [&] { pass.pass().model->loaded.release_mapped_weights(); };
  for (const auto& report : pass.loras().reports(adapter::Measure::kYes, release)) {
    // No weight makes that better, and what the latents become of it may look like a picture.
    if (report.not_finite > 0)
      throw Error(kBadInput,
                  "{}: contains NaN or infinite values in {} of its modules, and so does the picture; "
                  "remove the LoRA, or get another version of it.",
                  report.path, report.not_finite);
    const auto is_same = [&](const adapter::ApplyReport& other) {
      return other.path == report.path && other.unet.weight == report.unet.weight &&
             other.text_encoder.weight == report.text_encoder.weight;
    };
    if (std::ranges::none_of(before, is_same)) result.loras.push_back(report);
  }
}

}  // namespace lowrank::pipeline
