// What a user names to be imported, recognised by its form alone.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <variant>

namespace lowrank::library {

// A page, version or download of Civitai. At least one number is set.
struct CivitaiSource {
  std::int64_t model = 0, version = 0;
};
// A version found by a file's hash.
struct HashSource {
  std::string hash;  // lower case
};
struct HuggingFaceSource {
  std::string repo;  // "owner/name"
  std::string revision = "main";
  std::string file = {};  // path in it; "" to be chosen
};
struct FileSource {
  std::string path;
};
using ImportSource = std::variant<CivitaiSource, HashSource, HuggingFaceSource, FileSource>;

//   https://civitai.com/models/123/name?modelVersionId=456     https://civitai.com/api/download/models/456
//   civitai:123, civitai:123@456, urn:air:…:civitai:123@456    0123456789AB (8 to 64 hexadecimal digits)
//   https://huggingface.co/owner/repo[/blob|resolve|tree/REV[/FILE]]     owner/repo[@REV][:FILE]
//   hf:owner/repo a file that exists
// Addresses at the sites' other base URLs ($LOWRANK_CIVITAI_URL, $HF_ENDPOINT) are recognised as theirs.
// Throws Error(kBadInput) saying what is understood.
ImportSource recognise_source(const std::string& text);
// The same without files: for those who may not name any.
ImportSource recognise_site_source(const std::string& text);

// The shortest form that is understood as the same. It holds nothing but what names the file: an address that was
// copied with a token in it loses the token.
std::string source_text(const ImportSource& source);

}  // namespace lowrank::library
