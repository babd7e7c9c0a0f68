#include "server/metrics.h"

#include <fmt/format.h>
#include <unistd.h>

#include <fstream>

namespace lowrank::server {

void Metrics::count_request(const std::string& method, const std::string& route, int status, double seconds) {
  const std::lock_guard lock(mutex_);
  const std::string key = method + " " + route;
  ++requests_[{key, status}];
  auto& [count, sum] = seconds_[key];
  ++count;
  sum += seconds;
}

std::string Metrics::text() const {
  const std::lock_guard lock(mutex_);
  std::string text =
      "# HELP lowrank_http_requests_total Requests answered.\n# TYPE lowrank_http_requests_total counter\n";
  for (const auto& [key, count] : requests_)
    text += fmt::format("lowrank_http_requests_total{{route=\"{}\",status=\"{}\"}} {}\n", key.first,
                        key.second, count);
  text +=
      "# HELP lowrank_http_seconds Time from a request's first byte to its response.\n# TYPE "
      "lowrank_http_seconds summary\n";
  for (const auto& [key, entry] : seconds_)
    text += fmt::format(
        "lowrank_http_seconds_count{{route=\"{0}\"}} {1}\nlowrank_http_seconds_sum{{route=\"{0}\"}} "
        "{2:.6f}\n",
        key, entry.first, entry.second);
  return text;
}

std::uint64_t resident_bytes() {
  std::ifstream in("/proc/self/statm");
  std::uint64_t total = 0, resident = 0;
  in >> total >> resident;
  return resident * static_cast<std::uint64_t>(sysconf(_SC_PAGESIZE));
}

}  // namespace lowrank::server
