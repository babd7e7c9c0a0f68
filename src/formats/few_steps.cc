#include "formats/few_steps.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <vector>

#include "base/text/text.h"
#include "formats/hashes.h"

namespace lowrank::formats {
namespace {

// A name's parts in lower case: split at all but letters and digits, where a capital follows a small letter or a digit, and before
// the last of several capitals that a small letter follows ("XILightning"). A step count, "4step" or "8-steps", becomes "#step"
// and a number.
struct NameParts {
  std::vector<std::string> words;
  std::optional<int> steps;

  bool has(std::string_view word) const {
    return word == "#step" ? steps.has_value() : std::ranges::find(words, word) != words.end();
  }
};

bool is_small(char c) {
  return c >= 'a' && c <= 'z';
}
bool is_alpha(char c) {
  return is_small(c) || (c >= 'A' && c <= 'Z');
}
bool is_capital(char c) {
  return c >= 'A' && c <= 'Z';
}
bool is_numeral(char c) {
  return c >= '0' && c <= '9';
}

std::optional<int> whole(std::string_view text) {
  int number = 0;
  const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (problem != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return number;
}

NameParts parts_of(std::string_view name) {
  NameParts parts;
  std::string word;
  const auto finish = [&] {
    if (!word.empty()) parts.words.push_back(lowrank::lower(word));
    word.clear();
  };
  for (std::size_t i = 0; i < name.size(); ++i) {
    const char c = name[i];
    const bool is_part = is_alpha(c) || is_numeral(c);
    const bool begins = i + 2 < name.size() && is_small(name[i + 1]) && is_small(name[i + 2]);
    const bool turns = !word.empty() && is_capital(c) && (!is_capital(word.back()) || begins);
    if (!is_part || turns) finish();
    if (is_part) word += c;
  }
  finish();
  for (std::size_t i = 0; i < parts.words.size() && !parts.steps; ++i) {
    const std::string& at = parts.words[i];
    const bool is_step_word = at == "step" || at == "steps";
    if (is_step_word && i > 0) parts.steps = whole(parts.words[i - 1]);
    for (const std::string_view tail : {"steps", "step"})
      if (!parts.steps && !is_step_word && at.ends_with(tail))
        parts.steps = whole(std::string_view(at).substr(0, at.size() - tail.size()));
    if (parts.steps && (*parts.steps < 1 || *parts.steps > 100)) parts.steps.reset();
  }
  return parts;
}

// Alternatives behind '|', each of words that must all be there.
bool matches(std::string_view pattern, const NameParts& parts) {
  while (!pattern.empty()) {
    std::string_view one = pattern.substr(0, pattern.find('|'));
    pattern.remove_prefix(std::min(pattern.size(), one.size() + 1));
    bool all = true;
    while (!one.empty()) {
      const std::string_view word = one.substr(0, one.find(' '));
      one.remove_prefix(std::min(one.size(), word.size() + 1));
      all = all && parts.has(word);
    }
    if (all) return true;
  }
  return false;
}

struct FewStepRow {
  std::string_view method;
  std::string_view names;             // as matches() takes them, of any file
  std::string_view checkpoint_names;  // further ones that mean it in a checkpoint's name alone
  FewStepAdvice advice;
  bool counts_steps = false;                    // a number of steps in the name is the advised one
  bool only_counted = false;                    // and no other fits
  std::array<std::string_view, 6> hashes = {};  // AutoV3 of published LoRAs whose files may have any name
  std::string_view caution = {};
};

constexpr std::array<std::string_view, 4> kTrailing = {"Trailing", "SGM Uniform"},
                                          kConsistency = {"LCM", "Trailing", "SGM Uniform", "Uniform"};

// The first row that matches counts, so the special ones come first. What fits is what the publishers write, on huggingface.co
// unless said otherwise; a guidance of 0 there is a CFG scale of 1 here.
//   latent-consistency/lcm-lora-sdv1-5, -sdxl, -ssd-1b   2 to 8 steps, guidance off or 1 to 2
//   h1t/TCD-SD15-LoRA, -SD21-base-, -SDXL-   any number of steps, guidance 0, eta 0.3, which is the sampler's default
//   ByteDance/Hyper-SD   N steps with DDIM and trailing spacing, guidance 0; the 1-step LoRA with TCD and eta 1 at any number; CFG
//                        LoRAs at guidance 5 to 8; the 1-step U-Net at timestep 800 alone
//   ByteDance/SDXL-Lightning   Euler, trailing (ComfyUI: sgm_uniform), guidance 0, and always the number of steps in the name; the
//                              1-step checkpoint predicts the picture itself
//   wangfuyun/PCM_Weights   steps and guidance of each file in the demo that its page links to, radames/Phased-Consistency-Model-PCM,
//                           which takes TCD; the training code of G-U-N/Phased-Consistency-Model on GitHub samples with DDIM
//   tianweiy/DMD2   LCM at the timesteps 999, 749, 499 and 249 (trailing), guidance 0; the 1-step U-Net at 399 alone
//   stabilityai/sdxl-turbo, sd-turbo   1 to 4 steps, guidance 0; diffusers' page on them: trailing, Euler a
// Hashes as SD.Next lists them. What merges need, and how many steps more than N do no harm, is what their makers report.
constexpr FewStepRow kRows[] = {
    {.method = "PCM",
     .names = "pcm lcmlike",
     .checkpoint_names = "",
     .advice = {.steps = 4,
                .least_steps = 2,
                .most_steps = 16,
                .samplers = {"LCM", "TCD"},
                .schedules = kConsistency}},
    {.method = "PCM",
     .names = "pcm normalcfg",
     .checkpoint_names = "",
     .advice = {.steps = 4,
                .least_steps = 2,
                .most_steps = 16,
                .cfg = 7.5,
                .least_cfg = 3,
                .most_cfg = 8,
                .samplers = {"DDIM", "Euler", "TCD"},
                .schedules = {"Trailing", "SGM Uniform", "LCM"}},
     .counts_steps = true},
    {.method = "PCM",
     .names = "pcm smallcfg|pcm #step|pcm sd15|pcm sdxl",
     .checkpoint_names = "",
     .advice = {.steps = 4,
                .least_steps = 2,
                .most_steps = 16,
                .samplers = {"DDIM", "Euler", "TCD"},
                .schedules = {"Trailing", "SGM Uniform", "LCM"}},
     .counts_steps = true},
    {.method = "LCM",
     .names = "lcm",
     .checkpoint_names = "",
     .advice = {.steps = 4,
                .least_steps = 2,
                .most_steps = 8,
                .samplers = {"LCM", "TCD"},
                .schedules = kConsistency},
     .counts_steps = true,
     .hashes = {"aaebf6360f7d", "3d18b05e4f56"}},
    {.method = "TCD",
     .names = "tcd",
     .checkpoint_names = "",
     .advice = {.steps = 4,
                .least_steps = 2,
                .most_steps = 50,
                .samplers = {"TCD", "LCM"},
                .schedules = kConsistency},
     .counts_steps = true,
     .hashes = {"b71dcb732467"}},
    {.method = "Hyper-SD with CFG",
     .names = "hyper cfg #step|hypersd cfg #step",
     .checkpoint_names = "",
     .advice = {.steps = 8,
                .least_steps = 6,
                .most_steps = 20,
                .cfg = 5,
                .least_cfg = 5,
                .most_cfg = 8,
                .samplers = {"DDIM", "Euler", "TCD"},
                .schedules = {"Trailing", "SGM Uniform", "LCM"}},
     .counts_steps = true,
     .hashes = {"1ab289133ebb", "ca14a8c621f8"}},
    {.method = "Hyper-SD's 1-step U-Net",
     .names = "",
     .checkpoint_names = "hyper 1step unet",
     .advice = {.steps = 1, .least_steps = 1, .most_steps = 1, .samplers = {"LCM"}, .schedules = {}},
     .caution = "it is trained for timestep 800 alone, where no schedule here begins; take the LoRA "
                "Hyper-SDXL-1step-lora instead"},
    {.method = "Hyper-SD for any number of steps",
     .names = "hyper 1step|hyper 1 step|hypersd 1step",
     .checkpoint_names = "",
     .advice = {.steps = 1,
                .least_steps = 1,
                .most_steps = 8,
                .samplers = {"TCD", "LCM"},
                .schedules = kConsistency,
                .eta = 1},
     .hashes = {"5a48ac366664", "8cca3706050b"}},
    {.method = "Hyper-SD",
     .names = "hyper #step|hyper sd|hyper sd15|hyper sdxl|hypersd|hypersdxl",
     .checkpoint_names = "hyper xl",
     .advice = {.steps = 8,
                .least_steps = 2,
                .most_steps = 12,
                .samplers = {"DDIM", "Euler", "TCD", "LCM"},
                .schedules = {"Trailing", "SGM Uniform", "LCM"}},
     .counts_steps = true,
     .hashes = {"ee0ff23dcc42", "e476eb1da5df", "ecb844c3f3b0", "4f494295edb1", "1c88f7295856",
                "fdd5dcd1d88a"}},
    {.method = "SDXL Lightning",
     .names = "",
     .checkpoint_names = "lightning x0",
     .advice = {.steps = 1, .least_steps = 1, .most_steps = 1, .samplers = {"Euler"}, .schedules = {}},
     .caution = "it predicts the picture itself (x0), which LowRank does not draw; take sdxl_lightning_2step "
                "instead"},
    {.method = "SDXL Lightning",
     .names = "lightning #step|lightning sdxl|lightning xl lora",
     .checkpoint_names = "",
     .advice = {.steps = 4,
                .least_steps = 2,
                .most_steps = 12,
                .samplers = {"Euler", "DDIM", "Euler a"},
                .schedules = kTrailing},
     .counts_steps = true,
     .only_counted = true},
    {.method = "DMD2's 1-step U-Net",
     .names = "",
     .checkpoint_names = "dmd2 1step",
     .advice = {.steps = 1, .least_steps = 1, .most_steps = 1, .samplers = {"LCM"}, .schedules = {}},
     .caution =
         "it is trained for timestep 399 alone, where no schedule here begins; take dmd2_sdxl_4step instead"},
    {.method = "DMD2",
     .names = "dmd2|dmd #step",
     .checkpoint_names = "dmd",
     .advice = {.steps = 4,
                .least_steps = 4,
                .most_steps = 8,
                .samplers = {"LCM", "TCD"},
                .schedules = {"Trailing", "SGM Uniform", "LCM"}},
     .counts_steps = true},
    {.method = "Turbo",
     .names = "sd turbo lora|sdxl turbo lora|xl turbo lora|turbo #step",
     .checkpoint_names = "",
     .advice = {.steps = 4,
                .least_steps = 1,
                .most_steps = 10,
                .samplers = {"Euler a", "Euler", "LCM"},
                .schedules = {"Trailing", "SGM Uniform", "Turbo"}},
     .counts_steps = true,
     .hashes = {"813ea5fb1c67"}},
    {.method = "Turbo",
     .names = "",
     .checkpoint_names = "sd turbo|sdxl turbo|sd xl turbo 0|sd xl turbo fp16",
     .advice = {.steps = 1,
                .least_steps = 1,
                .most_steps = 4,
                .samplers = {"Euler a", "Euler", "LCM", "DPM++ SDE"},
                .schedules = {"Trailing", "SGM Uniform", "Turbo"}},
     .counts_steps = true},
    // Merges, which bear the method in their names and are drawn with samplers of all kinds.
    {.method = "Turbo",
     .names = "",
     .checkpoint_names = "turbo",
     .advice = {.steps = 6, .least_steps = 1, .most_steps = 12, .cfg = 2, .least_cfg = 1, .most_cfg = 3.5}},
    {.method = "SDXL Lightning",
     .names = "",
     .checkpoint_names = "lightning",
     .advice = {.steps = 6, .least_steps = 2, .most_steps = 12, .cfg = 2, .least_cfg = 1, .most_cfg = 3.5},
     .counts_steps = true},
};

FewStepModel found(const FewStepRow& row, const NameParts& parts, std::string_view known_by) {
  FewStepModel model{
      .method = row.method, .known_by = known_by, .advice = row.advice, .caution = row.caution};
  if (row.counts_steps && parts.steps) {
    FewStepAdvice& advice = model.advice;
    advice.steps = *parts.steps;
    advice.least_steps = row.only_counted ? *parts.steps : std::min(advice.least_steps, *parts.steps);
    advice.most_steps = row.only_counted ? *parts.steps : std::max(advice.most_steps, *parts.steps);
  }
  return model;
}

const FewStepRow* row_named(const NameParts& parts, FewStepFile kind) {
  for (const FewStepRow& row : kRows)
    if (matches(row.names, parts) ||
        (kind == FewStepFile::kCheckpoint && matches(row.checkpoint_names, parts)))
      return &row;
  return nullptr;
}

template <std::size_t size>
bool contains(const std::array<std::string_view, size>& all, std::string_view one) {
  return !one.empty() && std::ranges::find(all, one) != all.end();
}

}  // namespace

std::optional<FewStepModel> few_step_model(const FewStepEvidence& evidence) {
  const NameParts parts = parts_of(evidence.name);
  if (evidence.has_guidance_input) {
    const NameParts lcm{.words = {"lcm"}, .steps = parts.steps};
    return found(*row_named(lcm, evidence.kind), parts, "its keys");
  }
  for (const FewStepRow& row : kRows)
    for (const std::string_view hash : row.hashes)
      if (!hash.empty() && same_hash(hash, evidence.auto_v3)) return found(row, parts, "its hash");
  if (const FewStepRow* row = row_named(parts, evidence.kind)) return found(*row, parts, "its name");
  if (evidence.metadata == nullptr) return std::nullopt;
  for (const char* key : {"modelspec.title", "ss_output_name"}) {
    const auto entry = evidence.metadata->find(std::string(key));
    if (entry == evidence.metadata->end()) continue;
    const NameParts stated = parts_of(entry->second);
    if (const FewStepRow* row = row_named(stated, evidence.kind)) return found(*row, stated, "its metadata");
  }
  return std::nullopt;
}

std::string advised(const FewStepAdvice& advice) {
  std::string text =
      fmt::format("{} step{}, CFG scale {}", advice.steps, advice.steps == 1 ? "" : "s", advice.cfg);
  if (!advice.samplers[0].empty()) text += fmt::format(", sampler {}", advice.samplers[0]);
  if (!advice.schedules[0].empty()) text += fmt::format(", schedule {}", advice.schedules[0]);
  if (advice.eta) text += fmt::format(", eta {}", *advice.eta);
  return text;
}

FewStepMisfits misfits_of(const FewStepAdvice& advice, const FewStepSettings& settings) {
  FewStepMisfits misfits{
      .steps = settings.steps < advice.least_steps || settings.steps > advice.most_steps,
      .cfg = settings.cfg < advice.least_cfg || settings.cfg > advice.most_cfg,
      .sampler = !advice.samplers[0].empty() && !contains(advice.samplers, settings.sampler)};
  // One step begins at the largest sigma whatever the schedule.
  misfits.schedule = settings.steps > 1 && !misfits.sampler && !advice.schedules[0].empty() &&
                     !contains(advice.schedules, settings.schedule);
  return misfits;
}

std::string misfits(const FewStepAdvice& advice, const FewStepSettings& settings) {
  const FewStepMisfits misfits = misfits_of(advice, settings);
  std::string text;
  const auto add = [&](bool is_misfit, const std::string& one) {
    if (is_misfit) text += (text.empty() ? "" : ", ") + one;
  };
  add(misfits.steps, fmt::format("{} step{}", settings.steps, settings.steps == 1 ? "" : "s"));
  add(misfits.cfg, fmt::format("CFG scale {}", settings.cfg));
  add(misfits.sampler, fmt::format("sampler {}", settings.sampler));
  add(misfits.schedule, fmt::format("schedule {}", settings.schedule));
  return text;
}

}  // namespace lowrank::formats
