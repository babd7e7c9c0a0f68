#include "weights/safetensors.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "weights/crafted.h"
#include "weights/tensor_file.h"

namespace lowrank::weights {
namespace {

using ::testing::HasSubstr;

std::string refusal(const std::string& file) {
  return error_of([&] { read_safetensors_header(as_bytes(file), "x.safetensors"); });
}

std::string entry(const std::string& name, const std::string& dtype, const std::string& shape,
                  std::uint64_t begin, std::uint64_t end) {
  return "\"" + name + "\":{\"dtype\":\"" + dtype + "\",\"shape\":" + shape + ",\"data_offsets\":[" +
         std::to_string(begin) + "," + std::to_string(end) + "]}";
}

struct Flaw {
  const char* what;  // the rule that is broken, as a test name
  std::string file;
  const char* says;  // part of the sentence
};

// One crafted file per rule of the format; each is whole but for that rule.
std::vector<Flaw> flaws() {
  const std::string good = entry("a", "F32", "[1]", 0, 4);
  const auto one = [](const std::string& body, const std::string& data = "1234") {
    return safetensors_bytes("{" + body + "}", data);
  };
  const auto fields = [&](const std::string& text) { return one("\"a\":{" + text + "}"); };
  std::string many_dimensions = "[1";
  for (int i = 0; i < 8; ++i) many_dimensions += ",1";
  std::vector<Flaw> list = {
      {"EmptyFile", "", "at least 8 bytes"},
      {"SevenBytes", "1234567", "at least 8 bytes"},
      {"HeaderLongerThanLimit", little<std::uint64_t>(100'000'001) + "{}", "limit 100000000"},
      {"HeaderLengthAllOnes", little<std::uint64_t>(~0ull) + "{}", "limit"},
      {"HeaderLongerThanFile", little<std::uint64_t>(50) + "{}", "truncated"},
      {"HeaderOfNoBytes", little<std::uint64_t>(0), "not a JSON object"},
      {"HeaderIsList", safetensors_bytes("[]"), "not a JSON object"},
      {"HeaderIsCut", safetensors_bytes("{\"a\":"), "not valid JSON"},
      {"TextAfterHeader", safetensors_bytes("{} x"), "not valid JSON"},
      {"ZeroByteAfterHeader", safetensors_bytes(std::string("{}\0", 3)), "not a JSON object"},
      {"InvalidUtf8", safetensors_bytes("{\"\xff\":1}"), "not valid JSON"},
      {"Comment", safetensors_bytes("{/**/}"), "not valid JSON"},
      {"KeyTwice", one(good + "," + good), "'a' occurs twice"},
      {"MetadataIsCut", one("\"__metadata__\":{\"k\":"), "not valid JSON"},
      {"MetadataIsNestedTooDeep",
       one("\"__metadata__\":{\"k\":" + std::string(100, '[') + std::string(100, ']') + "}"),
       "not valid JSON"},
      {"EntryIsNumber", one("\"a\":5"), "'a'"},
      {"EntryIsList", one("\"a\":[1]"), "'a'"},
      {"DepthFour", fields("\"dtype\":{\"x\":{}}"), "an object in an unexpected place"},
      {"ListInList", fields("\"shape\":[[1]]"), "'a' has a list"},
      {"ObjectInList", fields("\"shape\":[{}]"), "'a' has an object"},
      {"DTypeMissing", fields("\"shape\":[1],\"data_offsets\":[0,4]"), "must have dtype"},
      {"ShapeMissing", fields("\"dtype\":\"F32\",\"data_offsets\":[0,4]"), "must have dtype"},
      {"OffsetsMissing", fields("\"dtype\":\"F32\",\"shape\":[1]"), "must have dtype"},
      {"ColonMissing", fields("\"dtype\" \"F32\""), "not valid JSON"},
      {"NumberWithLeadingZero", one(entry("a", "F32", "[01]", 0, 4)), "not a 64-bit integer"},
      {"LoneSurrogateInKey", one(entry("\\ud800", "F32", "[1]", 0, 4)), "not valid JSON"},
      {"SameKeyTwiceWithEscapes", one(good + "," + entry("\\u0061", "F32", "[1]", 4, 8), "12345678"),
       "'a' occurs twice"},
      {"FieldTwice", fields("\"dtype\":\"F32\",\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]"),
       "twice"},
      {"DTypeIsNumber", fields("\"dtype\":4,\"shape\":[1],\"data_offsets\":[0,4]"),
       "number in an unexpected place"},
      {"UnknownDType", one(entry("a", "F99", "[1]", 0, 4)), "unknown type 'F99'"},
      {"NegativeDimension", one(entry("a", "F32", "[-1]", 0, 4)), "negative"},
      {"FloatDimension", one(entry("a", "F32", "[1.0]", 0, 4)), "not a 64-bit integer"},
      {"DimensionAbove2Power53", one(entry("a", "F32", "[9007199254740993]", 0, 4)), "2^53"},
      {"DimensionAbove64Bits", one(entry("a", "F32", "[18446744073709551616]", 0, 4)),
       "not a 64-bit integer"},
      {"TextDimension", one(entry("a", "F32", "[\"1\"]", 0, 4)), "string in an unexpected place"},
      {"NineDimensions", one(entry("a", "F32", many_dimensions + "]", 0, 4)), "8 dimensions"},
      {"OneOffset", fields("\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0]"), "exactly two"},
      {"ThreeOffsets", fields("\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4,4]"), "exactly two"},
      {"OffsetsBackwards", one(entry("a", "F32", "[1]", 4, 0)), "wrong order"},
      {"ShapeOverflows", one(entry("a", "F32", "[9007199254740992,9007199254740992]", 0, 4)), "overflows"},
      {"BytesOverflow", one(entry("a", "F64", "[9007199254740992,512]", 0, 4)), "overflows"},
      {"OverflowHiddenByZero", one(entry("a", "F32", "[9007199254740992,1024,0]", 0, 0), ""), "overflows"},
      {"SizeDoesNotFit", one(entry("a", "F32", "[2]", 0, 4)), "needs 8 bytes but has 4"},
      {"FirstDoesNotBeginAtZero", one(entry("a", "F32", "[1]", 1, 5), "12345"), "a gap"},
      {"Hole", one(good + "," + entry("b", "F32", "[1]", 5, 9), "123456789"), "a gap"},
      {"Overlap", one(good + "," + entry("b", "F32", "[1]", 2, 6), "123456"), "overlap"},
      {"SameRangeTwice", one(good + "," + entry("b", "F32", "[1]", 0, 4)), "overlap"},
      {"TrailingBytes", one(good, "12345"), "1 bytes follow"},
      {"TruncatedData", one(good, "123"), "truncated: expected"},
      {"LongKey", one(entry(std::string(4097, 'k'), "F32", "[1]", 0, 4)), "limit 4096"},
  };
  return list;
}

class MalformedSafetensors : public ::testing::TestWithParam<Flaw> {};

TEST_P(MalformedSafetensors, IsRefusedWithItsRule) {
  const std::string message = refusal(GetParam().file);
  EXPECT_THAT(message, HasSubstr("x.safetensors: "));
  EXPECT_THAT(message, HasSubstr(GetParam().says));
}

INSTANTIATE_TEST_SUITE_P(Rules, MalformedSafetensors, ::testing::ValuesIn(flaws()),
                         [](const auto& flaw) { return flaw.param.what; });

// What is odd beside the tensors, what is kept of the metadata, and what is said of it. The reference library 0.8 accepts
// blanks, null, unknown fields and repeated names itself; the rest is written by tools that bypass it.
struct Oddity {
  const char* what;
  std::string header;
  std::map<std::string, std::string> kept;
  const char* says;
};

std::vector<Oddity> oddities() {
  const std::string good = entry("a", "F32", "[1]", 0, 4);
  const auto with = [&](const std::string& metadata) {
    return "{\"__metadata__\":" + metadata + "," + good + "}";
  };
  return {
      {"BlanksBeforeHeader", " \n{" + good + "}", {}, "spaces before"},
      {"Null", with("null"), {}, "__metadata__ is a null"},
      {"Text", with("\"x\""), {}, "__metadata__ is a string"},
      {"List", with("[1,{\"a\":[]}]"), {}, "__metadata__ is a list"},
      {"Number", with("1e5"), {}, "__metadata__ is a number"},
      {"HoldsNumber",
       with(R"({"k":1,"ss_tag":"fox"})"),
       {{"ss_tag", "fox"}},
       "1 entries that are not strings, the first is 'k'"},
      {"HoldsNull", with(R"({"ss_tag":"fox","k":null,"m":NaN})"), {{"ss_tag", "fox"}}, "2 entries"},
      {"HoldsObject", with(R"({"k":{"x":{"y":[1,2]}},"ss_tag":"fox"})"), {{"ss_tag", "fox"}}, "1 entries"},
      {"HoldsList", with(R"({"k":["x","]"],"ss_tag":"fox"})"), {{"ss_tag", "fox"}}, "1 entries"},
      {"HoldsTrue", with(R"({"k":true,"ss_tag":"fox"})"), {{"ss_tag", "fox"}}, "1 entries"},
      {"NameTwice", with(R"({"k":"1","k":"2"})"), {{"k", "2"}}, "1 names more than once"},
      {"Twice",
       "{\"__metadata__\":{\"k\":\"1\"}," + good + ",\"__metadata__\":{\"m\":\"2\"}}",
       {{"k", "1"}, {"m", "2"}},
       "occurs twice"},
      {"BrokenUtf8", with("{\"k\":\"caf\xe9\"}"), {{"k", "caf\xEF\xBF\xBD"}}, "not valid JSON in UTF-8"},
      {"LineBreak", with("{\"k\":\"a\nb\"}"), {{"k", "a\nb"}}, "not valid JSON in UTF-8"},
      {"LoneSurrogate", with(R"({"k":"\ud83d"})"), {{"k", "\xEF\xBF\xBD"}}, "not valid JSON in UTF-8"},
      {"UnknownField",
       R"({"a":{"dtype":"F32","x":{"y":[]},"shape":[1],"data_offsets":[0,4]}})",
       {},
       "unknown fields, such as 'x'"},
  };
}

class OddSafetensors : public ::testing::TestWithParam<Oddity> {};

TEST_P(OddSafetensors, KeepsItsTensorsAndItsTexts) {
  const std::string file = safetensors_bytes(GetParam().header, little(2.5f));
  const auto read = TensorFile::read("x.safetensors", as_bytes(file), nullptr);
  ASSERT_EQ(read->tensors().size(), 1u);
  EXPECT_EQ(to_floats(read->tensors()[0]), std::vector<float>{2.5f});
  EXPECT_EQ(read->metadata(), GetParam().kept);
  ASSERT_EQ(read->notes().size(), 1u);
  EXPECT_THAT(read->notes()[0], HasSubstr(GetParam().says));
}

INSTANTIATE_TEST_SUITE_P(Oddities, OddSafetensors, ::testing::ValuesIn(oddities()),
                         [](const auto& oddity) { return oddity.param.what; });

TEST(Safetensors, EscapesInNamesAndMetadataAreResolved) {
  const std::string file = safetensors_bytes(R"({"__metadata__":{"\u00e9":"\ud83e\udd8a \"\\\/\n"},)" +
                                                 entry("a\\\"\\u00e9", "F32", "[1]", 0, 4) + "}",
                                             "1234");
  const auto header = read_safetensors_header(as_bytes(file), "x");
  EXPECT_EQ(header.tensors.at(0).name, "a\"é");
  EXPECT_EQ(header.metadata.at("é"), "🦊 \"\\/\n");
  EXPECT_TRUE(header.notes.empty());
}

