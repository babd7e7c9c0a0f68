#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <numeric>

#include "weights/crafted.h"
#include "weights/pickle/reader.h"
#include "weights/pickle_builder.h"

namespace lowrank::weights {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using namespace pickle;

std::string refusal(const std::string& file) {
  return error_of([&] { read_pickle("x.pt", as_bytes(file), nullptr); });
}

std::vector<float> counted(std::size_t count) {
  std::vector<float> values(count);
  std::iota(values.begin(), values.end(), 0.0f);
  return values;
}

std::vector<float> values_of(const TensorFile& file, const std::string& name) {
  const TensorView* view = file.find(name);
  if (view == nullptr) {
    ADD_FAILURE() << "no tensor " << name;
    return {};
  }
  return to_floats(*view);
}

// ── what torch.save wrote ──

// Values of torch 2.15 (tools/fixtures/make_scaled_numbers.py).
TEST(Pickle, NewerTypesAndObjectsAreRead) {
  const auto file = TensorFile::open(fixture("pickle/newer.pt"));
  EXPECT_THAT(values_of(*file, "float8"), ElementsAre(1, -2, 0.5f, 3, 4, -0.25f));
  EXPECT_EQ(file->find("float8")->dtype, DType::kF8E4M3);
  EXPECT_THAT(values_of(*file, "float8_columns"), ElementsAre(1, -2, 0.5f, 3, 4, -0.25f));
  EXPECT_EQ(file->find("float8_columns")->shape, (Shape{2, 3}));
  EXPECT_THAT(values_of(*file, "fnuz"), ElementsAre(1, -2));
  EXPECT_THAT(values_of(*file, "uint16"), ElementsAre(60000, 60001, 60002));
  EXPECT_THAT(values_of(*file, "uint32"), ElementsAre(0, 1, 2));
  EXPECT_THAT(values_of(*file, "offset"), ElementsAre(2, 3, 4));
  EXPECT_THAT(values_of(*file, "parameter"), ElementsAre(1, 1));
  EXPECT_THAT(values_of(*file, "marked"), ElementsAre(0, 1, 2));
  EXPECT_EQ(file->tensors().size(), 8u);
  EXPECT_THAT(file->notes(),
              ::testing::Contains(HasSubstr("'complex' is skipped: its type ComplexFloatStorage")));
}

class SavedState : public ::testing::TestWithParam<const char*> {};

TEST_P(SavedState, HasEveryTensorWithItsValues) {
  const auto file = TensorFile::open(fixture(std::string("pickle/") + GetParam()));
  EXPECT_EQ(file->container(), Container::kPickle);
  EXPECT_EQ(file->tensors().size(), 19u);
  for (const TensorView& view : file->tensors()) {
    EXPECT_EQ(view.bytes.size(), static_cast<std::size_t>(view.elements()) * item_size(view.dtype))
        << view.name;
    auto expected = counted(static_cast<std::size_t>(view.elements()));
    if (view.name == "slice") expected = {4, 5, 6};
    if (view.name == "expanded") expected = {0, 0, 0};
    EXPECT_EQ(to_floats(view), expected) << view.name;
  }
  EXPECT_EQ(file->tensors()[0].name, "float32");
  EXPECT_EQ(file->find("float32")->shape, (Shape{2, 3}));
  EXPECT_EQ(file->find("transposed")->shape, (Shape{3, 2}));
  EXPECT_EQ(file->find("int64")->shape, Shape{});
  EXPECT_EQ(file->find("bfloat16")->dtype, DType::kBF16);
  EXPECT_EQ(file->find("bool")->dtype, DType::kBool);
  EXPECT_EQ(file->find("empty")->shape, (Shape{0, 7}));
  EXPECT_EQ(file->find("twice.a")->bytes.data(), file->find("twice.b")->bytes.data());
  EXPECT_TRUE(file->notes().empty());
}

INSTANTIATE_TEST_SUITE_P(Forms, SavedState,
                         ::testing::Values("state.pt", "state-legacy.pt", "state-protocol4.pt"));

TEST(PickleRead, RowMajorTensorsAreNotCopied) {
  const auto file = TensorFile::open(fixture("pickle/state.pt"));
  const auto inside = [&](const char* name) {
    const auto* at = file->find(name)->bytes.data();
    return at >= file->file_bytes().data() && at < file->file_bytes().data() + file->file_bytes().size();
  };
  EXPECT_TRUE(inside("float32"));
  EXPECT_TRUE(inside("view"));
  EXPECT_FALSE(inside("transposed"));
}

TEST(PickleRead, StateOfAnOrderedDictIsDropped) {
  const auto file = TensorFile::open(fixture("pickle/module.pt"));
  EXPECT_EQ(values_of(*file, "weight"), counted(6));
  EXPECT_EQ(values_of(*file, "bias"), counted(2));
  EXPECT_EQ(file->tensors().size(), 2u);
}

TEST(PickleRead, InnerStateDictIsTaken) {
  for (const char* name : {"pickle/lightning.ckpt", "pickle/lightning-legacy.ckpt"}) {
    const auto file = TensorFile::open(fixture(name));
    ASSERT_EQ(file->tensors().size(), 1u);
    EXPECT_EQ(values_of(*file, "weight"), counted(4));
  }
}

TEST(PickleRead, TextualInversionsAreSpreadOutAndTheRestIsNoted) {
  for (const char* name : {"pickle/embedding-a1111.pt", "pickle/embedding-parameterdict.pt"}) {
    const auto file = TensorFile::open(fixture(name));
    ASSERT_EQ(file->tensors().size(), 1u) << name;
    EXPECT_EQ(values_of(*file, "string_to_param.*"), counted(8)) << name;
  }
  const auto file = TensorFile::open(fixture("pickle/embedding-a1111.pt"));
  const auto notes = file->notes();
  ASSERT_EQ(notes.size(), 5u);
  EXPECT_EQ(notes[0], "'string_to_token' is skipped: it is a dictionary, not a tensor.");
  EXPECT_EQ(notes[1], "'name' is skipped: it is a string, not a tensor.");
  EXPECT_EQ(notes[2], "'step' is skipped: it is a number, not a tensor.");
}

TEST(PickleRead, EveryTruncationIsRefused) {
  for (const char* name : {"pickle/state.pt", "pickle/state-legacy.pt"}) {
    const std::string whole = contents_of(fixture(name));
    for (std::size_t size = 0; size < whole.size(); ++size)
      ASSERT_NE(refusal(whole.substr(0, size)), "") << name << " " << size;
  }
}

TEST(PickleRead, EveryFlippedByteIsReadOrRefused) {
  for (const char* name :
       {"pickle/state.pt", "pickle/lightning-legacy.ckpt", "pickle/embedding-parameterdict.pt"}) {
    const std::string whole = contents_of(fixture(name));
    for (std::size_t i = 0; i < whole.size(); ++i) {
      for (const char flip : {'\x01', '\x10', '\x80'}) {
        std::string damaged = whole;
        damaged[i] = static_cast<char>(damaged[i] ^ flip);
        error_of([&] {
          const auto file = read_pickle("x.pt", as_bytes(damaged), nullptr);
          for (const auto& view : file->tensors()) to_floats(view);
        });
      }
    }
  }
}

// ── hostile programs ──

TEST(PickleRefuses, FunctionsByName) {
  const auto refused = [](const char* name) {
    return error_of([&] { TensorFile::open(fixture(std::string("pickle/") + name)); });
  };
  EXPECT_THAT(refused("hostile-system.pt"), HasSubstr("refused: posix.system"));
  EXPECT_THAT(refused("hostile-system-legacy.pt"), HasSubstr("refused: posix.system"));
  EXPECT_THAT(refused("hostile-eval.pt"), HasSubstr("refused: builtins.eval"));
  EXPECT_THAT(refused("hostile-inst.pt"), HasSubstr("opcode 0x69"));
  EXPECT_THAT(refused("hostile-inst.pt"), HasSubstr(".safetensors"));
  EXPECT_THAT(refused("plain.pt"), HasSubstr("not from PyTorch"));
  EXPECT_THAT(refused("compressed.pt"), HasSubstr("compressed"));
  EXPECT_FALSE(std::filesystem::exists("harm.txt"));
}

struct Program {
  const char* what;
  std::string program;
  const char* says;
};

const std::string kStorage = storage("FloatStorage", "0", 4);

std::string weight(std::int64_t offset, const std::vector<std::int64_t>& size,
                   const std::vector<std::int64_t>& stride) {
  return dictionary(tensor(kStorage, offset, size, stride));
}

std::vector<Program> hostile_programs() {
  const std::string rebuild = global("torch._utils", "_rebuild_tensor_v2");
  const auto value = [](const std::string& code) { return dictionary(code); };
  std::string marks(65, '('), nested;
  for (int i = 0; i < 65; ++i) nested += kEmptyList;
  nested += std::string(64, 'a');
  const std::int64_t big = std::int64_t{1} << 62;
  return {
      {"OsSystem", value(global("os", "system") + tuple({text("harm")}) + kReduce), "refused: os.system"},
      {"BuiltinEval", value(global("__builtin__", "eval")), "refused: __builtin__.eval"},
      {"SubprocessByStack", value(text("subprocess") + text("Popen") + "\x93"), "refused: subprocess.Popen"},
      {"StorageClassOfTorch", value(global("torch.storage", "_load_from_bytes")),
       "refused: torch.storage._load_from_bytes"},
      {"NameWithControlBytes", value(global("a\x1b[2J", "b")), "refused: a?[2J.b"},
      {"NameWithoutEnd", kProto + "cos", "name in the pickle is too long"},
      {"EndlessName", kProto + "c" + std::string(1000, 'x') + "\ny\n", "too long"},
      {"StackGlobalOfNumbers", value(number(1) + number(2) + "\x93"), "other than a string where a name"},
      {"Inst", kProto + "(ios\nsystem\n.", "opcode 0x69"},
      {"Obj", kProto + "(" + global("collections", "OrderedDict") + "o.", "opcode 0x6f"},
      {"NewObj", value(global("collections", "OrderedDict") + kEmptyTuple + "\x81"), "NEWOBJ"},
      {"NewObjEx", value(global("collections", "OrderedDict") + kEmptyTuple + kEmptyDict + "\x92"),
       "opcode 0x92"},
      {"Ext1", value(std::string("\x82\x01", 2)), "opcode 0x82"},
      {"PersId", value("P0\n"), "opcode 0x50"},
      {"NextBuffer", value("\x97"), "opcode 0x97"},
      {"ReadonlyBuffer", value("\x98"), "opcode 0x98"},
      {"Int", value("I1\n"), "opcode 0x49"},
      {"Long", value("L1L\n"), "opcode 0x4c"},
      {"String", value("S'a'\n"), "opcode 0x53"},
      {"Put",
       value("N"
             "p0\n"),
       "opcode 0x70"},
      {"ProtocolSix", "\x80\x06N.", "protocol 6"},
      {"NoStop", kProto + kNone, "truncated"},
      {"FrameLongerThanPickle", kProto + "\x95" + little(std::uint64_t{100}) + "N.", "truncated"},
      {"TextLongerThanPickle", kProto + "X" + little(~0u) + "abc.", "truncated"},
      {"TextOf2Power64", kProto + "\x8d" + little(~0ull) + "abc.", "truncated"},
      {"NegativeLong", kProto + "\x8b" + little(-5) + "abc.", "negative length"},
      {"NegativeString", kProto + "T" + little(-5) + "abc.", "negative length"},
      {"EmptyStack", kProto + kStop, "inconsistent stack"},
      {"TwoValues", kProto + "NN.", "inconsistent stack"},
      {"OpenMark", kProto + "N(.", "inconsistent stack"},
      {"PopOfNothing", kProto + "0.", "empty stack"},
      {"AppendBelowMark", kProto + kEmptyList + "(a.", "empty stack"},
      {"TupleWithoutMark", kProto + "Nt.", "a missing mark"},
      {"GetOfNothing", kProto + std::string("h\x05.", 3), "never stored"},
      {"OddDictionary", kProto + "(Nd.", "key without a value"},
      {"AppendToNumber", kProto + number(1) + "Na.", "not a container"},
      {"AppendToDict", kProto + kEmptyDict + "Na.", "another type"},
      {"SetItemOfList", kProto + kEmptyList + "NNs.", "another type"},
      {"DeepMarks", kProto + marks, "nested too deeply"},
      {"DeepLists", kProto + nested + kStop, "nested too deeply"},
      {"ReduceOfText", value(text("x") + kEmptyTuple + kReduce), "not a function"},
      {"ReduceOfStorageType", value(global("torch", "FloatStorage") + kEmptyTuple + kReduce),
       "calls torch.FloatStorage"},
      {"ReduceWithoutTuple", value(global("collections", "OrderedDict") + kNone + kReduce),
       "other than a tuple"},
      {"OrderedDictOfNumber", value(global("collections", "OrderedDict") + tuple({number(1)}) + kReduce),
       "other than pairs"},
      {"BuildOnNumber", kProto + number(1) + kEmptyDict + "b.", "sets the state"},
      {"BuildOnTensor", value(tensor(kStorage, 0, {4}, {1}) + kEmptyDict + "b"), "sets the state"},
      {"PersIdOfText", value(text("0") + kPersId), "other than a tuple"},
      {"PersIdOfModule",
       value(tuple({text("module"), global("torch", "FloatStorage"), text("0"), text("cpu"), number(4)}) +
             kPersId),
       "other than a storage"},
      {"PersIdWithFunction",
       value(tuple({text("storage"), rebuild, text("0"), text("cpu"), number(4)}) + kPersId), "has the type"},
      {"PersIdNegative", value(storage("FloatStorage", "0", -4)), "not a non-negative number"},
      {"PersIdOverflow", value(storage("DoubleStorage", "0", big)), "overflows"},
      {"PersIdShort", value(tuple({text("storage")}) + kPersId), "unsupported form"},
      {"PersIdView",
       value(tuple({text("storage"), global("torch", "FloatStorage"), text("0"), text("cpu"), number(4),
                    numbers({0, 1})}) +
             kPersId),
       "view of another"},
      {"TensorWithoutStorage", value(tensor(kNone, 0, {4}, {1})), "no storage"},
      {"TensorTooShort", value(rebuild + tuple({kStorage}) + kReduce), "unsupported form"},
      {"NegativeOffset", weight(-1, {4}, {1}), "offset of a tensor"},
      {"NegativeSize", weight(0, {-4}, {1}), "size of a tensor"},
      {"NegativeStride", weight(3, {4}, {-1}), "stride of a tensor"},
      {"SizeAndStrideDiffer", weight(0, {2, 2}, {2}), "different number of strides"},
      {"OutOfBoundsBySize", weight(0, {5}, {1}), "beyond its storage"},
      {"OutOfBoundsByOffset", weight(1, {4}, {1}), "beyond its storage"},
      {"OutOfBoundsByStride", weight(0, {2, 2}, {3, 1}), "beyond its storage"},
      {"ScalarOutOfBounds", weight(4, {}, {}), "beyond its storage"},
      {"ReachOverflows", weight(0, {3}, {big}), "beyond its storage"},
      {"ReachWrapsRound", weight(big, {3, 3}, {big, big / 2}), "beyond its storage"},
      {"ElementsOverflow", weight(0, {big, 8}, {0, 0}), "overflows"},
      {"ExpandedBomb", weight(0, {big}, {0}), "much larger than its data"},
      {"NineDimensions", weight(0, {1, 1, 1, 1, 1, 1, 1, 1, 1}, {1, 1, 1, 1, 1, 1, 1, 1, 1}), "dimensions"},
      {"StorageMissing", dictionary(tensor(storage("FloatStorage", "7", 4), 0, {4}, {1})),
       "data of 'w' is missing"},
      {"StorageOfOtherSize", dictionary(tensor(storage("FloatStorage", "0", 8), 0, {4}, {1})),
       "16 bytes instead of 32"},
      {"StorageOfOtherType", dictionary(tensor(storage("HalfStorage", "0", 4), 0, {4}, {1})),
       "16 bytes instead of 8"},
      {"StorageKeyClimbs", dictionary(tensor(storage("FloatStorage", "../0", 4), 0, {4}, {1})), "missing"},
      {"KeyTwice",
       kProto + kEmptyDict + kMark + text("w") + tensor(kStorage, 0, {4}, {1}) + text("w") +
           tensor(kStorage, 0, {4}, {1}) + kSetItems + kStop,
       "'w' occurs twice"},
      {"KeyNotUtf8", dictionary(tensor(kStorage, 0, {4}, {1}), "\xff"), "UTF-8"},
      {"KeyIsSurrogate", dictionary(tensor(kStorage, 0, {4}, {1}), "\xed\xa0\x80"), "UTF-8"},
      {"TopIsList", kProto + kEmptyList + kStop, "contains a list"},
      {"TopIsTensor", kProto + tensor(kStorage, 0, {4}, {1}) + kStop, "contains a tensor"},
      {"BytesAfterStop", weight(0, {4}, {1}) + "x", "bytes follow"},
  };
}

class HostileProgram : public ::testing::TestWithParam<Program> {};

TEST_P(HostileProgram, IsRefusedInAZip) {
  EXPECT_THAT(refusal(archive(GetParam().program, std::string(16, 'd'))), HasSubstr(GetParam().says));
}

INSTANTIATE_TEST_SUITE_P(Programs, HostileProgram, ::testing::ValuesIn(hostile_programs()),
                         [](const auto& program) { return program.param.what; });

TEST(PickleRefuses, TooManySteps) {
  std::string program = kProto;
  for (int i = 0; i < 60'000; ++i) program += "N0";
  EXPECT_THAT(refusal(archive(program + "}.")), HasSubstr("more than 100000 steps"));
}

TEST(PickleRefuses, HugeMemo) {
  // A million values take ten MiB of pickle for their steps to be allowed; padding bytes do.
  std::string program = kProto;
  program += "B" + little(std::uint32_t{12u << 20}) + std::string(12u << 20, 'x') + "0" + kEmptyDict;
  std::string puts;
  for (std::uint32_t i = 0; i < 1'000'001; ++i) puts += "r" + little(i);
  EXPECT_THAT(refusal(archive(program + puts + kStop)), HasSubstr("memoises more than 1000000"));
}

TEST(PickleRead, ListThatHoldsItselfIsHarmless) {
  const std::string program = kProto + kEmptyDict + text("loop") + kEmptyList + std::string("q\x01h\x01", 4) +
                              kAppend + kSetItem + text("w") + tensor(kStorage, 0, {4}, {1}) + kSetItem +
                              kStop;
  const std::string file = archive(program, std::string(16, '\0'));
  EXPECT_EQ(read_pickle("x.pt", as_bytes(file), nullptr)->tensors().size(), 1u);
}

TEST(PickleRead, OpaqueObjectsAreIgnored) {
  const std::string callback = global("pytorch_lightning.callbacks.model_checkpoint", "ModelCheckpoint");
  const std::string scalar =
      global("numpy.core.multiarray", "scalar") +
      tuple({global("numpy", "dtype") + tuple({text("f8")}) + kReduce + kEmptyTuple + kBuild,
             global("_codecs", "encode") + tuple({text("x"), text("latin1")}) + kReduce}) +
      kReduce;
  const std::string program = kProto + kEmptyDict + kMark + callback + kEmptyDict + text("lr") + scalar +
                              text("w") + tensor(kStorage, 0, {2, 2}, {1, 2}) + kSetItems + kStop;
  const std::string file = archive(program, little(0.0f) + little(1.0f) + little(2.0f) + little(3.0f));
  const auto read = read_pickle("x.pt", as_bytes(file), nullptr);
  EXPECT_THAT(to_floats(*read->find("w")), ElementsAre(0, 2, 1, 3));
  EXPECT_THAT(read->notes()[0], HasSubstr("its key is not a string"));
  EXPECT_THAT(read->notes()[1], HasSubstr("'lr' is skipped: it is an object"));
}

TEST(PickleRead, HugeStridesOfSingleElementsAreHarmless) {
  const std::int64_t big = std::numeric_limits<std::int64_t>::max();
  const std::string file =
      archive(weight(1, {1, 2, 1}, {big, 2, big}), little(0.0f) + little(1.0f) + little(2.0f) + little(3.0f));
  EXPECT_THAT(to_floats(*read_pickle("x.pt", as_bytes(file), nullptr)->find("w")), ElementsAre(1, 3));
}

// ── archives ──

const std::string kGood = dictionary(tensor(kStorage, 0, {4}, {1}));
const std::string kData(16, '\0');

TEST(PickleZip, CommentsAndZip64AreRead) {
  const std::string plain = zip_bytes({{"a/data.pkl", kGood}, {"a/data/0", kData}}, "a comment");
  EXPECT_EQ(refusal(plain), "");
  EXPECT_EQ(refusal(zip_bytes({{"a/data.pkl", kGood}, {"a/data/0", kData, 0, 0, true}})), "");
}

TEST(PickleZip, WhatTorchNeverWritesIsRefused) {
  const auto zipped = [](ZipMember extra) {
    return refusal(zip_bytes({{"a/data.pkl", kGood}, {"a/data/0", kData}, std::move(extra)}));
  };
  EXPECT_THAT(zipped({"a/code/model.py", "x"}), HasSubstr("not part of a PyTorch archive"));
  EXPECT_THAT(zipped({"a/data/sub/1", "x"}), HasSubstr("not part of a PyTorch archive"));
  EXPECT_THAT(zipped({"b/data/1", "x"}), HasSubstr("not part of a PyTorch archive"));
  EXPECT_THAT(zipped({"version", "3"}), HasSubstr("not part of a PyTorch archive"));
  EXPECT_THAT(zipped({"a/data/0", kData}), HasSubstr("two members"));
  EXPECT_THAT(zipped({"/etc/passwd", "x"}), HasSubstr("a path outside the archive"));
  EXPECT_THAT(zipped({"a/../b", "x"}), HasSubstr("a path outside the archive"));
  EXPECT_THAT(zipped({"a\\b", "x"}), HasSubstr("a path outside the archive"));
  EXPECT_THAT(zipped({std::string("a/\0", 3), "x"}), HasSubstr("a path outside the archive"));
  EXPECT_THAT(zipped({"", "x"}), HasSubstr("a path outside the archive"));
  EXPECT_THAT(zipped({"a/data/1", "x", 8}), HasSubstr("compressed (method 8)"));
  EXPECT_THAT(zipped({"a/data/1", "x", 0, 1}), HasSubstr("encrypted"));
  EXPECT_THAT(zipped({"a/data/1", "x", 0, 0, false, "a/data/2"}), HasSubstr("contradictory headers"));
  EXPECT_THAT(zipped({"a/byteorder", "big"}), HasSubstr("little-endian"));
}

TEST(PickleZip, BrokenArchivesAreRefused) {
  const std::string good = archive(kGood, kData);
  EXPECT_EQ(refusal(good), "");
  EXPECT_THAT(refusal(zip_bytes({{"a/data/0", kData}})), HasSubstr("no data.pkl"));
  EXPECT_THAT(refusal("PK\x03\x04"), HasSubstr("truncated"));
  EXPECT_THAT(refusal("PK\x03\x04" + std::string(100, 'x')), HasSubstr("truncated"));
  EXPECT_THAT(refusal("PK\x03\x04" + good), HasSubstr("at the wrong position"));
  EXPECT_THAT(refusal(good + "tail"), HasSubstr("no directory"));
  // The end record: entries on disk 8, total 10, size 12, offset 16.
  const auto with = [&](std::size_t field, const std::string& bytes) {
    std::string damaged = good;
    damaged.replace(damaged.size() - 22 + field, bytes.size(), bytes);
    return refusal(damaged);
  };
  EXPECT_THAT(with(4, little(std::uint16_t{1})), HasSubstr("several disks"));
  EXPECT_THAT(with(10, little(std::uint16_t{2})), HasSubstr("more entries than it declares"));
  EXPECT_THAT(with(10, little(std::uint16_t{9})), HasSubstr("directory is invalid"));
  EXPECT_THAT(with(12, little(~0u)), HasSubstr("at the wrong position"));
  EXPECT_THAT(with(16, little(~0u)), HasSubstr("at the wrong position"));
}

TEST(PickleLegacy, RulesHold) {
  EXPECT_EQ(refusal(legacy(kGood, kData, 4)), "");
  EXPECT_THAT(refusal(legacy(kGood, kData, 5)), HasSubstr("size that its tensors expect"));
  EXPECT_THAT(refusal(legacy(kGood, kData, -1)), HasSubstr("size that its tensors expect"));
  EXPECT_THAT(refusal(legacy(kGood, kData.substr(1), 4)), HasSubstr("truncated"));
  EXPECT_THAT(refusal(legacy(kGood, kData + "x", 4)), HasSubstr("1 bytes follow"));
  EXPECT_THAT(refusal(legacy(kGood, kData, 4, kFalse)), HasSubstr("little-endian"));
  EXPECT_THAT(refusal(legacy(dictionary(tensor(storage("FloatStorage", "1", 4), 0, {4}, {1})), kData, 4)),
              HasSubstr("one that no tensor uses"));
}

TEST(PickleTar, IsRefused) {
  std::string tar(512, '\0');
  tar.replace(257, 5, "ustar");
  EXPECT_THAT(refusal(tar), HasSubstr("tar archive"));
}

}  // namespace
}  // namespace lowrank::weights
