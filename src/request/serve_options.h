// What `lowrank serve` can be told of itself, with the defaults. Flags, ranges and help: serve_table.h. What other commands
// take too (folder, threads, limits of a prompt) stands in the command table.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

namespace lowrank::request {

struct ServeOptions {
  bool listens_everywhere = false;  // on all addresses, unless `address` is given
  std::string address = "127.0.0.1";
  int port = 7860;                        // 0: any free one
  std::string api_logins, page_logins;    // "user:password", separated by commas; empty: no password
  std::filesystem::path api_logins_file;  // holds more of the former
  bool listen_without_auth = false;
  std::string cors_origins, cors_expression;
  std::string certificate_file, key_file;  // PEM; both empty: no TLS
  bool api = true;                         // A1111's switch; the API is always on
  bool has_no_page = false;
  bool opens_page = false, autolaunch = false;  // in the user's browser; the command does it
  bool may_be_stopped = false;                  // server-kill, server-stop over the API
  int max_queue = 256;                          // jobs that wait
  int max_steps = 1000;                         // of one request
  std::int64_t max_pixels = 2048 * 2048;        // of one picture, hires fix included
  int max_body_mb = 256;                        // of one request
  int max_connections = 256;
  double keep_results_hours = 24;
  std::int64_t keep_results_mb = 1024;  // of all jobs together
  std::filesystem::path state_dir;      // queue, options, hashes; empty: library::server_state_folder()
  std::string access_log = "-";         // "-": standard error, "none": none, else a file

  std::size_t body_bytes() const { return static_cast<std::size_t>(max_body_mb) << 20; }
  std::int64_t keep_results_bytes() const { return keep_results_mb << 20; }
};

}  // namespace lowrank::request