TEST(Safetensors, TruncationNamesBothSizes) {
  const std::string whole = safetensors_bytes("{" + entry("a", "F32", "[2]", 0, 8) + "}", "12345678");
  const std::string message = refusal(whole.substr(0, whole.size() - 3));
  EXPECT_THAT(message, HasSubstr(fmt::format("expected {} bytes, found {}", whole.size(), whole.size() - 3)));
}

TEST(Safetensors, EveryTruncationIsRefused) {
  const std::string whole = contents_of(fixture("safetensors/types.safetensors"));
  for (std::size_t size = 0; size < whole.size(); ++size)
    EXPECT_NE(refusal(whole.substr(0, size)), "") << size;
}

TEST(Safetensors, EveryFlippedHeaderByteIsReadOrRefused) {
  const std::string whole = contents_of(fixture("safetensors/types.safetensors"));
  for (std::size_t i = 0; i < whole.size(); ++i) {
    for (const char flip : {'\x01', '\x80', '\x20'}) {
      std::string damaged = whole;
      damaged[i] = static_cast<char>(damaged[i] ^ flip);
      error_of([&] {
        const auto header = read_safetensors_header(as_bytes(damaged), "x");
        for (const auto& view : header.tensors) to_floats(view);
      });
    }
  }
}

TEST(Safetensors, ScalarsEmptyTensorsAndOddAlignmentAreRead) {
  const std::string file =
      safetensors_bytes("{" + entry("b", "F32", "[1]", 2, 6) + "," + entry("alpha", "F16", "[]", 0, 2) + "," +
                            entry("none", "F32", "[0,3]", 6, 6) + "}   ",
                        std::string("\x00\x3c", 2) + little(2.5f));
  const auto header = read_safetensors_header(as_bytes(file), "x");
  ASSERT_EQ(header.tensors.size(), 3u);
  EXPECT_EQ(header.tensors[0].name, "alpha");
  EXPECT_EQ(header.tensors[0].shape, Shape{});
  EXPECT_EQ(to_floats(header.tensors[0]), std::vector<float>{1.0f});
  EXPECT_EQ(header.tensors[1].name, "b");
  EXPECT_EQ(to_floats(header.tensors[1]), std::vector<float>{2.5f});
  EXPECT_EQ(header.tensors[2].elements(), 0);
}

