// The options' present values, kept in a JSON file. Safe to use from any thread.
#pragma once

#include <filesystem>
#include <mutex>
#include <string>

#include "server/json.h"

namespace lowrank::server {

class OptionStore {
 public:
  // A missing file means defaults; one that is damaged is set aside with a warning on standard error.
  explicit OptionStore(std::filesystem::path file);

  // Every option with its value, those of other programs behind ours.
  Json all() const;
  Json get(std::string_view name) const;
  std::string text(std::string_view name) const;  // "" when it is no string
  bool flag(std::string_view name) const;

  // The present values with `changes` on top, checked as set() does. Nothing is stored.
  Json with(const RequestJson& changes) const;
  // Stores what `changes` names; restricted options are passed over; unknown names are kept without effect.
  // Throws Refusal 422 naming each value of the wrong type or out of range.
  void set(const RequestJson& changes);

 private:
  const std::filesystem::path file_;
  mutable std::mutex mutex_;  // guards values_
  Json values_;
};

}  // namespace lowrank::server
