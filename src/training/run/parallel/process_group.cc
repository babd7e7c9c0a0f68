#include "training/run/parallel/process_group.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <fmt/format.h>
#include <netdb.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <exception>
#include <optional>
#include <string_view>
#include <utility>

#include "base/error.h"
#include "base/text/text.h"

#if LOWRANK_GLOO
#define USE_C10D_GLOO
#include <torch/csrc/distributed/c10d/ProcessGroupGloo.hpp>
#include <torch/csrc/distributed/c10d/TCPStore.hpp>
#endif

namespace lowrank::training {
namespace {

std::int64_t number_of(const std::function<const char*(const char*)>& variable, const char* name,
                       std::int64_t least, std::int64_t most) {
  const char* text = variable(name);
  const auto value = text == nullptr ? std::nullopt : parse_integer(text);
  if (!value || *value < least || *value > most)
    throw Error(kBadInput,
                "{} is {}, but must be a number from {} to {}: training with several processes needs RANK, "
                "WORLD_SIZE, MASTER_ADDR and MASTER_PORT, as torchrun sets them.",
                name, text == nullptr ? std::string("not set") : fmt::format("'{}'", text), least, most);
  return *value;
}

}  // namespace

ParallelPlace parallel_place(const std::function<const char*(const char*)>& variable) {
  constexpr std::int64_t kMostProcesses = 1024;
  const char* size = variable("WORLD_SIZE");
  if (size == nullptr || *size == 0) return {};
  ParallelPlace place;
  place.processes = static_cast<int>(number_of(variable, "WORLD_SIZE", 1, kMostProcesses));
  if (place.processes == 1) return place;
  place.rank = static_cast<int>(number_of(variable, "RANK", 0, place.processes - 1));
  const char* address = variable("MASTER_ADDR");
  if (address == nullptr || *address == 0)
    throw Error(kBadInput,
                "MASTER_ADDR is not set, but must name the machine of the process with RANK 0: {} processes "
                "were asked for with WORLD_SIZE.",
                place.processes);
  place.address = address;
  place.port = static_cast<int>(number_of(variable, "MASTER_PORT", 1, 65535));
  return place;
}

#if LOWRANK_GLOO

namespace {

constexpr std::chrono::minutes kGathering{10};
constexpr std::chrono::hours kSilence{2};  // samples and validation of the writer take long

// The address of this machine on the way to the writer: it may have several networks.
std::string own_address(const ParallelPlace& place) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_DGRAM;
  addrinfo* found = nullptr;
  if (::getaddrinfo(place.address.c_str(), std::to_string(place.port).c_str(), &hints, &found) != 0)
    throw Error(kBadInput, "MASTER_ADDR is '{}', which is the name of no machine.", place.address);
  std::string address;
  for (const addrinfo* at = found; at != nullptr && address.empty(); at = at->ai_next) {
    const int socket = ::socket(at->ai_family, at->ai_socktype, at->ai_protocol);
    if (socket < 0) continue;
    sockaddr_storage own{};
    socklen_t size = sizeof own;
    char text[NI_MAXHOST] = {};
    // Nothing is sent: the system only chooses the way.
    if (::connect(socket, at->ai_addr, at->ai_addrlen) == 0 &&
        ::getsockname(socket, reinterpret_cast<sockaddr*>(&own), &size) == 0 &&
        ::getnameinfo(reinterpret_cast<sockaddr*>(&own), size, text, sizeof text, nullptr, 0,
                      NI_NUMERICHOST) == 0)
      address = text;
    ::close(socket);
  }
  ::freeaddrinfo(found);
  if (address.empty())
    throw Error(kIo, "MASTER_ADDR is '{}', to which this machine has no way.", place.address);
  return address;
}

// Runs what speaks with the others. libtorch's and Gloo's exceptions end here.
template <class Talk>
auto talk(const ParallelPlace& place, const Talk& talk) {
  try {
    return talk();
  } catch (const Error&) {
    throw;
  } catch (const std::exception& error) {
    const std::string_view text = error.what();
    throw Error(kIo,
                "process {} of {} lost the others: one of them has ended or cannot be reached any more ({}). "
                "Look at its message, and start all of them again: the run goes on from its saved state.",
                place.rank, place.processes, text.substr(0, text.find('\n')));
  }
}

}  // namespace

struct ProcessGroup::Impl {
  ParallelPlace place;
  c10::intrusive_ptr<c10d::Store> store;
  c10::intrusive_ptr<c10d::ProcessGroupGloo> group;

