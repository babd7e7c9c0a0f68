// The whole server: options become a listening socket, a queue and a resident model.
#pragma once

#include <functional>
#include <memory>
#include <stop_token>

#include "pipeline/session.h"
#include "server/http/call.h"
#include "server/http/reply.h"
#include "server/server_options.h"

namespace lowrank::server {

class Server {
 public:
  // Opens the state folder and binds the socket. Throws Error with the remedy: an address that needs a
  // password, a port that is taken, a state folder that another server uses.
  Server(const ServerOptions& options, pipeline::Resources resources);
  ~Server();

  int port() const;
  // Serves until `stop` is requested or stop() is called; running work ends within a step.
  void run(const std::stop_token& stop);
  void stop();

  // What would be answered, for tests without a socket.
  Reply answer(const Call& call);

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace lowrank::server
