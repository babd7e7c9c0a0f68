#include "server/http/listener.h"

#include <fcntl.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <condition_variable>
#include <cstring>
#include <mutex>
#include <optional>
#include <system_error>
#include <thread>

#include "base/error.h"
#include "base/text/ascii.h"
#include "server/http/connection.h"
#include "server/http/connection_rejector.h"
#include "server/http/gzip.h"
#include "server/http/url.h"

namespace lowrank::server {
namespace {

struct FreeTls {
  void operator()(SSL* tls) const { SSL_free(tls); }
  void operator()(SSL_CTX* context) const { SSL_CTX_free(context); }
};

// What is left of a request's Accept-Encoding, since cpp-httplib compresses by itself where it sees that.
constexpr const char* kAcceptsGzip = "X-Lowrank-Accepts-Gzip";

// The connection that this thread serves: cpp-httplib's callbacks carry no place for it.
thread_local Connection* present = nullptr;

// A thread for each connection, up to a limit.
class ConnectionThreads {
 public:
  explicit ConnectionThreads(int limit) : limit_(limit) {}

  // False when there are too many, or the system gives no more threads.
  bool start(std::function<void()> serve) {
    if (open_ >= limit_) return false;
    ++open_;
    try {
      std::thread([this, serve = std::move(serve)] {
        serve();
        const std::lock_guard lock(mutex_);
        --open_;
        changed_.notify_all();
      }).detach();
    } catch (const std::system_error&) {
      --open_;
      return false;
    }
    return true;
  }
  void wait_for_all() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return open_ == 0; });
  }
  int open() const { return open_; }

 private:
  const int limit_;
  std::atomic<int> open_{0};
  std::mutex mutex_;
  std::condition_variable changed_;
};

// Each connection is a file, and the usual limit of 1024 leaves little beside them.
void allow_open_files(int connections) {
  constexpr rlim_t kOthers = 2048;
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  const rlim_t wanted = static_cast<rlim_t>(connections) + kOthers;
  if (limit.rlim_cur >= wanted) return;
  limit.rlim_cur = std::min(limit.rlim_max, wanted);
  ::setrlimit(RLIMIT_NOFILE, &limit);
}

Call call_of(const httplib::Request& request) {
  Target target = parse_target(request.target);
  Call call{.method = request.method,
            .path = std::move(target.path),
            .place = {},
            .query = std::move(target.query),
            .headers = {},
            .client = request.remote_addr,
            .accepts_gzip = request.has_header(kAcceptsGzip)};
  for (const auto& [name, value] : request.headers) call.headers.try_emplace(lower_ascii(name), value);
  call.is_client_gone = [] { return present == nullptr || present->is_peer_gone(); };
  return call;
}

}  // namespace

class Listener::Impl : public httplib::Server {
 public:
  Impl(const ListenerOptions& options, ListenerHooks hooks)
      : options_(options), hooks_(std::move(hooks)), threads_(options.connections) {
    limits_.body_bytes = options.body_bytes;
    limits_.all_bodies_bytes = std::max<std::size_t>(4 * options.body_bytes, 64u << 20);
    if (!options.certificate_file.empty() || !options.key_file.empty()) open_tls();
    set_payload_max_length(options.body_bytes);
    set_keep_alive_timeout(limits_.idle.count());  // only told to clients; Connection keeps it
    set_keep_alive_max_count(100'000);
    set_socket_options([](socket_t socket) {
      const int yes = 1;
      setsockopt(socket, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes));
    });
    set_up_handlers();
    port_ = bind();
    accept_queued_connections();
    rejector_.emplace(tls_.get());
    allow_open_files(options_.connections);
  }
  ~Impl() override {
    ::close(svr_sock_);
    ::close(wake_);
  }
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;

