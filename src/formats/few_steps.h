// Models distilled to draw in a few steps (LCM, TCD, Hyper-SD, Lightning, PCM, DMD2, Turbo), as LoRAs or whole checkpoints: how
// they are recognised, and the settings that their publishers advise. Drawn with other settings they give blurred or burnt
// pictures without a word. A table of rows in few_steps.cc; adding one is a row there.
#pragma once

#include <array>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace lowrank::formats {

struct FewStepAdvice {
  int steps = 4, least_steps = 1, most_steps = 8;  // `steps` are advised, the others still fit
  double cfg = 1, least_cfg = 1, most_cfg = 2;
  // By A1111's labels, the advised one first, then others that fit; none: any does. Schedules are those that a sampler really
  // uses, "Uniform" too where nobody chose one.
  std::array<std::string_view, 4> samplers = {};
  std::array<std::string_view, 4> schedules = {};
  std::optional<double> eta = {};  // for the advised sampler, where it is not its default
};

struct FewStepModel {
  std::string_view method = {};    // "LCM", "Hyper-SD" …
  std::string_view known_by = {};  // "its name", "its metadata", "its hash" or "its keys"
  FewStepAdvice advice;            // the number of steps that stands in the name included
  std::string_view caution = {};   // why no settings fit it, and what to take instead; "" mostly
};

enum class FewStepFile { kLora, kCheckpoint };

// What may tell a few-step model. Anything may be empty.
struct FewStepEvidence {
  FewStepFile kind = FewStepFile::kLora;
  std::string_view name = {};                                    // of the file, without its ending
  const std::map<std::string, std::string>* metadata = nullptr;  // its title and output name are read
  std::string_view auto_v3 = {};                                 // hexadecimal digits, 12 or more
  bool has_guidance_input =
      false;  // a U-Net with time_embed.cond_proj: distilled with guidance as an input, LCM
};

// nullopt: nothing says so. What is certain comes first: keys, hash, name, metadata.
std::optional<FewStepModel> few_step_model(const FewStepEvidence& evidence);

// Settings to compare with the advice. `schedule` is the label of what really runs.
struct FewStepSettings {
  int steps = 0;
  double cfg = 0;
  std::string_view sampler, schedule;
};

// "4 steps, CFG scale 1, sampler Euler, schedule Trailing".
std::string advised(const FewStepAdvice& advice);
// What of `settings` does not fit. A sampler that does not fit has a schedule of its own, which is not judged.
struct FewStepMisfits {
  bool steps = false, cfg = false, sampler = false, schedule = false;
};
FewStepMisfits misfits_of(const FewStepAdvice& advice, const FewStepSettings& settings);
// The same as "20 steps, CFG scale 7"; "" when all fits.
std::string misfits(const FewStepAdvice& advice, const FewStepSettings& settings);

}  // namespace lowrank::formats
