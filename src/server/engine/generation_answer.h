// Finished pictures in A1111's form.
#pragma once

#include "pipeline/result.h"
#include "server/queue/job.h"
#include "server/requests/generation_task.h"

namespace lowrank::server {

// A picture file as the options want it (samples_format, jpeg_quality, enable_pnginfo). `is_grid`:
// grid_format.
EncodedPicture encode_for_answer(const image::Picture& picture, const std::string& infotext,
                                 const Json& options, bool is_grid = false);

// What one LoRA did, for programs.
Json lora_report(const adapter::ApplyReport& report);

// `parameters` and `info` of the answer. `infotexts`: one per picture of the answer, grids included;
// `index_of_first`: A1111's index_of_first_image, 1 when there are grids before the pictures.
Json generation_answer(const GenerationTask& task, const pipeline::GenerationResult& result,
                       const std::vector<std::string>& infotexts, int index_of_first,
                       const std::string& job_timestamp);

}  // namespace lowrank::server
