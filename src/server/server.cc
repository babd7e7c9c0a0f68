#include "server/server.h"

#include <fcntl.h>
#include <fmt/chrono.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <ctime>
#include <mutex>
#include <new>
#include <thread>

#include "base/error.h"
#include "base/file_error.h"
#include "base/freed_memory.h"
#include "base/log_line.h"
#include "base/loopback.h"
#include "library/index/state_dir.h"
#include "server/http/listener.h"
#include "server/http/refusal.h"
#include "server/http/url.h"
#include "server/route_table.h"

namespace lowrank::server {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kLargeBody = 1u << 20;

// Two servers must not work on one queue.
class StateLock {
 public:
  explicit StateLock(const fs::path& folder) {
    std::error_code failure;
    fs::create_directories(folder, failure);
    const fs::path file = folder / "lock";
    descriptor_ = ::open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (descriptor_ < 0)
      throw Error(kIo, "{} is not writable; choose another folder with --state-dir.", file.string());
    if (::flock(descriptor_, LOCK_EX | LOCK_NB) != 0) {
      ::close(descriptor_);
      throw Error(kConflict, "another server uses {}; stop it, or choose another folder with --state-dir.",
                  folder.string());
    }
  }
  ~StateLock() { ::close(descriptor_); }
  StateLock(const StateLock&) = delete;
  StateLock& operator=(const StateLock&) = delete;

 private:
  int descriptor_ = -1;
};

class AccessLog {
 public:
  explicit AccessLog(const std::string& target) {
    if (target.empty()) return;
    file_ = target == "-" ? stderr : std::fopen(target.c_str(), "ae");
    if (file_ == nullptr) throw Error(kIo, "the access log {} cannot be written.", target);
  }
  ~AccessLog() {
    if (file_ != nullptr && file_ != stderr) std::fclose(file_);
  }
  AccessLog(const AccessLog&) = delete;
  AccessLog& operator=(const AccessLog&) = delete;

  void write(const AccessRecord& record) {
    if (file_ == nullptr) return;
    const std::string target = harmless(record.target, 500), method = harmless(record.method, 20);
    const std::lock_guard lock(mutex_);
    log_line(file_, "{:%Y-%m-%d %H:%M:%S} {} {} {} {} {} bytes {:.3f} s\n",
             fmt::localtime(std::time(nullptr)), record.client.empty() ? "-" : record.client, method, target,
             record.status, record.bytes, record.seconds);
    std::fflush(file_);
  }

 private:
  // Only what ASCII prints: a line stays a line, and a terminal that shows it obeys nobody.
  static std::string harmless(const std::string& text, std::size_t most) {
    if (text.empty()) return "-";
    std::string shown = text.substr(0, most);
    std::ranges::replace_if(
        shown, [](unsigned char c) { return c <= 0x20 || c >= 0x7f; }, '?');
    return shown;
  }

  std::FILE* file_ = nullptr;
  std::mutex mutex_;
};

const ServerOptions& checked(const ServerOptions& options) {
  if (!is_loopback(options.serve.address) && options.api_logins.empty() && !options.serve.listen_without_auth)
    throw Error(kBadInput,
                "listening on {} lets anyone on the network use this machine: set --api-auth user:password, "
                "or pass --listen-without-auth if that is intended.",
                options.serve.address);
  return options;
}

fs::path state_folder(const ServerOptions& options) {
  return options.serve.state_dir.empty()
             ? library::server_state_folder(library::find_data_dir(options.data_dir.string()))
             : options.serve.state_dir;
}

ErrorForm error_form(std::string_view path) {
  return path.starts_with("/v1/images/") || path == "/v1/models" ? ErrorForm::kOpenAi : ErrorForm::kA1111;
}

Reply fault_reply(std::string_view path, int status, const Json& detail) {
  return error_form(path) == ErrorForm::kOpenAi ? openai_error_reply(status, detail)
                                                : error_reply(status, detail);
}

}  // namespace

