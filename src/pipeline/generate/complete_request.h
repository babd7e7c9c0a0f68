// From what a user left open to a request in which nothing is left to be chosen.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "pipeline/resident/checkpoint_loader.h"
#include "request/generation_request.h"

namespace lowrank::pipeline {

// Sizes, batch, checkpoint by its name, prompts with their styles. Without a size: the init picture's, or the
// checkpoint's own. Throws Error(kBadInput) for a size that does not fit the checkpoint or more init pictures
// than the batch has places, kNotFound for a style that is not in the file `styles`. What the texts lose on the way is
// added to `warnings`.
request::GenerationRequest complete_request(const request::GenerationRequest& asked, const LoadedModel& model,
                                            const std::filesystem::path& styles,
                                            std::vector<std::string>& warnings);

// The sentence about a style that is not in the file.
std::string unknown_style(const std::string& name, const std::filesystem::path& styles);

// The second pass of hires fix as a request of its own: sampler, schedule and steps.
request::GenerationRequest second_request(const request::GenerationRequest& request);

// Whether a request's text names a file: "", "None" and "none" do not.
bool names_file(std::string_view name);
bool has_refiner(const request::GenerationRequest& request);

}  // namespace lowrank::pipeline