TEST(Safetensors, EmptyTensorsMayStandAnywhereBetweenOthers) {
  const std::string file =
      safetensors_bytes("{" + entry("z", "F32", "[0]", 4, 4) + "," + entry("y", "F32", "[0]", 0, 0) + "," +
                            entry("a", "F32", "[1]", 0, 4) + "," + entry("b", "F32", "[1]", 4, 8) + "}",
                        "12345678");
  EXPECT_EQ(read_safetensors_header(as_bytes(file), "x").tensors.size(), 4u);
}

TEST(Safetensors, NewerTypesAreLeftOutByName) {
  const std::string file =
      safetensors_bytes("{" + entry("a", "F8_E8M0", "[4]", 0, 4) + "," + entry("b", "F4", "[4]", 4, 6) + "," +
                            entry("c", "F32", "[1]", 6, 10) + "}",
                        "0123456789");
  const auto header = read_safetensors_header(as_bytes(file), "x");
  ASSERT_EQ(header.tensors.size(), 1u);
  EXPECT_EQ(header.tensors[0].name, "c");
  ASSERT_EQ(header.notes.size(), 2u);
  EXPECT_THAT(header.notes[0], HasSubstr("'a' is skipped: its type F8_E8M0"));
  EXPECT_THAT(header.notes[1], HasSubstr("'b'"));
}

