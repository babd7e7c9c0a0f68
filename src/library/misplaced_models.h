// Model files that lie where nobody looks for them: said where a user finds nothing, or another model stands in.
#pragma once

#include <string>
#include <vector>

#include "library/data_dir.h"

namespace lowrank::library {

// One sentence about files of the data folder that are not read because of where they lie, or about a data folder
// that holds no models/ at all; "" when there is nothing to say. Looks at names only, and at a bounded number of them.
std::string misplaced_models(const DataDir& data);

// Folders of the collection that cannot be read, and links in it that lead nowhere, one sentence each. What looks for files
// by itself passes over them without a word.
std::vector<std::string> unreadable_folders(const DataDir& data);

// What to tell when `checkpoint`, the default_checkpoint(), was taken without being named though something else may have
// been meant: newer checkpoints cannot be used, or the starter stands in though misplaced_models() has something to say.
// Else "".
std::string default_checkpoint_notice(const DataDir& data, const std::filesystem::path& checkpoint);

}  // namespace lowrank::library