class Server::Impl {
 public:
  Impl(const ServerOptions& options, pipeline::Resources resources)
      : options_(checked(options)),
        lock_(state_folder(options)),
        log_(options.serve.access_log == "none" ? "" : options.serve.access_log),
        origins_(options.serve.cors_origins, options.serve.cors_expression),
        hashes_(pipeline::PackedCache(options.packed_cache).hash_memo()),
        settings_(state_folder(options) / "options.json"),
        catalog_(library::find_data_dir(options.data_dir.string()), hashes_),
        library_service_(catalog_.data()),
        lora_listing_(library_service_, state_folder(options)),
        embeddings_(catalog_.data().embeddings()),
        outputs_(catalog_.data().outputs()),
        datasets_(catalog_.data()),
        trainings_(state_folder(options) / "trainings"),
        queue_(state_folder(options) / "queue.sqlite", options.queue, events_),
        listener_({.address = options.serve.address,
                   .port = options.serve.port,
                   .certificate_file = options.serve.certificate_file,
                   .key_file = options.serve.key_file,
                   .body_bytes = options.serve.body_bytes(),
                   .connections = options.serve.max_connections},
                  {.gate = [this](const Call& call) { return gate(call); },
                   .answer = [this](const Call& call) { return answer(call); },
                   .refuse = [](int status) { return error_reply(status, refusal_text(status)); },
                   .log = [this](const AccessRecord& record) { log_.write(record); }}),
        engine_({.queue = queue_,
                 .events = events_,
                 .options = settings_,
                 .catalog = catalog_,
                 .outputs = outputs_,
                 .trainings = trainings_,
                 .resources = std::move(resources),
                 .session = {.threads = options.threads,
                             .version = options.version,
                             .packed_cache = options.packed_cache,
                             .int8 = options.int8,
                             .prompt_limits = options.limits.prompt},
                 .limits = options.limits,
                 .use_local_names = local_names_of(library_service_)}),
        imports_({.queue = queue_, .events = events_, .data = catalog_.data(), .version = options.version}),
        services_{.options = options_,
                  .queue = queue_,
                  .events = events_,
                  .settings = settings_,
                  .catalog = catalog_,
                  .library_service = library_service_,
                  .lora_listing = lora_listing_,
                  .embeddings = embeddings_,
                  .outputs = outputs_,
                  .datasets = datasets_,
                  .trainings = trainings_,
                  .engine = engine_,
                  .imports = imports_,
                  .metrics = metrics_,
                  .open_connections = [this] { return listener_.open_connections(); },
                  .is_stopping = [this] { return listener_.is_stopping(); },
                  .stop = [this] { stop(); }} {
    try {
      catalog_.checkpoints();  // their hashes are computed from now on
    } catch (const Error& error) {
      log_line(stderr, "warning: {}\n", error.what());  // requests say so, too, until it is mended
    }
  }

  int port() const { return listener_.port(); }

  void run(const std::stop_token& stop_token) {
    const std::stop_callback on_stop(stop_token, [this] { stop(); });
    listener_.run();
  }

  // The queue first: attached jobs end, so that their connections can be answered before they are closed.
  void stop() {
    queue_.stop();
    listener_.stop();
  }