  explicit Impl(const ParallelPlace& at) : place(at) {
    c10d::TCPStoreOptions options;
    options.port = static_cast<std::uint16_t>(place.port);
    options.isServer = place.rank == 0;
    options.numWorkers = static_cast<std::size_t>(place.processes);
    options.timeout = kGathering;
    store = c10::make_intrusive<c10d::TCPStore>(place.address, options);
    auto settings = c10d::ProcessGroupGloo::Options::create(kGathering);
    settings->devices.push_back(c10d::ProcessGroupGloo::createDeviceForHostname(own_address(place)));
    group = c10::make_intrusive<c10d::ProcessGroupGloo>(store, place.rank, place.processes, settings);
    settings->timeout = kSilence;
  }

  void sum(at::Tensor& numbers) {
    std::vector<at::Tensor> all = {numbers};
    c10d::AllreduceOptions options;
    options.timeout = kSilence;
    group->allreduce(all, options)->wait();
  }
  void send(at::Tensor& numbers) {
    std::vector<at::Tensor> all = {numbers};
    c10d::BroadcastOptions options;
    options.timeout = kSilence;
    group->broadcast(all, options)->wait();
  }
};

ProcessGroup::ProcessGroup(const ParallelPlace& place) {
  try {
    impl_ = std::make_unique<Impl>(place);
  } catch (const Error&) {
    throw;
  } catch (const std::exception& error) {
    const std::string_view text = error.what();
    throw Error(
        kIo,
        "process {} of {} did not meet the others at {}:{} ({}). Start all of them within {} minutes, "
        "with the same MASTER_ADDR and MASTER_PORT, and with a RANK each.",
        place.rank, place.processes, place.address, place.port, text.substr(0, text.find('\n')),
        kGathering.count());
  }
}

double ProcessGroup::sum_gradients(const std::vector<TrainedParameter>& parameters, double loss) {
  const at::NoGradGuard no_grad;
  // One message: all gradients, which of them are defined, and the loss as two float32, so that its digits survive.
  std::int64_t count = 0;
  for (const auto& parameter : parameters) count += parameter.tensor.numel();
  const auto kinds = static_cast<std::int64_t>(parameters.size());
  at::Tensor message = at::zeros({count + kinds + 2});
  std::int64_t from = 0;
  for (std::int64_t i = 0; i < kinds; ++i) {
    const at::Tensor& tensor = parameters[static_cast<std::size_t>(i)].tensor;
    if (tensor.grad().defined()) {
      message.narrow(0, from, tensor.numel()).copy_(tensor.grad().reshape(-1));
      message[count + i] = 1;
    }
    from += tensor.numel();
  }
  const auto coarse = static_cast<float>(loss);
  message[count + kinds] = coarse;
  message[count + kinds + 1] = loss - static_cast<double>(coarse);
  talk(impl_->place, [&] { impl_->sum(message); });
  from = 0;
  for (std::int64_t i = 0; i < kinds; ++i) {
    const at::Tensor& tensor = parameters[static_cast<std::size_t>(i)].tensor;
    if (message[count + i].item<float>() > 0)
      tensor.mutable_grad() = message.narrow(0, from, tensor.numel()).reshape(tensor.sizes()).clone();
    from += tensor.numel();
  }
  return message[count + kinds].item<double>() + message[count + kinds + 1].item<double>();
}

std::string ProcessGroup::broadcast(const std::string& bytes) {
  at::Tensor size = at::full({1}, static_cast<std::int64_t>(bytes.size()), at::TensorOptions(at::kLong));
  return talk(impl_->place, [&] {
    impl_->send(size);
    at::Tensor content = at::zeros({size.item<std::int64_t>()}, at::TensorOptions(at::kByte));
    if (is_writer()) std::copy(bytes.begin(), bytes.end(), static_cast<char*>(content.data_ptr()));
    if (content.numel() > 0) impl_->send(content);
    return std::string(static_cast<const char*>(content.data_ptr()),
                       static_cast<std::size_t>(content.numel()));
  });
}

#else

struct ProcessGroup::Impl {
  ParallelPlace place;
};

ProcessGroup::ProcessGroup(const ParallelPlace&) {
  throw Error(
      kUnsupported,
      "this program was built without Gloo, so that WORLD_SIZE must not be set; install libgloo-dev and "
      "build it again.");
}
double ProcessGroup::sum_gradients(const std::vector<TrainedParameter>&, double loss) {
  return loss;
}
std::string ProcessGroup::broadcast(const std::string& bytes) {
  return bytes;
}

#endif

ProcessGroup::~ProcessGroup() = default;
int ProcessGroup::rank() const {
  return impl_->place.rank;
}
int ProcessGroup::processes() const {
  return impl_->place.processes;
}

}  // namespace lowrank::training
