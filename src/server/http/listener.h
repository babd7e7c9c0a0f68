// The socket side of the server: accepts connections, reads requests within their limits and writes replies.
// One thread per connection, since A1111's clients hold a connection open until their picture is ready.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "request/serve_options.h"
#include "server/http/call.h"
#include "server/http/reply.h"

namespace lowrank::server {

struct ListenerOptions {
  std::string address;
  int port = 0;                            // 0: any free one
  std::string certificate_file, key_file;  // PEM; both empty: no TLS
  std::size_t body_bytes = request::ServeOptions().body_bytes();
  int connections = request::ServeOptions().max_connections;
};

// A request that has been answered.
struct AccessRecord {
  std::string client, method, target;
  int status = 0;
  std::size_t bytes = 0;  // of the body; 0 for events
  double seconds = 0;
};

struct ListenerHooks {
  // Before the body is read: a reply here ends the request.
  std::function<std::optional<Reply>(const Call& head)> gate;
  // Must not throw.
  std::function<Reply(const Call& call)> answer;
  // The reply to what never became a call: a broken head, a body that is too large.
  std::function<Reply(int status)> refuse;
  std::function<void(const AccessRecord& record)> log;
};

class Listener {
 public:
  // Binds at once. Throws Error(kConflict) when the address is taken, kBadInput for one that is none of this
  // machine's, kIo for certificates that cannot be used.
  Listener(const ListenerOptions& options, ListenerHooks hooks);
  ~Listener();

  int port() const;
  // Serves until stop(); returns when the last connection is closed.
  void run();
  // From any thread.
  void stop();
  bool is_stopping() const;
  int open_connections() const;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace lowrank::server