  Reply answer(const Call& asked) {
    const auto start = std::chrono::steady_clock::now();
    std::string route = "none";
    Reply reply = dispatch(asked, route);
    if (asked.accepts_gzip) compress(reply);
    add_cross_origin(asked, reply);
    if (reply.status >= 400 && asked.body.size() > kLargeBody) give_back_freed_memory();
    metrics_.count_request(asked.method, route, reply.status,
                           std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
    return reply;
  }

  // Before the body is read: who is asking, from where.
  std::optional<Reply> gate(const Call& call) {
    auto refused = check_access(call);
    if (refused) {
      add_cross_origin(call, *refused);
      metrics_.count_request(call.method, "refused", refused->status, 0);
    }
    return refused;
  }

 private:
  static std::string refusal_text(int status) {
    switch (status) {
      case 408:
        return "the request took too long to arrive.";
      case 413:
        return "the request is too large.";
      case 414:
        return "the address is too long.";
      case 431:
        return "the headers are too large.";
      case 503:
        return "too much data is being sent at once; try again later.";
      default:
        return "the request is malformed.";
    }
  }

  std::optional<Reply> check_access(const Call& call) {
    if (is_loopback(options_.serve.address) && !is_loopback(host_name(call.header("host"))))
      // A page of another site may have made its name lead to this machine.
      return error_reply(
          403, "this server only accepts requests for localhost; use --listen for other host names.");
    const std::string origin = call.header("origin");
    const bool is_foreign =
        !origin.empty() && !is_same_origin(origin, call.header("host")) && !origins_.allows(origin);
    if (is_foreign && call.method != "GET" && call.method != "HEAD")
      return error_reply(403, "requests from other sites are not allowed; see --cors-allow-origins.");
    if (call.method == "OPTIONS") return std::nullopt;
    if (!call.header("x-encoded-body").empty())
      return error_reply(415, "compressed requests are not supported.");
    const RouteRow* row = find_route(call.method == "HEAD" ? "GET" : call.method, call.path, nullptr);
    const Access access = row == nullptr ? Access::kApi : row->access;
    const auto& logins = access == Access::kPage ? options_.page_logins : options_.api_logins;
    if (access == Access::kOpen || logins.empty()) return std::nullopt;
    const std::string credentials = call.header("authorization");
    if (is_authorized(credentials, logins)) return std::nullopt;
    return fault_reply(call.path, 401,
                       credentials.empty() ? "Not authenticated" : "Incorrect username or password");
  }

  static const RouteRow* find_route(std::string_view method, std::string_view path,
                                    std::map<std::string, std::string, std::less<>>* place) {
    for (const RouteRow& row : route_table()) {
      if (row.method != method) continue;
      auto found = match_path(row.path, path);
      if (!found) continue;
      if (place != nullptr) *place = std::move(*found);
      return &row;
    }
    return nullptr;
  }

  // Methods of the routes that fit a path, but for the page's files, which fit any.
  static std::string allowed_methods(std::string_view path) {
    std::string methods;
    for (const RouteRow& row : route_table()) {
      if (row.path == "/{*file}" || !match_path(row.path, path)) continue;
      methods += (methods.empty() ? "" : ", ") + std::string(row.method);
    }
    return methods;
  }

  Reply dispatch(const Call& asked, std::string& route) {
    if (asked.method == "OPTIONS") return preflight(asked);
    try {
      Call call = asked;
      const RouteRow* row = find_route(call.method == "HEAD" ? "GET" : call.method, call.path, &call.place);
      // A file's name may be anything; a route of another method is told apart from it.
      const std::string allowed = allowed_methods(call.path);
      if (row == nullptr || (row->path == "/{*file}" && !allowed.empty())) {
        if (allowed.empty()) return fault_reply(call.path, 404, "Not Found");
        Reply reply = fault_reply(call.path, 405, "Method Not Allowed");
        reply.headers.emplace_back("Allow", allowed);
        return reply;
      }
      route = row->path;
      return row->handler(services_, call);
    } catch (const Refusal& refusal) {
      return fault_reply(asked.path, refusal.status(), refusal.detail());
    } catch (const Error& error) {
      return fault_reply(asked.path, http_status(error.code()), error.what());
    } catch (const fs::filesystem_error& error) {
      return fault_reply(asked.path, 500, file_error(error).what());
    } catch (const std::bad_alloc&) {
      return fault_reply(asked.path, 500, "out of memory.");
    } catch (const std::exception& error) {
      log_line(stderr, "error: {} {}: {}\n", asked.method, route, error.what());
      return fault_reply(asked.path, 500, "internal error; please report this.");
    }
  }

  Reply preflight(const Call& call) {
    Reply reply{.status = 405, .body = R"({"detail":"Method Not Allowed"})"};
    const std::string methods = allowed_methods(call.path);
    if (!methods.empty()) reply.headers.emplace_back("Allow", methods);
    if (!origins_.allows(call.header("origin"))) return reply;
    reply.status = 200;
    reply.body = "{}";
    const std::string headers = call.header("access-control-request-headers");
    reply.headers.emplace_back("Access-Control-Allow-Methods", "GET, POST, PUT, PATCH, DELETE, OPTIONS");
    if (!headers.empty() && headers.size() < 1024)
      reply.headers.emplace_back("Access-Control-Allow-Headers", headers);
    reply.headers.emplace_back("Access-Control-Max-Age", "600");
    return reply;
  }

  void add_cross_origin(const Call& call, Reply& reply) const {
    const std::string origin = call.header("origin");
    if (origin.empty() || !origins_.allows(origin)) return;
    reply.headers.emplace_back("Access-Control-Allow-Origin", origin);
    reply.headers.emplace_back("Access-Control-Allow-Credentials", "true");
    reply.headers.emplace_back("Vary", "Origin");
  }

  const ServerOptions options_;
  const StateLock lock_;
  AccessLog log_;
  const CrossOrigin origins_;
  EventLog events_;
  Metrics metrics_;
  HashCache hashes_;
  OptionStore settings_;
  ModelCatalog catalog_;
  LibraryService library_service_;
  LoraListing lora_listing_;
  EmbeddingCache embeddings_;
  OutputFolder outputs_;
  DatasetStore datasets_;
  TrainingRuns trainings_;
  JobQueue queue_;
  Listener listener_;
  Engine engine_;
  ImportWorkers imports_;
  Services services_;
};

Server::Server(const ServerOptions& options, pipeline::Resources resources)
    : impl_(std::make_unique<Impl>(options, std::move(resources))) {}
Server::~Server() = default;
int Server::port() const {
  return impl_->port();
}
void Server::run(const std::stop_token& stop) {
  impl_->run(stop);
}
void Server::stop() {
  impl_->stop();
}
Reply Server::answer(const Call& call) {
  if (auto refused = impl_->gate(call)) return *refused;
  return impl_->answer(call);
}

}  // namespace lowrank::server
