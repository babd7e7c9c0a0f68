// Finished pictures in A1111's form.
#pragma once

#include "pipeline/result.h"
#include "server/engine/generation_order.h"
#include "server/queue/job.h"

namespace lowrank::server {

// A picture file as the options want it (samples_format, jpeg_quality, enable_pnginfo). `is_grid`:
// grid_format.
EncodedPicture encode_for_answer(const image::Picture& picture, const std::string& infotext,
                                 const Json& options, bool is_grid = false);

// All pictures on one, in rows as square as can be, without captions: A1111's grid.
image::Picture picture_grid(const std::vector<pipeline::GeneratedPicture>& pictures);

// What one LoRA did, for programs.
Json lora_report(const adapter::ApplyReport& report);

// `parameters` and `info` of the answer. `has_grid`: the grid stands before the pictures.
Json generation_answer(const GenerationOrder& order, const pipeline::GenerationResult& result, bool has_grid,
                       const std::string& job_timestamp);

}  // namespace lowrank::server
