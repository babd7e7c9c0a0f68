// Where the names of a request lead in a data folder laid out as A1111's.
#pragma once

#include <filesystem>

#include "pipeline/session.h"

namespace lowrank::cli {

// models/Stable-diffusion, models/Lora, models/VAE, models/VAE-approx, embeddings and styles.csv below `data_dir`, and the starter model that ships with the program. Names may
// also be paths.
pipeline::Resources resources(const std::filesystem::path& data_dir);

// Warns of folders of models that cannot be read and of links that lead nowhere.
void warn_unreadable_folders(const std::filesystem::path& data_dir);

// Of every session of the program. $LOWRANK_PACKED_CACHE_GB bounds the packed weights that are kept (half of what
// the disk has free); 0 keeps none. Throws Error(kBadInput) when it is no number.
pipeline::SessionOptions session_options(int threads, bool int8 = false,
                                         const prompt::PromptLimits& prompt_limits = {});

}  // namespace lowrank::cli
