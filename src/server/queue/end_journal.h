// The ends of jobs that the queue's database could not take, because the disk was full: a small file whose room was
// taken beforehand and which is only ever overwritten in place. After a restart such a job has ended and is not begun
// again.
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "server/queue/job.h"

namespace lowrank::server {

struct LateEnd {
  std::string id;
  std::shared_ptr<const Outcome> outcome;  // without pictures and answer
};

class EndJournal {
 public:
  // Takes the file's room unless it has it. Where that fails it keeps nothing, and keep() says so.
  explicit EndJournal(const std::filesystem::path& file);
  ~EndJournal();
  EndJournal(const EndJournal&) = delete;
  EndJournal& operator=(const EndJournal&) = delete;

  // What is kept from before; what cannot be understood is left out.
  std::vector<LateEnd> read() const;
  // Keeps exactly these, as far as there is room for them; false when they could not be written.
  bool keep(const std::vector<LateEnd>& ends) const;

 private:
  int descriptor_ = -1;
};

}  // namespace lowrank::server
