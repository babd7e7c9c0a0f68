// Pictures drawn while a LoRA is trained, to see what it has learned so far. Prompts come from a text file in
// kohya's form: one picture a line, `#` begins a comment line, and behind the prompt
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

class SamplePictures {
 public:
  // `session` holds the model in training and must outlive this object.
  SamplePictures(pipeline::Session& session, std::vector<request::GenerationRequest> requests,
                 std::filesystem::path folder, std::string name);

  std::int64_t count() const { return static_cast<std::int64_t>(requests_.size()); }

  // Draws FOLDER/NAME_000100_00.png … with the step in the metadata; returns the files. A file
  // that is there with another content stays, and the sample gets -2 behind its name. `begin` is told before
  // each picture how many are finished. Throws as Session::generate.
  std::vector<std::filesystem::path> draw(std::int64_t step, const std::stop_token& stop,
                                          const std::function<void(std::int64_t)>& begin);

 private:
  pipeline::Session& session_;
  std::vector<request::GenerationRequest> requests_;
  std::filesystem::path folder_;
  std::string name_;
};

}  // namespace lowrank::training