  int port() const { return port_; }
  // In place of cpp-httplib's own loop, which takes any failure of accept() for the end.
  void run() {
    while (!is_stopping_) {
      pollfd entries[] = {{.fd = svr_sock_, .events = POLLIN, .revents = 0},
                          {.fd = wake_, .events = POLLIN, .revents = 0}};
      ::poll(entries, 2, -1);
      if (is_stopping_) break;
      const int socket = ::accept4(svr_sock_, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
      if (socket >= 0) {
        take(socket);
      } else if (errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR) {
        std::this_thread::sleep_for(std::chrono::milliseconds(5));  // no files or no memory, for a moment
      }
    }
    threads_.wait_for_all();
  }
  void request_stop() {
    is_stopping_ = true;
    const std::uint64_t one = 1;
    [[maybe_unused]] const auto written = ::write(wake_, &one, sizeof(one));
  }
  bool is_stopping() const { return is_stopping_; }
  int open_connections() const { return threads_.open(); }

 private:
  int bind() {
    const int port = options_.port == 0 ? bind_to_any_port(options_.address) : options_.port;
    if (options_.port != 0 && !bind_to_port(options_.address, options_.port))
      throw Error(kConflict,
                  "cannot listen on {}:{}: another program uses it, or the address does not belong to this "
                  "machine; choose another with --port.",
                  options_.address, options_.port);
    if (port <= 0)
      throw Error(kBadInput, "cannot listen on '{}': it is not an address of this machine.",
                  options_.address);
    return port;
  }

  // cpp-httplib lets five connections wait to be accepted; who comes sixth is reset or tries again a second later.
  void accept_queued_connections() {
    constexpr int kMostQueued = 4096;  // the system allows no more than net.core.somaxconn
    wake_ = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (wake_ < 0 || ::listen(svr_sock_, kMostQueued) != 0 ||
        ::fcntl(svr_sock_, F_SETFL, ::fcntl(svr_sock_, F_GETFL, 0) | O_NONBLOCK) != 0)
      throw Error(kIo, "cannot listen on {}:{} ({}).", options_.address, port_, std::strerror(errno));
  }

  void open_tls() {
    if (options_.certificate_file.empty() || options_.key_file.empty())
      throw Error(kBadInput, "TLS needs both --tls-certfile and --tls-keyfile.");
    tls_.reset(SSL_CTX_new(TLS_server_method()));
    LOWRANK_CHECK(tls_ != nullptr);
    SSL_CTX_set_min_proto_version(tls_.get(), TLS1_2_VERSION);
    SSL_CTX_set_mode(tls_.get(), SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    if (SSL_CTX_use_certificate_chain_file(tls_.get(), options_.certificate_file.c_str()) != 1)
      throw Error(kBadInput, "{} contains no readable PEM certificate.", options_.certificate_file);
    if (SSL_CTX_use_PrivateKey_file(tls_.get(), options_.key_file.c_str(), SSL_FILETYPE_PEM) != 1 ||
        SSL_CTX_check_private_key(tls_.get()) != 1)
      throw Error(kBadInput, "{} contains no private key that matches the certificate.", options_.key_file);
  }

  void set_up_handlers() {
    set_pre_routing_handler([this](const httplib::Request& request, httplib::Response& response) {
      const auto early = hooks_.gate(call_of(request));
      if (!early) return HandlerResponse::Unhandled;
      write_reply(*early, response);
      if (present->has_unread_body()) response.set_header("Connection", "close");
      return HandlerResponse::Handled;
    });
    const Handler handle = [this](const httplib::Request& request, httplib::Response& response) {
      present->mark_body_read();
      Call call = call_of(request);
      call.body = request.body;
      for (const auto& [name, part] : request.files)
        call.form.push_back({.name = name, .file_name = part.filename, .content = part.content});
      write_reply(hooks_.answer(call), response);
    };
    // before_routing() makes every path this one: paths are matched by the route table, not by regular
    // expressions.
    Get("/", handle)
        .Post("/", handle)
        .Put("/", handle)
        .Patch("/", handle)
        .Delete("/", handle)
        .Options("/", handle);
    set_error_handler(HandlerWithResponse([this](const httplib::Request&, httplib::Response& response) {
      if (!response.body.empty() || response.content_provider_) return HandlerResponse::Unhandled;
      if (present != nullptr && present->refusal() != 0) response.status = present->refusal();
      // What could not be read to its end must not be taken for the next request.
      if (present != nullptr) present->close_after_reply();
      response.set_header("Connection", "close");
      write_reply(hooks_.refuse(response.status), response);
      return HandlerResponse::Handled;
    }));
    set_logger([this](const httplib::Request& request, const httplib::Response& response) {
      hooks_.log({.client = request.remote_addr,
                  .method = request.method,
                  .target = request.target,
                  .status = response.status,
                  .bytes = std::max(response.body.size(), response.content_length_),
                  .seconds = present == nullptr ? 0 : present->seconds_since_start()});
    });
  }

  void before_routing(httplib::Request& request) {
    // Only long texts are compressed, by those who make them: pictures would cost seconds and hold nothing to gain.
    const bool takes_gzip = accepts_gzip(request.get_header_value("Accept-Encoding"));
    for (const char* name : {"Accept-Encoding", "Range", kAcceptsGzip}) request.headers.erase(name);
    if (takes_gzip) request.set_header(kAcceptsGzip, "1");
    request.ranges.clear();
    const bool is_chunked = lower_ascii(request.get_header_value("Transfer-Encoding")) == "chunked";
    const bool has_length = request.has_header("Content-Length");
    if (!is_chunked && !has_length)
      request.set_header("Content-Length", "0");  // else it would read until the end
    // The body is JSON whatever its type says (curl -d says it is a form). Only pictures to edit come as
    // forms.
    if (!request.target.starts_with("/v1/images/edits")) request.headers.erase("Content-Type");
    // Compressed bodies could unfold to any size: the gate refuses them by this header.
    if (request.has_header("Content-Encoding")) {
      request.headers.erase("Content-Encoding");
      request.set_header("X-Encoded-Body", "1");
    }
    present->begin_body(is_chunked ? 0 : request.get_header_value<std::uint64_t>("Content-Length"),
                        is_chunked);
    request.path = std::string(1, '/');
  }

  void write_reply(const Reply& reply, httplib::Response& response) const {
    response.status = reply.status;
    char seconds[32];
    std::snprintf(seconds, sizeof(seconds), "%.4f",
                  present == nullptr ? 0.0 : present->seconds_since_start());
    response.set_header("X-Process-Time", seconds);
    for (const auto& [name, value] : reply.headers) response.set_header(name, value);
    if (reply.kept) {
      response.set_content_provider(
          reply.kept->size(), reply.content_type,
          [text = reply.kept](std::size_t from, std::size_t length, httplib::DataSink& sink) {
            constexpr std::size_t kPiece = 1u << 18;
            const std::string piece = text->read(from, std::min(length, kPiece));
            return sink.write(piece.data(), piece.size());
          });
      return;
    }
    if (!reply.stream) {
      if (reply.body.empty()) {
        response.set_header("Content-Type", reply.content_type);
      } else {
        response.set_content(reply.body, reply.content_type);
      }
      return;
    }
    response.set_chunked_content_provider(
        reply.content_type, [this, next = reply.stream](std::size_t, httplib::DataSink& sink) {
          if (is_stopping_) return false;
          const auto text = next();
          if (!text) {
            sink.done();
            return true;
          }
          return text->empty() ? sink.is_writable() : sink.write(text->data(), text->size());
        });
  }

  void take(int socket) {
    const int yes = 1;
    ::setsockopt(socket, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof(yes));
    const bool is_taken = threads_.start([this, socket] {
      std::unique_ptr<SSL, FreeTls> tls(tls_ ? SSL_new(tls_.get()) : nullptr);
      serve(socket, tls.get());
      tls.reset();
      ::close(socket);
    });
    if (!is_taken) rejector_->add(socket);
  }

  void serve(int socket, SSL* tls) {
    Connection connection(socket, tls, limits_, bodies_);
    if (tls != nullptr) {
      SSL_set_fd(tls, socket);
      SSL_set_accept_state(tls);
    }
    present = &connection;
    bool is_closed = false;
    while (!is_closed && connection.wait_for_request(is_stopping_)) {
      const bool ok = process_request(connection, is_stopping_, is_closed,
                                      [this](httplib::Request& request) { before_routing(request); });
      if (!ok || connection.is_broken() || connection.refusal() != 0 || connection.has_unread_body() ||
          connection.is_to_close())
        break;
    }
    present = nullptr;
    connection.finish();
  }

  const ListenerOptions options_;
  const ListenerHooks hooks_;
  ConnectionLimits limits_;
  std::unique_ptr<SSL_CTX, FreeTls> tls_;
  std::atomic<std::size_t> bodies_{0};
  std::atomic<bool> is_stopping_{false};
  int port_ = 0, wake_ = -1;
  std::optional<ConnectionRejector> rejector_;
  ConnectionThreads threads_;
};

Listener::Listener(const ListenerOptions& options, ListenerHooks hooks)
    : impl_(std::make_unique<Impl>(options, std::move(hooks))) {}
Listener::~Listener() = default;
int Listener::port() const {
  return impl_->port();
}
void Listener::run() {
  impl_->run();
}
void Listener::stop() {
  impl_->request_stop();
}
bool Listener::is_stopping() const {
  return impl_->is_stopping();
}
int Listener::open_connections() const {
  return impl_->open_connections();
}

}  // namespace lowrank::server
