// Pictures drawn while a LoRA is trained, to see what it has learned so far: the very ones that `txt2img` draws with the
// LoRA file of that step. Prompts come from a text file in kohya's form: one picture a line, `#` begins a comment line, and
// behind the prompt
//
//   --n NEGATIVE   --w WIDTH   --h HEIGHT   --d SEED   --s STEPS   --l CFG   --ss SAMPLER
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <stop_token>
#include <string>
#include <vector>

#include "pipeline/session.h"
#include "training/data/buckets.h"

namespace lowrank::training {

// `place` names the text in errors. Size and seed (42) where the line gives none. Throws Error(kBadInput) naming file and line: an unknown or
// empty option, a value that does not fit, a LoRA tag (the LoRA in training acts anyway; another would mix
// into the training).
std::vector<request::GenerationRequest> parse_sample_prompts(const std::string& text,
                                                             const std::string& place, PixelSize size);
std::vector<request::GenerationRequest> read_sample_prompts(const std::filesystem::path& file,
                                                            PixelSize size);

struct SampleOptions {
  std::filesystem::path folder;       // of the pictures
  std::filesystem::path lora_folder;  // where the LoRA of a step may lie for as long as it is drawn with
  std::string name;                   // of the LoRA
};

class SamplePictures {
 public:
  // `session`: whose resources and settings the pictures are drawn with; its model is in training and stays so.
  SamplePictures(const pipeline::Session& session, std::vector<request::GenerationRequest> requests,
                 SampleOptions options);

  std::int64_t count() const { return static_cast<std::int64_t>(requests_.size()); }

  struct Drawing {
    std::int64_t step = 0;
    bool again = false;                                      // what is there of this step already stays
    std::function<void(const std::filesystem::path&)> save;  // writes the LoRA
    std::function<void(std::int64_t)> begin;                 // told before each picture how many are finished
    std::stop_token stop;
  };
  struct Drawn {
    std::filesystem::path file;
    image::Picture picture;
  };
  // Draws FOLDER/NAME_000100_00.png …, the prompt with the tag <lora:NAME:1> behind it. A file that is there with
  // another content stays, and the sample gets -2 behind its name. Throws as Session::generate.
  std::vector<Drawn> draw(const Drawing& drawing);

 private:
  const pipeline::Session& session_;
  std::vector<request::GenerationRequest> requests_;
  SampleOptions options_;
};

// The picture as a JPEG of at most 256 × 256, as a data URL: what modelspec.thumbnail holds.
std::string thumbnail_url(const image::Picture& picture);

}  // namespace lowrank::training
