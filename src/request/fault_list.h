// Faults that are told together, so that whoever mends them sees all at once.
#pragma once

#include <functional>
#include <string>
#include <vector>

namespace lowrank::request {

class FaultList {
 public:
  // A sentence; the same one is kept once, "" not at all.
  void add(std::string fault);
  // The sentence of the Error that `work` throws, if it does. kCancelled goes on its way.
  void add_from(const std::function<void()>& work);

  bool empty() const { return faults_.empty(); }
  const std::vector<std::string>& all() const { return faults_; }
  // All as one sentence: what several have behind their first "; " (usually the remedy) is said once.
  std::string sentence() const;
  // Throws Error(kBadInput) when there are any.
  void throw_if_any() const;

 private:
  std::vector<std::string> faults_;
};

}  // namespace lowrank::request
