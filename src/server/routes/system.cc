#include <fmt/format.h>
#include <sys/utsname.h>

#include <fstream>
#include <map>
#include <thread>

#include "server/http/refusal.h"
#include "server/route_table.h"
#include "server/routes/routes.h"

namespace lowrank::server {
namespace {

struct Ram {
  std::uint64_t total = 0, available = 0;
};

Ram read_ram() {
  std::ifstream in("/proc/meminfo");
  std::map<std::string, std::uint64_t> kilobytes;
  std::string name, unit;
  std::uint64_t value = 0;
  while (in >> name >> value) {
    kilobytes[name] = value;
    std::getline(in, unit);
  }
  return {.total = kilobytes["MemTotal:"] * 1024, .available = kilobytes["MemAvailable:"] * 1024};
}

// No environment, no user names, no paths.
Json system_facts(const Services& services) {
  utsname system{};
  uname(&system);
  const Ram ram = read_ram();
  return {{"Platform", fmt::format("{} {} {}", system.sysname, system.release, system.machine)},
          {"Version", services.options.version},
          {"CPU", {{"model", system.machine}, {"count logical", std::thread::hardware_concurrency()}}},
          {"RAM", {{"total", ram.total}, {"used", ram.total - ram.available}, {"free", ram.available}}},
          {"Extensions", Json::array()},
          {"Commandline", Json::array()},
          {"Config", services.settings.all()},
          {"Startup", Json::object()}};
}

}  // namespace

Reply memory(Services&, const Call&) {
  const Ram ram = read_ram();
  const std::uint64_t used = resident_bytes();
  return json_reply({{"ram", {{"free", ram.available}, {"used", used}, {"total", ram.total}}},
                     {"cuda", {{"error", "unavailable"}}}});
}

Reply ping(Services&, const Call&) {
  return json_reply(Json::object());
}

Reply sysinfo(Services& services, const Call& call) {
  Reply reply = json_reply(system_facts(services));
  if (call.argument("attachment") == "true")
    reply.headers.emplace_back("Content-Disposition", "attachment; filename=\"sysinfo.json\"");
  return reply;
}

Reply sysinfo_download(Services& services, const Call&) {
  Reply reply = json_reply(system_facts(services));
  reply.headers.emplace_back("Content-Disposition", "attachment; filename=\"sysinfo.json\"");
  return reply;
}

Reply quicksettings_hint(Services& services, const Call&) {
  Json list = Json::array();
  const Json values = services.settings.all();
  for (const auto& [name, value] : values.items()) list.push_back({{"name", name}, {"label", name}});
  return json_reply(list);
}

Reply startup_profile(Services&, const Call&) {
  return json_reply({{"total", 0.0}, {"records", Json::object()}});
}

Reply health(Services& services, const Call&) {
  return json_reply({{"status", services.is_stopping() ? "stopping" : "ok"},
                     {"version", services.options.version},
                     {"model", std::filesystem::path(services.engine.resident()).stem().string()},
                     {"waiting", services.queue.waiting()}},
                    services.is_stopping() ? 503 : 200);
}

Reply metrics(Services& services, const Call&) {
  const auto counts = services.queue.counts();
  const auto totals = services.engine.totals();
  std::string text = services.metrics.text();
  const auto gauge = [&](const char* name, const char* help, auto value, const char* type = "gauge") {
    text += fmt::format("# HELP {0} {1}\n# TYPE {0} {2}\n{0} {3}\n", name, help, type, value);
  };
  const int waiting = services.queue.waiting();
  gauge("lowrank_queue_waiting", "Queued jobs.", waiting);
  gauge("lowrank_queue_running", "Running jobs.", services.queue.unfinished() - waiting);
  text += "# HELP lowrank_jobs_kept Ended jobs that are still listed.\n# TYPE lowrank_jobs_kept gauge\n";
  text += fmt::format(
      "lowrank_jobs_kept{{state=\"completed\"}} {}\nlowrank_jobs_kept{{state=\"failed\"}} {}\n"
      "lowrank_jobs_kept{{state=\"cancelled\"}} {}\n",
      counts.completed, counts.failed, counts.cancelled);
  gauge("lowrank_result_bytes", "Stored results.", counts.result_bytes);
  gauge("lowrank_pictures_total", "Pictures generated since startup.", totals.pictures, "counter");
  gauge("lowrank_busy_seconds_total", "Time spent on jobs since startup.", totals.busy_seconds, "counter");
  gauge("lowrank_connections", "Open connections.", services.open_connections());
  gauge("lowrank_model_resident", "1 while a checkpoint is in memory.",
        services.engine.resident().empty() ? 0 : 1);
  gauge("process_resident_memory_bytes", "Memory of this process.", resident_bytes());
  return bytes_reply(text, "text/plain; version=0.0.4");
}

Reply server_stop(Services& services, const Call&) {
  if (!services.options.serve.may_be_stopped) throw Refusal(404, "Not Found");
  services.stop();
  return bytes_reply("Stopping.", "text/plain");
}

Reply server_restart(Services& services, const Call&) {
  if (!services.options.serve.may_be_stopped) throw Refusal(404, "Not Found");
  throw Refusal(501, "the server cannot restart itself; use server-stop and a service manager.");
}

Reply not_supported(Services&, const Call&) {
  throw Refusal(501, "not supported");
}

Reply openapi_json(Services& services, const Call&) {
  return json_reply(openapi(services.options.version));
}

Reply docs_page(Services& services, const Call&) {
  return bytes_reply(openapi_page(services.options.version), "text/html; charset=utf-8");
}

}  // namespace lowrank::server
