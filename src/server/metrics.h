// Counters of the server, in Prometheus' text form.
#pragma once

#include <cstdint>
#include <map>
#include <mutex>
#include <string>
#include <utility>

namespace lowrank::server {

class Metrics {
 public:
  // `route` is the pattern, so that ids make no new series.
  void count_request(const std::string& method, const std::string& route, int status, double seconds);

  // The requests' counters as text.
  std::string text() const;

 private:
  mutable std::mutex mutex_;
  std::map<std::pair<std::string, int>, std::uint64_t> requests_;  // "METHOD route", status
  std::map<std::string, std::pair<std::uint64_t, double>> seconds_;
};

// Resident memory of this process in bytes.
std::uint64_t resident_bytes();

}  // namespace lowrank::server
