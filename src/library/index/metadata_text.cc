#include "library/index/metadata_text.h"

#include <zlib.h>

#include <algorithm>
#include <new>

#include "base/error.h"

namespace lowrank::library {

using nlohmann::ordered_json;

ordered_json listed_metadata(const std::map<std::string, std::string>& metadata) {
  ordered_json out = ordered_json::object();
  const auto add = [&](const std::string& key, const std::string& text) {
    const ordered_json inner =
        text.starts_with('{') ? ordered_json::parse(text, nullptr, false) : ordered_json();
    out[key] = inner.is_object() ? inner : ordered_json(text);
  };
  for (const char* key :
       {"ss_sd_model_name", "ss_resolution", "ss_clip_skip", "ss_num_train_images", "ss_tag_frequency"})
    if (const auto found = metadata.find(key); found != metadata.end()) add(key, found->second);
  for (const auto& [key, text] : metadata)
    if (key != "ssmd_cover_images" && !out.contains(key)) add(key, text);
  return out;
}

std::string metadata_text(const std::map<std::string, std::string>& metadata) {
  return listed_metadata(metadata).dump(-1, ' ', false, ordered_json::error_handler_t::replace);
}

std::string pack_text(std::string_view text) {
  std::string packed(compressBound(text.size()), '\0');
  uLongf size = packed.size();
  const int state = compress2(reinterpret_cast<Bytef*>(packed.data()), &size,
                              reinterpret_cast<const Bytef*>(text.data()), text.size(), 6);
  if (state == Z_MEM_ERROR) throw std::bad_alloc();
  LOWRANK_CHECK(state == Z_OK);
  packed.resize(size);
  return packed;
}

std::string unpack_text(std::string_view packed) {
  z_stream stream{};
  if (inflateInit(&stream) != Z_OK) throw std::bad_alloc();
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(packed.data()));
  stream.avail_in = static_cast<uInt>(packed.size());
  // Most fit at once; more room is made as it is needed, whatever the packed bytes claim.
  std::string text(std::max<std::size_t>(packed.size() * 8, 4096), '\0');
  std::size_t size = 0;
  int state = Z_OK;
  while (state == Z_OK) {
    if (size == text.size()) text.resize(text.size() * 2);
    stream.next_out = reinterpret_cast<Bytef*>(text.data() + size);
    stream.avail_out = static_cast<uInt>(std::min<std::size_t>(text.size() - size, std::size_t{1} << 30));
    const uInt room = stream.avail_out;
    state = inflate(&stream, Z_NO_FLUSH);
    size += room - stream.avail_out;
  }
  inflateEnd(&stream);
  if (state == Z_MEM_ERROR) throw std::bad_alloc();
  if (state != Z_STREAM_END) throw Error(kConflict, "the index is damaged: metadata cannot be decompressed.");
  text.resize(size);
  return text;
}

}  // namespace lowrank::library
