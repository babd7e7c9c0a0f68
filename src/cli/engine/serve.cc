// `lowrank serve`: the HTTP server on a data folder.
#include <fmt/format.h>

#include <csignal>
#include <cstdio>
#include <string_view>

#include "base/atomic_file.h"
#include "base/error.h"
#include "base/log_line.h"
#include "base/loopback.h"
#include "cli/engine/browser.h"
#include "cli/engine/commands.h"
#include "cli/engine/reachable_addresses.h"
#include "cli/engine/resources.h"
#include "library/index/state_dir.h"
#include "library/misplaced_models.h"
#include "prompt/limits.h"
#include "request/serve_table.h"
#include "server/server.h"

namespace lowrank::cli {
namespace {

using server::ServerOptions;

void add_logins(std::vector<server::Login>& logins, const std::string& text, std::string_view label) {
  if (text.empty()) return;
  for (auto& login : server::parse_logins(text, label)) logins.push_back(std::move(login));
}

// "[::1]", as in an address of a browser, is the same as "::1".
std::string without_brackets(const std::string& address) {
  return address.starts_with('[') && address.ends_with(']') ? address.substr(1, address.size() - 2) : address;
}

ServerOptions read_serve_options(const Arguments& given) {
  ServerOptions options;
  request::ServeOptions& serve = options.serve;
  for (const auto& row : request::serve_options())
    for (const std::string& value : given.values(row.flag))
      request::set_option(row, serve, value, fmt::format("--{}", row.flag));
  serve.address =
      serve.listens_everywhere && !given.has("server-name") ? "0.0.0.0" : without_brackets(serve.address);
  options.version = version_text();
  options.data_dir = given.value("data-dir");
  options.threads = given.whole_number("threads");
  options.int8 = given.has("int8");
  options.packed_cache = session_options(options.threads).packed_cache;
  add_logins(options.api_logins, serve.api_logins, "--api-auth");
  if (!serve.api_logins_file.empty())
    add_logins(options.api_logins, read_file(serve.api_logins_file, 1 << 20), "--api-auth-file");
  add_logins(options.page_logins, serve.page_logins, "--gradio-auth");
  options.limits.max_steps = serve.max_steps;
  options.limits.max_pixels = serve.max_pixels;
  options.limits.max_batch_pixels = 4 * serve.max_pixels;
  options.limits.prompt = prompt::parse_prompt_limits(given.value("prompt-limits"), "--prompt-limits");
  options.queue.max_waiting = serve.max_queue;
  options.queue.retention.seconds = 3600 * serve.keep_results_hours;
  options.queue.retention.bytes = serve.keep_results_bytes();
  return options;
}

// What a user would otherwise wonder about: whose pictures these are, and where an earlier version's jobs have gone.
void tell_of_data(const ServerOptions& options) {
  const library::DataDir data = library::find_data_dir(options.data_dir.string());
  try {
    const std::string notice = library::default_checkpoint_notice(data, library::default_checkpoint(data));
    if (!notice.empty()) log_line(stderr, "warning: {}\n", notice);
  } catch (const Error& error) {  // a folder that cannot be read now may be there later
    log_line(stderr, "warning: {}\n", error.what());
  }
  const std::filesystem::path before = data.root / "lowrank-server", now = library::server_state_folder(data);
  std::error_code failure;
  if (options.serve.state_dir.empty() && before != now &&
      std::filesystem::exists(before / "queue.sqlite", failure))
    log_line(
        stderr,
        "warning: {} is from an earlier version and is ignored; jobs and options are now stored in {}.\n",
        before.string(), now.string());
}

}  // namespace

int serve(const CommandCall& call) {
  const ServerOptions options = read_serve_options(call.arguments);
  const request::ServeOptions& asked = options.serve;
  std::signal(SIGPIPE, SIG_IGN);  // a client that went away is no reason to end
  server::Server server(options, resources(options.data_dir));
  const bool has_tls = !asked.certificate_file.empty();
  const bool is_everywhere = asked.address == "0.0.0.0" || asked.address == "::";
  if (asked.listen_without_auth && options.api_logins.empty() && !is_loopback(asked.address))
    log_line(stderr,
             "warning: anyone who can reach {} can use this server; set a password with --api-auth.\n",
             asked.address);
  tell_of_data(options);
  const auto url_of = [&](const std::string& host) {
    const bool is_v6 = host.find(':') != std::string::npos && !host.starts_with('[');
    return fmt::format("{}://{}:{}", has_tls ? "https" : "http", is_v6 ? "[" + host + "]" : host,
                       server.port());
  };
  const std::string url = url_of(is_everywhere ? "localhost" : asked.address);
  fmt::print("Listening on {}  (API description: /docs; Ctrl-C stops the server)\n", url);
  if (is_everywhere) {
    for (const std::string& address :
         reachable_addresses(asked.address == "::" ? Family::kBoth : Family::kV4))
      fmt::print("From other machines: {}\n", url_of(address));
  }
  std::fflush(stdout);
  // It listens already: a browser that asks before run() waits.
  if ((asked.opens_page || asked.autolaunch) && !asked.has_no_page) open_in_browser(url);
  server.run(call.stop);
  return 0;
}

}  // namespace lowrank::cli
