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
#include "library/unread_models.h"
#include "prompt/limits.h"
#include "server/server.h"

namespace lowrank::cli {
namespace {

using server::ServerOptions;

void add_logins(std::vector<server::Login>& logins, const std::string& text, std::string_view label) {
  for (auto& login : server::parse_logins(text, label)) logins.push_back(std::move(login));
}

// "[::1]", as in an address of a browser, is the same as "::1".
std::string without_brackets(const std::string& address) {
  return address.starts_with('[') && address.ends_with(']') ? address.substr(1, address.size() - 2) : address;
}

ServerOptions read_options(const Arguments& given) {
  ServerOptions options;
  options.version = version_text();
  options.data_dir = given.value("data-dir");
  options.state_dir = given.value("state-dir");
  options.threads = given.whole_number("threads");
  options.int8 = given.has("int8");
  options.packed_cache = session_options(options.threads).packed_cache;
  options.address = given.has("listen") && !given.has("server-name")
                        ? "0.0.0.0"
                        : without_brackets(given.value("server-name"));
  options.port = given.whole_number("port");
  options.connections = given.whole_number("max-connections");
  options.body_bytes = static_cast<std::size_t>(given.whole_number("max-body-mb")) << 20;
  if (given.has("api-auth")) add_logins(options.api_logins, given.value("api-auth"), "--api-auth");
  if (given.has("api-auth-file"))
    add_logins(options.api_logins, read_file(given.value("api-auth-file"), 1 << 20), "--api-auth-file");
  if (given.has("gradio-auth")) add_logins(options.page_logins, given.value("gradio-auth"), "--gradio-auth");
  options.listen_without_auth = given.has("listen-without-auth");
  options.cors_origins = given.value("cors-allow-origins");
  options.cors_expression = given.value("cors-allow-origins-regex");
  options.certificate_file = given.value("tls-certfile");
  options.key_file = given.value("tls-keyfile");
  options.access_log = given.value("access-log") == "none" ? "" : given.value("access-log");
  options.has_page = !given.has("nowebui");
  options.opens_page = given.has("open") || given.has("autolaunch");
  options.may_be_stopped = given.has("api-server-stop");
  options.limits.max_steps = given.whole_number("max-steps");
  options.limits.max_pixels = given.whole_number("max-pixels");
  options.limits.max_batch_pixels = 4 * options.limits.max_pixels;
  options.limits.prompt = prompt::parse_prompt_limits(given.value("prompt-limits"), "--prompt-limits");
  options.queue.max_waiting = given.whole_number("max-queue");
  options.queue.retention.seconds = 3600 * given.number("keep-results-hours");
  options.queue.retention.bytes = std::int64_t{given.whole_number("keep-results-mb")} << 20;
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
  if (options.state_dir.empty() && before != now && std::filesystem::exists(before / "queue.sqlite", failure))
    log_line(
        stderr,
        "warning: {} is from an earlier version and is ignored; jobs and options are now stored in {}.\n",
        before.string(), now.string());
}

}  // namespace

int serve(const CommandCall& call) {
  const ServerOptions options = read_options(call.arguments);
  std::signal(SIGPIPE, SIG_IGN);  // a client that went away is no reason to end
  server::Server server(options, resources(options.data_dir));
  const bool has_tls = !options.certificate_file.empty();
  const bool is_everywhere = options.address == "0.0.0.0" || options.address == "::";
  if (options.listen_without_auth && options.api_logins.empty() && !is_loopback(options.address))
    log_line(stderr,
             "warning: anyone who can reach {} can use this server; set a password with --api-auth.\n",
             options.address);
  tell_of_data(options);
  const auto url_of = [&](const std::string& host) {
    const bool is_v6 = host.find(':') != std::string::npos && !host.starts_with('[');
    return fmt::format("{}://{}:{}", has_tls ? "https" : "http", is_v6 ? "[" + host + "]" : host,
                       server.port());
  };
  const std::string url = url_of(is_everywhere ? "localhost" : options.address);
  fmt::print("Listening on {}  (API description: /docs; Ctrl-C stops the server)\n", url);
  if (is_everywhere) {
    for (const std::string& address :
         reachable_addresses(options.address == "::" ? Family::kBoth : Family::kV4))
      fmt::print("From other machines: {}\n", url_of(address));
  }
  std::fflush(stdout);
  // It listens already: a browser that asks before run() waits.
  if (options.opens_page && options.has_page) open_in_browser(url);
  server.run(call.stop);
  return 0;
}

}  // namespace lowrank::cli
