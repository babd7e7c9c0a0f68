#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/loopback.h"
#include "base/text/base64.h"
#include "server/fields/generation_parameters.h"
#include "server/http/access.h"
#include "server/http/gzip.h"
#include "server/http/json_body.h"
#include "server/http/refusal.h"
#include "server/http/url.h"
#include "server/page/embedded_files.h"
#include "server/route_table.h"

namespace lowrank::server {
namespace {

std::string decoded(std::string_view text) {
  const auto bytes = from_base64(text);
  return bytes ? std::string(bytes->begin(), bytes->end()) : "(refused)";
}

// The vectors of RFC 4648 §10.
TEST(Base64, EqualsTheStandardsVectors) {
  for (const auto& [plain, coded] :
       std::vector<std::pair<std::string, std::string>>{{"", ""},
                                                        {"f", "Zg=="},
                                                        {"fo", "Zm8="},
                                                        {"foo", "Zm9v"},
                                                        {"foob", "Zm9vYg=="},
                                                        {"fooba", "Zm9vYmE="},
                                                        {"foobar", "Zm9vYmFy"}}) {
    EXPECT_EQ(base64(std::string_view(plain)), coded);
    EXPECT_EQ(decoded(coded), plain);
  }
}

TEST(Base64, TakesLineBreaksAndMissingPaddingButNothingElse) {
  EXPECT_EQ(decoded("Zm9v\r\nYmFy"), "foobar");
  EXPECT_EQ(decoded("Zm9vYg"), "foob");
  EXPECT_EQ(decoded("Z"), "(refused)");
  EXPECT_EQ(decoded("Zm9v!"), "(refused)");
  EXPECT_EQ(decoded("Zg==Zg=="), "(refused)");
}

TEST(Url, PathAndQueryAreDecoded) {
  const Target target = parse_target("/a%20b/%zz?x=1+2&y&x=3&=4&z=%26");
  EXPECT_EQ(target.path, "/a b/%zz");
  EXPECT_EQ(target.query.at("x"), "3");
  EXPECT_EQ(target.query.at("y"), "");
  EXPECT_EQ(target.query.at("z"), "&");
}

TEST(Url, BracesTakeOneSegmentAndStarsTheRest) {
  EXPECT_EQ(match_path("/v1/jobs/{id}/result", "/v1/jobs/7/result")->at("id"), "7");
  EXPECT_FALSE(match_path("/v1/jobs/{id}", "/v1/jobs/7/result"));
  EXPECT_FALSE(match_path("/v1/jobs/{id}", "/v1/jobs/"));
  EXPECT_EQ(match_path("/v1/outputs/{*name}", "/v1/outputs/a/b.png")->at("name"), "a/b.png");
  EXPECT_FALSE(match_path("/v1/jobs", "/v1/jobs/"));
  // A slash inside a name does not end its segment.
  EXPECT_EQ(match_path("/v1/loras/{name}/preview", parse_target("/v1/loras/my%20set%2ffox/preview").path)
                ->at("name"),
            "my set/fox");
  EXPECT_EQ(match_path("/v1/outputs/{*name}", parse_target("/v1/outputs/a%2Fb/c.png").path)->at("name"),
            "a/b/c.png");
}

TEST(Access, OnlyAWholeRightLoginOpens) {
  const auto logins = parse_logins("ann:pass:word, bob:x", "--api-auth");
  ASSERT_EQ(logins.size(), 2u);
  const auto header = [](std::string_view text) { return "Basic " + base64(text); };
  EXPECT_TRUE(is_authorized(header("ann:pass:word"), logins));
  EXPECT_TRUE(is_authorized("basic " + base64(std::string_view("bob:x")), logins));
  for (const char* wrong : {"ann:pass", "ann:", "ann", "bob:pass:word", ":", "", "ann:pass:word "})
    EXPECT_FALSE(is_authorized(header(wrong), logins)) << wrong;
  EXPECT_FALSE(is_authorized("Bearer x", logins));
  EXPECT_FALSE(is_authorized("", logins));
  EXPECT_THROW(parse_logins("ann", "--api-auth"), Error);
  EXPECT_THROW(parse_logins("ann:", "--api-auth"), Error);
}

TEST(Access, LoopbackNamesAreToldFromOthers) {
  for (const char* own : {"localhost", "LOCALHOST:7860", "127.0.0.1:1", "[::1]:7860", "::1", "app.localhost",
                          "127.8.9.1", "ip6-localhost:80", "localhost.:7860"})
    EXPECT_TRUE(is_loopback(host_name(own))) << own;
  for (const char* other : {"", "evil.example", "127.0.0.1.evil.example", "localhost.evil.example", "0.0.0.0",
                            "10.0.0.1", "[::2]", "[::]:7860", "127.evil.example:80", "fe80::1"})
    EXPECT_FALSE(is_loopback(host_name(other))) << other;
}

TEST(Access, OriginsAreComparedWhole) {
  const CrossOrigin listed("https://a.example, https://b.example:8443", "");
  EXPECT_TRUE(listed.allows("https://b.example:8443"));
  EXPECT_FALSE(listed.allows("https://a.example.evil"));
  EXPECT_FALSE(listed.allows("http://a.example"));
  const CrossOrigin pattern("", "https://.*[.]good[.]example");
  EXPECT_TRUE(pattern.allows("https://x.good.example"));
  EXPECT_FALSE(pattern.allows("https://x.good.example.evil"));
  EXPECT_TRUE(CrossOrigin("*", "").allows("https://any.example"));
  EXPECT_THROW(CrossOrigin("", "("), Error);
  EXPECT_TRUE(is_same_origin("http://localhost:7860", "localhost:7860"));
  EXPECT_FALSE(is_same_origin("http://localhost:7860", "localhost:7861"));
  EXPECT_FALSE(is_same_origin("null", "localhost"));
}

TEST(JsonBody, DepthIsBounded) {
  const auto nested = [](int depth) {
    return std::string(static_cast<std::size_t>(depth), '[') +
           std::string(static_cast<std::size_t>(depth), ']');
  };
  EXPECT_NO_THROW(parse_json(nested(64)));
  EXPECT_THROW(parse_json(nested(65)), Refusal);
  EXPECT_NO_THROW(parse_json("\"" + std::string(1000, '[') + "\\\"[\""));  // brackets inside a string
}

// pydantic 1's conversions, from its documentation and source (pydantic/validators.py).
TEST(Parameters, WrongTypesAreMendedAsPydanticDoes) {
  const auto read = [](const char* body) {
    Faults faults;
    Json values = read_parameters(txt2img_parameters(), RequestJson::parse(body), faults);
    faults.throw_if_any();
    return values;
  };
  EXPECT_EQ(read(R"({"steps": "20"})")["steps"], 20);
  EXPECT_EQ(read(R"({"steps": 7.0})")["steps"], 7);
  EXPECT_EQ(read(R"({"steps": true})")["steps"], 1);
  EXPECT_EQ(read(R"({"cfg_scale": 7})")["cfg_scale"].dump(), "7.0");
  EXPECT_EQ(read(R"({"cfg_scale": "6.5"})")["cfg_scale"], 6.5);
  EXPECT_EQ(read(R"({"tiling": "yes"})")["tiling"], true);
  EXPECT_EQ(read(R"({"tiling": 0})")["tiling"], false);
  EXPECT_EQ(read(R"({"prompt": 12})")["prompt"], "12");
  EXPECT_EQ(read(R"({"steps": null})")["steps"], 50);
  EXPECT_EQ(read(R"({"seed": "9223372036854775807"})")["seed"], INT64_MAX);
  for (const char* wrong :
       {R"({"steps": 7.5})", R"({"steps": "x"})", R"({"steps": []})", R"({"cfg_scale": "inf"})",
        R"({"cfg_scale": "nan"})", R"({"tiling": 2})", R"({"prompt": []})", R"({"styles": "a"})",
        R"({"seed": 9223372036854775808})", "[]"})
    EXPECT_THROW(read(wrong), Refusal) << wrong;
}

// dict() of an empty list and of an empty text is {} in Python, and pydantic 1 takes what dict() takes.
TEST(Parameters, EmptyListsAndTextsAreEmptyObjects) {
  for (const char* empty : {"[]", "\"\""}) {
    Faults faults;
    const auto body = RequestJson::parse(std::string(R"({"override_settings": )") + empty + "}");
    EXPECT_EQ(read_parameters(txt2img_parameters(), body, faults)["override_settings"], Json::object());
    EXPECT_TRUE(faults.empty()) << empty;
  }
}

TEST(Parameters, WhatDoesNothingIsPassedOverWithAWord) {
  const auto told = [](const char* body, bool refused) {
    Faults faults;
    std::vector<std::string> passed_over;
    read_parameters(txt2img_parameters(), RequestJson::parse(body), faults, &passed_over);
    EXPECT_EQ(!faults.empty(), refused) << body;
    return passed_over;
  };
  EXPECT_THAT(told(R"({"hr_scale": 0})", false), testing::ElementsAre(testing::HasSubstr("hr_scale")));
  EXPECT_THAT(told(R"({"hr_scale": 0, "enable_hr": true})", true), testing::IsEmpty());
  EXPECT_THAT(told(R"({"denoising_strength": 5})", false), testing::SizeIs(1));
  EXPECT_THAT(told(R"({"clip_skip": "", "lora": "<lora:a:1>"})", false), testing::SizeIs(2));
  EXPECT_THAT(told(R"({"clip_skip": 2})", false), testing::IsEmpty());
  EXPECT_THAT(told(R"({"steps": 0})", true), testing::IsEmpty());
}

TEST(Gzip, IsTakenOnlyWhereTheClientSaysSo) {
  for (const char* yes : {"gzip", "deflate, gzip;q=0.5", "*", "GZIP", "x-gzip", "br, *;q=0.1"})
    EXPECT_TRUE(accepts_gzip(yes)) << yes;
  for (const char* no : {"", "identity", "gzip;q=0", "br", "*;q=0", "gzip;q=0, *"})
    EXPECT_FALSE(accepts_gzip(no)) << no;
}

// Defaults of A1111's request, from its API documentation.
TEST(Parameters, DefaultsAreA1111s) {
  Faults faults;
  const Json values = read_parameters(txt2img_parameters(), RequestJson::object(), faults);
  EXPECT_EQ(values["steps"], 50);
  EXPECT_EQ(values["width"], 512);
  EXPECT_EQ(values["sampler_index"], "Euler");
  EXPECT_EQ(values["denoising_strength"], 0.75);
  EXPECT_TRUE(values["sampler_name"].is_null());
  EXPECT_TRUE(values["styles"].is_null());
  EXPECT_EQ(values["hr_scale"], 2.0);
  EXPECT_FALSE(values.contains("init_images"));
}

TEST(RouteTable, EveryRouteIsDescribedOnce) {
  const Json description = openapi("test");
  std::set<std::pair<std::string_view, std::string_view>> seen;
  std::size_t operations = 0;
  std::size_t described = 0;
  for (const auto& row : route_table()) {
    EXPECT_TRUE(seen.insert({row.method, row.path}).second) << row.path;
    described += row.summary == kRefused ? 0 : 1;
  }
  for (const auto& [path, methods] : description["paths"].items()) operations += methods.size();
  EXPECT_EQ(operations, described);
  // What A1111 has and LowRank has not: clients take a path of the description for a feature.
  for (const char* path :
       {"/sdapi/v1/interrogate", "/sdapi/v1/train/embedding", "/sdapi/v1/server-restart"}) {
    EXPECT_FALSE(description["paths"].contains(path)) << path;
    EXPECT_THAT(openapi_page("test"), testing::Not(testing::HasSubstr(path)));
  }
  EXPECT_THAT(openapi_page("test"), testing::HasSubstr("/sdapi/v1/txt2img"));
}

TEST(EmbeddedFiles, AreWholeAndHaveATypes) {
  const EmbeddedFile* page = find_embedded("/welcome.html");
  ASSERT_NE(page, nullptr);
  EXPECT_TRUE(page->bytes.starts_with("<!doctype html>"));
  EXPECT_TRUE(page->bytes.ends_with("</html>\n"));
  EXPECT_EQ(find_embedded("/welcome.htm"), nullptr);
  EXPECT_EQ(embedded_mime("/assets/x.js"), "text/javascript; charset=utf-8");
  EXPECT_EQ(embedded_mime("/x"), "application/octet-stream");
}

}  // namespace
}  // namespace lowrank::server
