// What `lowrank serve` is told on its command line.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "request/serve_options.h"
#include "server/http/access.h"
#include "server/queue/job_queue.h"
#include "server/requests/generation_task.h"

namespace lowrank::server {

struct ServerOptions {
  request::ServeOptions serve;
  std::filesystem::path data_dir = ".";
  std::vector<Login> api_logins, page_logins;  // of `serve`, read
  int threads = 0;                             // 0: all cores
  bool int8 = false;                           // U-Nets are held in 8 bits
  std::string version;
  pipeline::PackedCacheOptions packed_cache;
  GenerationLimits limits;  // of `serve` too
  QueueOptions queue;
};

}  // namespace lowrank::server
