#include "prompt/explain.h"

#include <algorithm>
#include <string_view>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "base/text/text.h"

namespace lowrank::prompt {
namespace {

using Json = nlohmann::ordered_json;

// The model calls an entry is used for; empty when the pass ends before it.
struct Calls {
  int first = 0;
  int last = -1;
  bool none() const { return last < first; }
};

Calls calls_of(const std::vector<ScheduleEntry>& schedule, std::size_t i) {
  const int count = schedule.back().end_at_step;  // calls 0 … count − 1
  return {i == 0 ? 0 : schedule[i - 1].end_at_step + 1, std::min(schedule[i].end_at_step, count - 1)};
}

// A token as a person can read it: `·` where a word ends, bytes that are no whole character as \xNN.
std::string shown_token(const Tokenizer& tokenizer, int id) {
  std::string text = tokenizer.token_text(id);
  const bool ends_word = text.ends_with(' ');
  if (ends_word) text.pop_back();
  std::string out;
  for (std::size_t at = 0; at < text.size();) {
    const Decoded c = decode_at(text, at);
    if (c.code == 0xfffd && c.length == 1) {
      out += fmt::format("\\x{:02x}", static_cast<unsigned char>(text[at]));
    } else {
      out += text.substr(at, c.length);
    }
    at += c.length;
  }
  return ends_word ? out + "·" : out;
}

// Characters of a token; wide and combining ones count as one, which is near enough to break lines.
std::size_t width(std::string_view text) {
  return static_cast<std::size_t>(std::count_if(
      text.begin(), text.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xc0) != 0x80; }));
}

const EmbeddingPlacement* placement_at(const TokenChunk& chunk, int row) {
  for (const EmbeddingPlacement& placement : chunk.embeddings) {
    if (row >= placement.first_row && row < placement.first_row + placement.vectors) return &placement;
  }
  return nullptr;
}

std::string shown_text(std::string_view text) {
  return Json(text).dump(-1, ' ', false, Json::error_handler_t::replace);
}

// First and last model call of each stretch in which a tag is there.
std::vector<Calls> calls_of(const std::vector<Presence>& times) {
  std::vector<Calls> out;
  int first = 0;
  for (const Presence& entry : times) {
    const int last = std::min(entry.end_at_step, times.back().end_at_step - 1);
    if (entry.is_there && last >= first) out.push_back({first, last});
    first = entry.end_at_step + 1;
  }
  return out;
}

std::string range_text(const Calls& calls) {
  return calls.first == calls.last ? fmt::format("{}", calls.first)
                                   : fmt::format("{}–{}", calls.first, calls.last);
}

// "calls 0–5, 8"; "" when there is none.
std::string calls_text(const std::vector<Presence>& times) {
  std::string out;
  for (const Calls& calls : calls_of(times)) out += (out.empty() ? "calls " : ", ") + range_text(calls);
  return out;
}

// "te 0.8, U-Net 0.6, first 4 ranks, block weights OUTALL"
std::string describe(const LoraTag& lora) {
  std::string out = fmt::format("LoRA '{}', weight {:g}", lora.name, lora.unet);
  if (lora.te != lora.unet)
    out = fmt::format("LoRA '{}', text encoder {:g}, U-Net {:g}", lora.name, lora.te, lora.unet);
  if (lora.dyn) out += fmt::format(", first {} ranks only", *lora.dyn);
  if (!lora.block_weights.empty()) out += fmt::format(", block weights {}", lora.block_weights);
  if (!lora.block_elements.empty()) out += fmt::format(", element rule {}", lora.block_elements);
  if (lora.block_base) out += fmt::format(", X = {:g}", *lora.block_base);
  if (lora.window.start) out += fmt::format(", from step {:g}", *lora.window.start);
  if (lora.window.stop) out += fmt::format(", before step {:g}", *lora.window.stop);
  if (!lora.times.empty()) {
    const std::string calls = calls_text(lora.times);
    out += calls.empty() ? ", never (prompt editing)" : fmt::format(", at model {} (prompt editing)", calls);
  }
  return out;
}

class TextWriter {
 public:
  TextWriter(const Request& request, const ParsedPrompt& parsed, const Tokenizer& tokenizer)
      : request_(request), parsed_(parsed), tokenizer_(tokenizer) {}

