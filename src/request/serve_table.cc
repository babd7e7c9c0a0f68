#include "request/serve_table.h"

namespace lowrank::request {
namespace {

using S = ServeOptions;

#define FIELD(member)   \
  +[](S & s) -> auto& { \
    return s.member;    \
  }

// The names are those of A1111's launcher where it has them.
// clang-format off
constexpr ServeOption kServeOptions[] = {
    {.flag = "listen", .help = "accept connections from the network (0.0.0.0), not only from this machine; needs --api-auth", .field = FIELD(listens_everywhere)},
    {.flag = "server-name", .value = "ADDRESS", .help = "address to listen on", .field = FIELD(address)},
    {.flag = "port", .value = "N", .help = "port to listen on; 0: any free port", .field = FIELD(port), .min = 0, .max = 65535},
    {.flag = "api-auth", .value = "USER:PASSWORD", .help = "credentials for the API, separated by commas", .field = FIELD(api_logins)},
    {.flag = "api-auth-file", .value = "FILE", .help = "file with the API credentials, to keep them out of the process list", .field = FIELD(api_logins_file), .place = Place::kFile},
    {.flag = "gradio-auth", .value = "USER:PASSWORD", .help = "credentials for the web page", .field = FIELD(page_logins)},
    {.flag = "listen-without-auth", .help = "allow access from the network without a password", .field = FIELD(listen_without_auth)},
    {.flag = "cors-allow-origins", .value = "LIST", .help = "origins of web pages that may use the API, separated by commas; *: any", .field = FIELD(cors_origins)},
    {.flag = "cors-allow-origins-regex", .value = "REGEX", .help = "regular expression for allowed origins, matched in full", .field = FIELD(cors_expression)},
    {.flag = "tls-certfile", .value = "FILE", .help = "PEM certificate chain, for https", .field = FIELD(certificate_file), .place = Place::kFile},
    {.flag = "tls-keyfile", .value = "FILE", .help = "private key of the certificate", .field = FIELD(key_file), .place = Place::kFile},
    {.flag = "api", .help = "accepted for compatibility with A1111; the API is always on", .field = FIELD(api)},
    {.flag = "nowebui", .help = "do not serve the web page", .field = FIELD(has_no_page)},
    {.flag = "open", .help = "open the page in the web browser", .field = FIELD(opens_page)},
    {.flag = "autolaunch", .help = "A1111's name for --open", .field = FIELD(autolaunch)},
    {.flag = "api-server-stop", .help = "allow the API to stop the server", .field = FIELD(may_be_stopped)},
    {.flag = "max-queue", .value = "N", .help = "maximum number of queued jobs", .field = FIELD(max_queue), .min = 1, .max = 100000},
    {.flag = "max-steps", .value = "N", .help = "maximum steps per request", .field = FIELD(max_steps), .min = 1, .max = 1000},
    {.flag = "max-pixels", .value = "N", .help = "maximum pixels per picture", .field = FIELD(max_pixels), .min = 4096, .max = 67108864},
    {.flag = "max-body-mb", .value = "N", .help = "maximum request size in MB", .field = FIELD(max_body_mb), .min = 1, .max = 4096},
    {.flag = "max-connections", .value = "N", .help = "maximum number of simultaneous connections", .field = FIELD(max_connections), .min = 1, .max = 4096},
    {.flag = "keep-results-hours", .value = "H", .help = "how many hours to keep job results", .field = FIELD(keep_results_hours), .min = 0, .max = 100000},
    {.flag = "keep-results-mb", .value = "N", .help = "maximum disk space for job results in MB", .field = FIELD(keep_results_mb), .min = 0, .max = 1000000},
    {.flag = "state-dir", .value = "DIR", .help = "folder for queue and options (default: ~/.local/state/lowrank/server-KEY, with a KEY per data folder)", .field = FIELD(state_dir), .place = Place::kFolder},
    {.flag = "access-log", .value = "FILE", .help = "file for the access log; -: standard error, none: no log", .field = FIELD(access_log), .place = Place::kFile},
};
// clang-format on
#undef FIELD

}  // namespace

std::span<const ServeOption> serve_options() {
  return kServeOptions;
}

}  // namespace lowrank::request
