// What every operation on files is told beside its own options: where the result goes, and who hears of the work.
#pragma once

#include <filesystem>
#include <functional>
#include <stop_token>
#include <string>

#include "base/progress.h"

namespace lowrank::edit {

enum class Overwrite { kNo, kYes };

struct Job {
  std::filesystem::path output;
  Overwrite overwrite = Overwrite::kNo;
  int threads = 0;  // 0: all cores
  std::stop_token stop = {};
  Progress* progress = nullptr;
  // Told before the work what it will cost: "the result will have 12.3 MB". One sentence without a full stop.
  std::function<void(const std::string&)> say = {};
};

}  // namespace lowrank::edit