  std::string write() {
    line("Prompt           {}", shown_text(parsed_.prompt));
    line("Negative prompt  {}", shown_text(parsed_.negative_prompt));
    write_networks();
    for (std::size_t i = 0; i < parsed_.composition.size(); ++i) {
      const auto& use = parsed_.composition[i];
      const Conditioning& piece = parsed_.pieces[use.piece];
      const std::size_t count = parsed_.composition.size();
      const std::string title =
          count == 1 ? "Positive" : fmt::format("Positive, piece {} of {}", i + 1, count);
      const bool seen = std::any_of(parsed_.composition.begin(),
                                    parsed_.composition.begin() + static_cast<std::ptrdiff_t>(i),
                                    [&](const auto& earlier) { return earlier.piece == use.piece; });
      line("\n{}, weight {:g}: {}", title, use.weight, shown_text(piece.text));
      if (seen) {
        line("  the same text as an earlier piece");
      } else {
        write_conditioning(piece);
      }
    }
    line("\nNegative: {}", shown_text(parsed_.negative.text));
    write_conditioning(parsed_.negative);
    if (!parsed_.warnings.empty()) line("\nWarnings");
    for (const std::string& warning : parsed_.warnings) line("  {}", warning);
    return std::move(out_);
  }

 private:
  template <typename... Args>
  void line(fmt::format_string<Args...> format, Args&&... args) {
    fmt::format_to(std::back_inserter(out_), format, std::forward<Args>(args)...);
    out_ += '\n';
  }

  void write_networks() {
    const ExtraNetworks& networks = parsed_.networks;
    if (networks.tags.empty()) return;
    line("\nTags (removed from the prompt)");
    for (const LoraTag& lora : networks.loras) line("  {}", describe(lora));
    for (const HypernetTag& hypernet : networks.hypernets) {
      line("  hypernetwork '{}', weight {:g}", hypernet.name, hypernet.weight);
    }
  }

  void write_conditioning(const Conditioning& conditioning) {
    const bool changes = conditioning.schedule.size() > 1;
    if (changes) line("  changes over {} model calls", conditioning.schedule.back().end_at_step);
    for (std::size_t i = 0; i < conditioning.texts.size(); ++i) {
      const EncodedText& text = conditioning.texts[i];
      if (changes) line("\n  {}: {}", calls_of_text(conditioning, i), shown_text(text.text));
      const int limit = std::max<int>(1, (text.token_count + kChunkTokens - 1) / kChunkTokens) * kChunkTokens;
      line("    {} of {} tokens", text.token_count, limit);
      write_pieces(text);
      for (std::size_t c = 0; c < text.chunks.size(); ++c) write_chunk(text, c);
    }
  }

  // "calls 0–5, 8, 10"
  static std::string calls_of_text(const Conditioning& conditioning, std::size_t text) {
    std::string out;
    for (std::size_t i = 0; i < conditioning.schedule.size(); ++i) {
      const Calls calls = calls_of(conditioning.schedule, i);
      if (conditioning.text_of_entry[i] != text || calls.none()) continue;
      out += out.empty() ? "calls " : ", ";
      out += range_text(calls);
    }
    return out.empty() ? "not reached" : out;
  }

  void write_pieces(const EncodedText& text) {
    if (text.pieces.size() == 1 && text.pieces[0].weight == 1.0) return;
    line("    weights");
    for (const WeightedPiece& piece : text.pieces) {
      if (piece.is_break()) {
        line("      BREAK");
      } else {
        line("      {:<8.4g} {}", piece.weight, shown_text(piece.text));
      }
    }
  }

  // Tokens as text⟨id⟩, one line (or more) for each stretch of equal weight.
  void write_chunk(const EncodedText& text, std::size_t index) {
    const TokenChunk& chunk = text.chunks[index];
    line("    chunk {} of {}, {} of {} tokens", index + 1, text.chunks.size(), chunk.used, kChunkTokens);
    constexpr std::size_t kWidth = 90;
    std::string row;
    std::size_t columns = 0;
    float weight = 0;
    const auto flush = [&] {
      if (!row.empty()) line("      ×{:<7.4g}{}", weight, row);
      row.clear();
      columns = 0;
    };
    for (int i = 1; i <= chunk.used; ++i) {
      const auto place = static_cast<std::size_t>(i);
      const EmbeddingPlacement* embedding = placement_at(chunk, i);
      if (embedding != nullptr && embedding->first_row != i) continue;
      const int id = chunk.ids[place];
      const std::string token =
          embedding != nullptr
              ? fmt::format(" {{{}: {} vectors}}", request_.settings.embeddings[embedding->embedding].name,
                            embedding->vectors)
              : fmt::format(" {}⟨{}⟩", shown_token(tokenizer_, id), id);
      if (chunk.weights[place] != weight || columns + width(token) > kWidth) flush();
      weight = chunk.weights[place];
      row += token;
      columns += width(token);
    }
    flush();
  }

