// Where LowRank keeps what is not the user's own files: the index, which can be lost, and what the user wrote
// about files in folders that cannot be written.
#pragma once

#include <filesystem>

#include "library/data_dir.h"
#include "library/index/place_table.h"

namespace lowrank::library {

// $LOWRANK_INDEX, else one file per data folder below $XDG_CACHE_HOME/lowrank (~/.cache/lowrank). Empty when
// there is no place to write: the index then lives in memory.
std::filesystem::path index_file(const DataDir& data);

// A folder that mirrors the data folder, below $XDG_DATA_HOME/lowrank (~/.local/share/lowrank). It exists
// only once something was written there. Empty when there is no home.
std::filesystem::path overlay_folder(const DataDir& data);

// Where in it the words about one file stand; empty when `overlay` is.
std::filesystem::path overlay_sidecar(const std::filesystem::path& overlay, const PlaceRow& place,
                                      const std::filesystem::path& relative);

// Queue, options, hashes and trainings of a server of this data folder: $XDG_STATE_HOME/lowrank/server-KEY
// (~/.local/state/lowrank/server-KEY). Without a home lowrank-server in the data folder.
std::filesystem::path server_state_folder(const DataDir& data);

// For weights packed before: $XDG_CACHE_HOME/lowrank/packed (~/.cache/lowrank/packed). Empty when there is no
// home.
std::filesystem::path packed_folder();

// $XDG_CONFIG_HOME/lowrank (~/.config/lowrank); empty when there is no home.
std::filesystem::path config_folder();

}  // namespace lowrank::library
