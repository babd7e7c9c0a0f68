// The part of the pickle machine that builds dictionaries of tensors. It calls nothing: a name from a short
// list is a mark, and "calling" it makes one of the plain values below. All values live in the machine's own
// lists, so neither cycles nor depth can harm.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "weights/tensor_view.h"

namespace lowrank::weights {

struct Nothing {};
struct Opaque {};  // accepted, never looked into
struct BigInteger {
  std::string_view bytes;
};  // little-endian two's complement, more than 8 bytes
struct Text {
  std::string_view text;
};  // views into the pickle
struct Binary {
  std::string_view bytes;
};
struct GlobalName {
  std::size_t row = 0;
};  // into the table of allowed names
struct CollectionRef {
  std::size_t index = 0;
};  // these three into Pickle's lists
struct StorageRef {
  std::size_t index = 0;
  std::size_t row = 0;  // its type in the table of allowed names
};
struct TensorRef {
  std::size_t index = 0;
};

using Value = std::variant<Nothing, Opaque, bool, std::int64_t, BigInteger, double, Text, Binary, GlobalName,
                           CollectionRef, StorageRef, TensorRef>;

enum class CollectionKind { kTuple, kList, kMap, kSet, kParameterDict };

struct Collection {
  CollectionKind kind = CollectionKind::kTuple;
  int depth = 1;             // 1 + that of its deepest item when that was put in
  std::vector<Value> items;  // of a map: key, value, key, value …
};

// A block of elements that lies outside the pickle, under a key.
struct StorageRecord {
  std::string_view key;
  std::size_t item = 4;  // bytes of an element
  std::uint64_t elements = 0;

  std::uint64_t bytes() const { return elements * item; }  // proven not to overflow
};

// Proven: offset, size and stride stay inside the storage.
struct TensorRecord {
  std::size_t storage = 0;
  DType dtype = DType::kF32;
  std::string_view foreign = {};  // the name of a type that LowRank does not know; "": `dtype` says it
  std::uint64_t offset = 0;       // in elements
  Shape size, stride;
};

struct Pickle {
  Value top;
  std::size_t consumed = 0;  // bytes up to and with STOP
  std::deque<Collection> collections;
  std::vector<StorageRecord> storages;
  std::vector<TensorRecord> tensors;

  const Collection* collection(const Value& value) const;  // null for other values
  const Collection* map(const Value& value) const;         // the same for maps only
  const Value* find(const Collection& map, std::string_view key) const;
};

// Runs the pickle at the start of `bytes`. Throws Error(kBadInput) that `label` was refused, and why.
Pickle run_pickle(std::span<const std::byte> bytes, const std::string& label);

// "a number", "a string" …: for notes on what was left out.
std::string_view describe_value(const Value& value, const Pickle& pickle);

}  // namespace lowrank::weights