  const Request& request_;
  const ParsedPrompt& parsed_;
  const Tokenizer& tokenizer_;
  std::string out_;
};

Json to_json(const TokenChunk& chunk, const Request& request, const Tokenizer& tokenizer) {
  Json tokens = Json::array();
  for (int i = 1; i <= chunk.used; ++i) {
    const auto place = static_cast<std::size_t>(i);
    tokens.push_back({{"id", chunk.ids[place]},
                      {"text", shown_token(tokenizer, chunk.ids[place])},
                      {"weight", chunk.weights[place]}});
  }
  Json embeddings = Json::array();
  for (const EmbeddingPlacement& placement : chunk.embeddings) {
    embeddings.push_back({{"name", request.settings.embeddings[placement.embedding].name},
                          {"first_row", placement.first_row},
                          {"vectors", placement.vectors}});
  }
  return {{"used", chunk.used}, {"tokens", tokens}, {"ids", chunk.ids}, {"embeddings", embeddings}};
}

Json to_json(const Conditioning& conditioning, const Request& request, const Tokenizer& tokenizer) {
  Json schedule = Json::array();
  for (std::size_t i = 0; i < conditioning.schedule.size(); ++i) {
    const Calls calls = calls_of(conditioning.schedule, i);
    const ScheduleEntry& entry = conditioning.schedule[i];
    Json row = {{"end_at_step", entry.end_at_step},
                {"text", entry.text},
                {"text_index", conditioning.text_of_entry[i]}};
    row["calls"] = calls.none() ? Json(nullptr) : Json::array({calls.first, calls.last});
    schedule.push_back(row);
  }
  Json texts = Json::array();
  for (const EncodedText& text : conditioning.texts) {
    Json pieces = Json::array();
    for (const WeightedPiece& piece : text.pieces) {
      pieces.push_back({{"text", piece.text}, {"weight", piece.weight}, {"break", piece.is_break()}});
    }
    Json chunks = Json::array();
    for (const TokenChunk& chunk : text.chunks) chunks.push_back(to_json(chunk, request, tokenizer));
    texts.push_back(
        {{"text", text.text}, {"token_count", text.token_count}, {"pieces", pieces}, {"chunks", chunks}});
  }
  return {{"text", conditioning.text}, {"schedule", schedule}, {"texts", texts}};
}

template <typename T>
Json or_null(const std::optional<T>& value) {
  return value ? Json(*value) : Json(nullptr);
}

Json to_json(const ExtraNetworks& networks) {
  Json loras = Json::array();
  for (const LoraTag& lora : networks.loras) {
    Json calls = nullptr;
    if (!lora.times.empty()) {
      calls = Json::array();
      for (const Calls& each : calls_of(lora.times)) calls.push_back({each.first, each.last});
    }
    loras.push_back({{"name", lora.name},
                     {"te", lora.te},
                     {"unet", lora.unet},
                     {"dyn", or_null(lora.dyn)},
                     {"block_weights", lora.block_weights},
                     {"block_elements", lora.block_elements},
                     {"block_base", or_null(lora.block_base)},
                     {"start", or_null(lora.window.start)},
                     {"stop", or_null(lora.window.stop)},
                     {"calls", calls}});
  }
  Json hypernets = Json::array();
  for (const HypernetTag& hypernet : networks.hypernets) {
    hypernets.push_back({{"name", hypernet.name}, {"weight", hypernet.weight}});
  }
  return {{"loras", loras}, {"hypernets", hypernets}};
}

std::string write_json(const Request& request, const ParsedPrompt& parsed, const Tokenizer& tokenizer) {
  Json pieces = Json::array();
  for (const Conditioning& piece : parsed.pieces) pieces.push_back(to_json(piece, request, tokenizer));
  Json composition = Json::array();
  for (const auto& use : parsed.composition)
    composition.push_back({{"piece", use.piece}, {"weight", use.weight}});
  const Json all = {{"prompt", parsed.prompt},
                    {"negative_prompt", parsed.negative_prompt},
                    {"networks", to_json(parsed.networks)},
                    {"composition", composition},
                    {"pieces", pieces},
                    {"negative", to_json(parsed.negative, request, tokenizer)},
                    {"warnings", parsed.warnings}};
  return all.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace

std::string explain(const ExplainRequest& request) {
  const Tokenizer tokenizer;
  const ParsedPrompt parsed = parse(request.request, tokenizer);
  if (request.format == ExplainFormat::kJson) return write_json(request.request, parsed, tokenizer);
  return TextWriter(request.request, parsed, tokenizer).write();
}

}  // namespace lowrank::prompt
