// `lowrank serve`: the HTTP server on a data folder.
#include <fmt/format.h>

#include <charconv>
#include <csignal>
#include <cstdio>
#include <functional>
#include <map>
#include <string_view>

#include "base/atomic_file.h"
#include "base/error.h"
#include "base/loopback.h"
#include "base/text/text.h"
#include "cli/engine/browser.h"
#include "cli/engine/commands.h"
#include "cli/engine/reachable_addresses.h"
#include "cli/engine/resources.h"
#include "cli/engine/word_reader.h"
#include "library/index/state_dir.h"
#include "library/unread_models.h"
#include "prompt/limits.h"
#include "server/server.h"

namespace lowrank::cli {
namespace {

using server::ServerOptions;

int number(std::string_view flag, std::string_view text) {
  return whole_number(flag.substr(2), text, 0);
}

void add_logins(std::vector<server::Login>& logins, const std::string& text, std::string_view flag) {
  for (auto& login : server::parse_logins(text, flag)) logins.push_back(std::move(login));
}

// "[::1]", as in an address of a browser, is the same as "::1".
std::string without_brackets(const std::string& address) {
  return address.starts_with('[') && address.ends_with(']') ? address.substr(1, address.size() - 2) : address;
}

// Ranges are checked by the command table before the engine is opened.
struct ServeOption {
  std::string_view flag;
  bool takes_value;
  void (*set)(ServerOptions& options, const std::string& text, std::string_view flag);
};

// clang-format off
constexpr ServeOption kOptions[] = {
    {"--listen", false, [](ServerOptions& o, const std::string&, std::string_view) { if (o.address == "127.0.0.1") o.address = "0.0.0.0"; }},
    {"--server-name", true, [](ServerOptions& o, const std::string& t, std::string_view) { o.address = without_brackets(t); }},
    {"--port", true, [](ServerOptions& o, const std::string& t, std::string_view f) { o.port = number(f, t); }},
    {"--api-auth", true, [](ServerOptions& o, const std::string& t, std::string_view f) { add_logins(o.api_logins, t, f); }},
    {"--api-auth-file", true, [](ServerOptions& o, const std::string& t, std::string_view f) { add_logins(o.api_logins, read_file(t, 1 << 20), f); }},
    {"--gradio-auth", true, [](ServerOptions& o, const std::string& t, std::string_view f) { add_logins(o.page_logins, t, f); }},
    {"--listen-without-auth", false, [](ServerOptions& o, const std::string&, std::string_view) { o.listen_without_auth = true; }},
    {"--cors-allow-origins", true, [](ServerOptions& o, const std::string& t, std::string_view) { o.cors_origins = t; }},
    {"--cors-allow-origins-regex", true, [](ServerOptions& o, const std::string& t, std::string_view) { o.cors_expression = t; }},
    {"--tls-certfile", true, [](ServerOptions& o, const std::string& t, std::string_view) { o.certificate_file = t; }},
    {"--tls-keyfile", true, [](ServerOptions& o, const std::string& t, std::string_view) { o.key_file = t; }},
    {"--api", false, [](ServerOptions&, const std::string&, std::string_view) {}},
    {"--nowebui", false, [](ServerOptions& o, const std::string&, std::string_view) { o.has_page = false; }},
    {"--open", false, [](ServerOptions& o, const std::string&, std::string_view) { o.opens_page = true; }},
    {"--autolaunch", false, [](ServerOptions& o, const std::string&, std::string_view) { o.opens_page = true; }},
    {"--api-server-stop", false, [](ServerOptions& o, const std::string&, std::string_view) { o.may_be_stopped = true; }},
    {"--max-queue", true, [](ServerOptions& o, const std::string& t, std::string_view f) { o.queue.max_waiting = number(f, t); }},
    {"--max-steps", true, [](ServerOptions& o, const std::string& t, std::string_view f) { o.limits.max_steps = number(f, t); }},
    {"--max-pixels", true, [](ServerOptions& o, const std::string& t, std::string_view f) { o.limits.max_pixels = number(f, t); o.limits.max_batch_pixels = 4 * o.limits.max_pixels; }},
    {"--max-body-mb", true, [](ServerOptions& o, const std::string& t, std::string_view f) { o.body_bytes = static_cast<std::size_t>(number(f, t)) << 20; }},
    {"--prompt-limits", true, [](ServerOptions& o, const std::string& t, std::string_view f) { o.limits.prompt = prompt::parse_prompt_limits(t, f); }},
    {"--max-connections", true, [](ServerOptions& o, const std::string& t, std::string_view f) { o.connections = number(f, t); }},
    {"--keep-results-hours", true, [](ServerOptions& o, const std::string& t, std::string_view) { o.queue.retention.seconds = 3600 * parse_number(t).value_or(24); }},
    {"--keep-results-mb", true, [](ServerOptions& o, const std::string& t, std::string_view f) { o.queue.retention.bytes = std::int64_t{number(f, t)} << 20; }},
    {"--state-dir", true, [](ServerOptions& o, const std::string& t, std::string_view) { o.state_dir = t; }},
    {"--access-log", true, [](ServerOptions& o, const std::string& t, std::string_view) { o.access_log = t == "none" ? "" : t; }},
    {"--data-dir", true, [](ServerOptions& o, const std::string& t, std::string_view) { o.data_dir = t; }},
    {"--int8", false, [](ServerOptions& o, const std::string&, std::string_view) { o.int8 = true; }},
    {"--threads", true, [](ServerOptions& o, const std::string& t, std::string_view f) { o.threads = number(f, t); }},
};
// clang-format on

ServerOptions parse_serve(std::span<const std::string> words) {
  ServerOptions options;
  options.version = version_text();
  options.packed_cache = session_options(options.threads).packed_cache;
  for (std::size_t i = 0; i < words.size(); ++i) {
    const ServeOption* found = nullptr;
    for (const auto& option : kOptions)
      if (option.flag == words[i]) found = &option;
    if (found == nullptr)
      throw Error(kBadInput, "'{}' is no option of serve; see lowrank serve --help.", words[i]);
    if (found->takes_value && i + 1 == words.size())
      throw Error(kBadInput, "{} needs a value behind it.", found->flag);
    found->set(options, found->takes_value ? words[++i] : std::string(), found->flag);
  }
  return options;
}

// What a user would otherwise wonder about: whose pictures these are, and where an earlier version's jobs have gone.
void tell_of_data(const ServerOptions& options) {
  const library::DataDir data = library::find_data_dir(options.data_dir.string());
  try {
    const std::string notice = library::default_checkpoint_notice(data, library::default_checkpoint(data));
    if (!notice.empty()) fmt::print(stderr, "warning: {}\n", notice);
  } catch (const Error& error) {  // a folder that cannot be read now may be there later
    fmt::print(stderr, "warning: {}\n", error.what());
  }
  const std::filesystem::path before = data.root / "lowrank-server", now = library::server_state_folder(data);
  std::error_code failure;
  if (options.state_dir.empty() && before != now && std::filesystem::exists(before / "queue.sqlite", failure))
    fmt::print(stderr,
               "warning: {} is from an earlier version and is not read; jobs and options lie in {} now.\n",
               before.string(), now.string());
}

}  // namespace

int serve(const CommandCall& call) {
  const ServerOptions options = parse_serve(call.words);
  std::signal(SIGPIPE, SIG_IGN);  // a client that went away is no reason to end
  server::Server server(options, resources(options.data_dir));
  const bool has_tls = !options.certificate_file.empty();
  const bool is_everywhere = options.address == "0.0.0.0" || options.address == "::";
  if (options.listen_without_auth && options.api_logins.empty() && !is_loopback(options.address))
    fmt::print(stderr, "warning: everyone who reaches {} may use this server; --api-auth sets a password.\n",
               options.address);
  tell_of_data(options);
  const auto url_of = [&](const std::string& host) {
    const bool is_v6 = host.find(':') != std::string::npos && !host.starts_with('[');
    return fmt::format("{}://{}:{}", has_tls ? "https" : "http", is_v6 ? "[" + host + "]" : host,
                       server.port());
  };
  const std::string url = url_of(is_everywhere ? "localhost" : options.address);
  fmt::print("Listening on {}  (API description: /docs; Ctrl-C ends)\n", url);
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
