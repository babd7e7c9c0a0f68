// What `lowrank serve` is told on its command line.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "server/http/access.h"
#include "server/orders/generation_order.h"
#include "server/queue/job_queue.h"

namespace lowrank::server {

struct ServerOptions {
  std::filesystem::path data_dir = ".";
  std::filesystem::path state_dir;  // queue, options, hashes; empty: library::server_state_folder()
  std::string address = "127.0.0.1";
  int port = 7860;
  bool listen_without_auth = false;
  std::vector<Login> api_logins, page_logins;
  std::string cors_origins, cors_expression;
  std::string certificate_file, key_file;
  bool has_page = true;
  bool opens_page = false;       // in the user's browser; the command does it
  bool may_be_stopped = false;   // server-kill, server-stop over the API
  std::string access_log = "-";  // "-": standard error, "": none, else a file
  int threads = 0;
  bool int8 = false;  // U-Nets are held in 8 bits
  std::string version;
  pipeline::PackedCacheOptions packed_cache;
  std::size_t body_bytes = 256u << 20;
  int connections = 256;
  GenerationLimits limits;
  QueueOptions queue;
};

}  // namespace lowrank::server
