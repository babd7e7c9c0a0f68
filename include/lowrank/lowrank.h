// LowRank from C++: load a Stable Diffusion 1.x checkpoint once and generate pictures with any LoRAs.
//
//   #include <lowrank/lowrank.h>
//
//   lowrank::Session session({.data_dir = "."});  // finds models/; loads on first use
//   auto result = session.generate(
//       {.prompt = "3dmm style, a red fox <lora:3dmm_v12:0.8>", .steps = 20, .seed = 42});
//   result.pictures[0].save("fox.png");           // with A1111's parameters text inside
//   for (const auto& lora : result.loras)         // what each LoRA changed
//     std::cout << lora.name << ": " << lora.applied << " keys applied\n";
//
// Link with liblowrank_engine. Only standard types appear in this header.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <stdexcept>
#include <stop_token>
#include <string>
#include <vector>

#define LOWRANK_API __attribute__((visibility("default")))

namespace lowrank {

// Why a call failed. what() is one sentence for the user: which file or field, what is wrong, what to do.
class LOWRANK_API Failure : public std::runtime_error {
 public:
  enum class Kind { kBadInput, kNotFound, kUnsupported, kConflict, kIo, kCancelled, kInternal };
  Failure(Kind which, const std::string& sentence) : std::runtime_error(sentence), kind(which) {}
  Kind kind;
};

// A1111's parameters with A1111's meaning.
struct Generation {
  std::string prompt = {};  // with <lora:NAME:WEIGHT> tags, emphasis, editing, BREAK, AND
  std::string negative_prompt = {};
  int steps = 20;            // 1 … 1000
  std::string sampler = {};  // "Euler a", "DPM++ 2M Karras"; empty: DPM++ 2M
  std::string scheduler = "Automatic";
  double cfg_scale = 7;       // 1: one U-Net pass per step, without the negative prompt
  std::int64_t seed = -1;     // −1: random
  int width = 0, height = 0;  // pixels, multiples of 8; 0: the checkpoint's native size
  int batch_size = 1;         // pictures generated together; picture i has seed + i
  int batch_count = 1;        // batches generated one after another
  int clip_skip = 1;
  std::string checkpoint = {};       // name or path; empty: the loaded one, else the newest
  std::string vae = "Automatic";     // name or path, "Automatic" or "None"
  bool allow_missing_loras = false;  // continue without LoRAs that are missing or do not fit
  // Any other field by A1111's name in requests or settings, with its value as text: {"eta", "0.5"},
  // {"randn_source", "CPU"}, {"subseed_strength", "0.2"}.
  std::map<std::string, std::string> more = {};
};

struct LOWRANK_API Picture {
  int width = 0, height = 0;
  std::vector<std::uint8_t> rgb;  // height · width · 3, rows from the top
  std::string parameters;         // A1111's parameters text
  std::uint64_t seed = 0, subseed = 0;

  // Saves as .png, .jpg or .webp, by the file extension, with the parameters text inside. The file is written
  // completely or not at all.
  void save(const std::string& path, int quality = 80) const;
};

// What one LoRA of a request changed.
struct LoraReport {
  std::string name, path;
  std::string base_model;                     // "SD 1.x"
  int applied = 0, skipped = 0, unknown = 0;  // keys of the LoRA file
  int modules_applied = 0, modules = 0;
  double relative_change = 0;  // ‖change‖ / ‖weights‖ over the layers that it changes
  std::vector<std::string> notes;
  std::string text;  // the full report for a terminal, several lines
};

struct MissingLora {
  std::string name;
  std::string reason;  // one sentence
};

struct StepEvent {
  int step = 0, steps = 0;     // within the batch, from 1; steps 0: unknown in advance
  int batch = 0, batches = 1;  // from 0
  double seconds = 0;          // since sampling of the batch began
};

struct Result {
  std::vector<Picture> pictures;
  std::vector<LoraReport> loras;           // in prompt order
  std::vector<MissingLora> missing_loras;  // only with allow_missing_loras
  std::vector<std::string> warnings;       // one sentence each
};

struct SessionSettings {
  std::string data_dir = ".";  // A1111's layout: models/Stable-diffusion, models/Lora, embeddings …
  int threads = 0;             // 0: all cores; applies to the whole process
};

// A loaded checkpoint. Nothing is loaded before the first generate(). Use from one thread at a time.
class LOWRANK_API Session {
 public:
  explicit Session(const SessionSettings& settings = {});
  ~Session();
  Session(Session&&) noexcept;
  Session& operator=(Session&&) noexcept;

  // Throws Failure; the session stays usable. A stop request takes effect within a step (Kind::kCancelled).
  Result generate(const Generation& generation, const std::function<void(const StepEvent&)>& on_step = {},
                  std::stop_token stop = {});

 private:
  struct Engine;
  std::unique_ptr<Engine> engine_;
};

}  // namespace lowrank