TEST(Safetensors, ViewsPointIntoTheFile) {
  const std::string file = safetensors_bytes("{" + entry("a", "U8", "[3]", 0, 3) + "}", "xyz");
  const auto header = read_safetensors_header(as_bytes(file), "x");
  EXPECT_EQ(header.tensors[0].bytes.data(), as_bytes(file).data() + file.size() - 3);
}

TEST(Safetensors, MetadataAndFindWork) {
  const auto file = TensorFile::open(fixture("safetensors/types.safetensors"));
  EXPECT_EQ(file->container(), Container::kSafetensors);
  EXPECT_EQ(file->metadata().at("ss_output_name"), "fox \"é\"\n");
  ASSERT_NE(file->find("alpha"), nullptr);
  EXPECT_EQ(to_floats(*file->find("alpha")), std::vector<float>{2.0f});
  EXPECT_EQ(to_floats(*file->find("int16")), (std::vector<float>{-300, 300}));
  EXPECT_NE(file->find("quote \" backslash \\ tab \t line\n é 漢"), nullptr);
  EXPECT_EQ(file->find("nothing"), nullptr);
  EXPECT_EQ(file->file_bytes().size() - file->data_offset(),
            file->tensors().back().bytes.data() + file->tensors().back().bytes.size() -
                file->file_bytes().data() - file->data_offset());
}

TEST(Safetensors, AFileMayBeCutToItsFirstTensors) {
  std::string header = "{";
  for (int i = 0; i < 10; ++i)
    header += (i > 0 ? "," : "") + entry("t" + std::to_string(i), "U8", "[1]", static_cast<std::uint64_t>(i),
                                         static_cast<std::uint64_t>(i) + 1);
  const TemporaryFolder folder;
  const auto path = folder.write("x.safetensors", safetensors_bytes(header + "}", "0123456789"));
  const auto cut = TensorFile::open(path, 3), whole = TensorFile::open(path, 10);
  EXPECT_EQ(cut->tensors().size(), 3u);
  EXPECT_TRUE(cut->is_cut());
  EXPECT_THAT(cut->notes(), ::testing::ElementsAre(HasSubstr("10 tensors, but only the first 3")));
  EXPECT_EQ(whole->tensors().size(), 10u);
  EXPECT_FALSE(whole->is_cut());
}

TEST(Safetensors, TenThousandKeysAreReadInOrder) {
  std::string header = "{";
  for (int i = 0; i < 10'000; ++i) {
    const auto at = static_cast<std::uint64_t>(i) * 2;
    header +=
        (i > 0 ? "," : "") + entry("some.long.module.path." + std::to_string(i), "F16", "[1]", at, at + 2);
  }
  const std::string file = safetensors_bytes(header + "}", std::string(20'000, '\0'));
  const auto read = read_safetensors_header(as_bytes(file), "x");
  ASSERT_EQ(read.tensors.size(), 10'000u);
  EXPECT_EQ(read.tensors[9'999].name, "some.long.module.path.9999");
}

}  // namespace
}  // namespace lowrank::weights
