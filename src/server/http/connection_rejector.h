// What becomes of connections beyond the limit: each is told 503 at once and closed when its client has read that.
// One thread for all of them, so that they cost neither threads nor the accepting thread's time.
#pragma once

#include <openssl/ssl.h>

#include <chrono>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

namespace lowrank::server {

class ConnectionRejector {
 public:
  // `tls` is not owned and outlives this; nullptr: plain sockets.
  explicit ConnectionRejector(SSL_CTX* tls);
  ~ConnectionRejector();
  ConnectionRejector(const ConnectionRejector&) = delete;
  ConnectionRejector& operator=(const ConnectionRejector&) = delete;

  // Takes a socket over that does not block. When too many are being told already, it is closed without a word.
  void add(int socket);

 private:
  struct Guest;
  void work(const std::stop_token& stop);
  // False when there is nothing more to do for it.
  static bool serve(Guest& guest);
  void wake() const;

  SSL_CTX* const tls_;
  int wake_ = -1;
  std::mutex mutex_;  // guards new_
  std::vector<std::unique_ptr<Guest>> new_;
  std::jthread thread_;
};

}  // namespace lowrank::server
